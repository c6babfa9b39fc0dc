//! Walks the numbers of rows, with the words that each draws: eight blocks of four at a time.
//!
//! ```text
//! a row:    groups of 32 numbers, and what is left
//! a group:  its first eight numbers from the first words of eight blocks, the next eight from their second words, …
//! the rest: of n numbers the first ⌈n/4⌉ from the first words of as many blocks, the next ones from their second words, …
//! ```
//!
//! So the numbers of a group lie in memory as eight lanes make them.

use nexa_io::wide::{Work, dispatch};

use crate::philox::{MULTIPLIERS, ROUNDS, Stream, next_key};

/// Blocks that are made at a time.
pub(crate) const LANES: usize = 8;
/// Words of a block.
pub(crate) const WORDS: usize = 4;
/// Numbers of eight blocks.
const GROUP: usize = LANES * WORDS;

/// What is done with each number; both are to be marked `#[inline(always)]`, so that they are compiled for each kind of CPU.
pub(crate) trait Step {
    /// Return what two words of each lane make: of the first, and of the second, each by itself or from both.
    fn make(&self, words: [[u32; LANES]; 2]) -> [[f32; LANES]; 2];

    /// Change a number by what was made for it.
    fn put(&self, number: f32, made: f32) -> f32;
}

/// Take a step with each number of some rows and what its words make.
///
/// # Args
///
/// - `stream`: of the purpose.
/// - `epoch`: another epoch draws other words.
/// - `rows`: the rows' numbers: which words are drawn depends on them, not on where the rows lie.
/// - `row_len`: numbers a row.
/// - `out`: `rows.len() * row_len` numbers, row by row.
pub(crate) fn for_each_number(
    stream: &Stream,
    epoch: u32,
    rows: &[u64],
    row_len: usize,
    out: &mut [f32],
    step: impl Step,
) {
    dispatch(Walk { stream, epoch, rows, row_len, out, step });
}

struct Walk<'a, S> {
    stream: &'a Stream,
    epoch: u32,
    rows: &'a [u64],
    row_len: usize,
    out: &'a mut [f32],
    step: S,
}

impl<S: Step> Work for Walk<'_, S> {
    #[inline(always)]
    fn run(self) {
        let Self { stream, epoch, rows, row_len, out, step } = self;
        if row_len == 0 {
            return;
        }
        let whole = row_len / GROUP;
        for (&row, numbers) in rows.iter().zip(out.chunks_exact_mut(row_len)) {
            let (low, high) = halves(row);
            for (group, numbers) in numbers.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
                let mut lanes = [0; LANES];
                for (at, place) in lanes.iter_mut().enumerate() {
                    *place = lane(group, at);
                }
                let [a, b, c, d] = words(stream.key(), lanes, epoch, [low; LANES], [high; LANES]);
                let (front, back) = numbers.split_at_mut(2 * LANES);
                // Pair by pair: all four at once are more than a CPU has registers for.
                put_pair(&step, front, step.make([a, b]));
                put_pair(&step, back, step.make([c, d]));
            }
        }
        let rest = row_len % GROUP;
        if rest > 0 {
            ends(&Ends { stream, epoch, rows, row_len, whole, rest }, out, &step);
        }
    }
}

#[inline(always)]
fn put_pair(step: &impl Step, numbers: &mut [f32], [first, second]: [[f32; LANES]; 2]) {
    let (front, back) = numbers.split_at_mut(LANES);
    for lane in 0..LANES {
        front[lane] = step.put(front[lane], first[lane]);
    }
    for lane in 0..LANES {
        back[lane] = step.put(back[lane], second[lane]);
    }
}

/// The ends of rows, that make no whole group.
struct Ends<'a> {
    stream: &'a Stream,
    epoch: u32,
    rows: &'a [u64],
    row_len: usize,
    whole: usize,
    rest: usize,
}

/// Walk the ends of rows: blocks of several rows at a time.
#[inline(always)]
fn ends(of: &Ends<'_>, out: &mut [f32], step: &impl Step) {
    let blocks = of.rest.div_ceil(WORDS);
    let mut places = [(0_usize, 0_usize); LANES];
    let (mut row, mut block) = (0, 0);
    while row < of.rows.len() {
        let mut held = 0;
        let (mut lanes, mut lows, mut highs) = ([0_u32; LANES], [0_u32; LANES], [0_u32; LANES]);
        while held < LANES && row < of.rows.len() {
            places[held] = (row, block);
            lanes[held] = lane(of.whole, block);
            (lows[held], highs[held]) = halves(of.rows[row]);
            held += 1;
            block += 1;
            if block == blocks {
                (row, block) = (row + 1, 0);
            }
        }
        let [first, second, third, fourth] = words(of.stream.key(), lanes, of.epoch, lows, highs);
        let ([first, second], [third, fourth]) = (step.make([first, second]), step.make([third, fourth]));
        for (at, &(row, block)) in places[..held].iter().enumerate() {
            let start = row * of.row_len + of.whole * GROUP;
            let Some(numbers) = out.get_mut(start..start + of.rest) else { return };
            for (number, made) in
                numbers[block..].iter_mut().step_by(blocks).zip([first, second, third, fourth])
            {
                *number = step.put(*number, made[at]);
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a row has fewer than 2^32 blocks")]
const fn lane(group: usize, at: usize) -> u32 {
    (group * LANES + at) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
pub(crate) const fn halves(row: u64) -> (u32, u32) {
    (row as u32, (row >> 32) as u32)
}

/// Return the four words of eight blocks, word by word.
///
/// Each word has 64 bits to itself, the upper ones 0: so a product needs no shuffling.
#[inline(always)]
pub(crate) fn words(
    key: [u32; 2],
    lane: [u32; LANES],
    epoch: u32,
    low: [u32; LANES],
    high: [u32; LANES],
) -> [[u32; LANES]; WORDS] {
    let mut words = [widened(lane), [u64::from(epoch); LANES], widened(low), widened(high)];
    let mut key = key;
    // One after the other rather than in a loop: so the compiler sees that the upper halves stay 0.
    macro_rules! rounds {
        ($($number:literal)*) => { $(
            debug_assert!($number < ROUNDS);
            words = round(words, key);
            key = next_key(key);
        )* };
    }
    rounds!(0 1 2 3 4 5 6);
    [narrowed(words[0]), narrowed(words[1]), narrowed(words[2]), narrowed(words[3])]
}

// Loops rather than `map` and `from_fn`: whether those are inlined, and so compiled for the CPU, is the compiler's guess.

#[inline(always)]
fn widened(words: [u32; LANES]) -> [u64; LANES] {
    let mut wide = [0; LANES];
    for lane in 0..LANES {
        wide[lane] = u64::from(words[lane]);
    }
    wide
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the upper half is 0")]
fn narrowed(words: [u64; LANES]) -> [u32; LANES] {
    let mut narrow = [0; LANES];
    for lane in 0..LANES {
        narrow[lane] = words[lane] as u32;
    }
    narrow
}

#[inline(always)]
fn round(words: [[u64; LANES]; WORDS], key: [u32; 2]) -> [[u64; LANES]; WORDS] {
    let mut next = [[0; LANES]; WORDS];
    for lane in 0..LANES {
        let left = (words[0][lane] & HALF) * u64::from(MULTIPLIERS[0]);
        let right = (words[2][lane] & HALF) * u64::from(MULTIPLIERS[1]);
        next[0][lane] = (right >> 32) ^ words[1][lane] ^ u64::from(key[0]);
        next[1][lane] = right & HALF;
        next[2][lane] = (left >> 32) ^ words[3][lane] ^ u64::from(key[1]);
        next[3][lane] = left & HALF;
    }
    next
}

const HALF: u64 = 0xFFFF_FFFF;
