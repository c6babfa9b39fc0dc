//! Walks the numbers of rows, with the words that each draws: eight blocks of four at a time.

use nexa_io::wide::{Work, dispatch};

use crate::philox::{MULTIPLIERS, ROUNDS, Stream, next_key};

/// Blocks that are made at a time.
pub(crate) const LANES: usize = 8;
/// Words of a block.
pub(crate) const WORDS: usize = 4;

/// Do something with each number of some rows and what its words make.
///
/// # Args
///
/// - `stream`: of the purpose.
/// - `epoch`: another epoch draws other words.
/// - `rows`: the rows' numbers: which words are drawn depends on them, not on where the rows lie.
/// - `row_len`: numbers a row.
/// - `out`: `rows.len() * row_len` numbers, row by row.
/// - `make`: from words to what they make, each from its own or, of a pair, from both.
/// - `put`: takes a number and what was made for it.
#[inline(always)]
pub(crate) fn for_each_number(
    stream: &Stream,
    epoch: u32,
    rows: &[u64],
    row_len: usize,
    out: &mut [f32],
    make: impl Fn([[u32; LANES]; WORDS]) -> [[f32; LANES]; WORDS],
    put: impl Fn(&mut f32, f32),
) {
    dispatch(Walk { stream, epoch, rows, row_len, out, make, put });
}

struct Walk<'a, M, P> {
    stream: &'a Stream,
    epoch: u32,
    rows: &'a [u64],
    row_len: usize,
    out: &'a mut [f32],
    make: M,
    put: P,
}

impl<M, P> Work for Walk<'_, M, P>
where
    M: Fn([[u32; LANES]; WORDS]) -> [[f32; LANES]; WORDS],
    P: Fn(&mut f32, f32),
{
    #[inline(always)]
    fn run(self) {
        let Self { stream, epoch, rows, row_len, out, make, put } = self;
        if row_len == 0 {
            return;
        }
        let blocks = row_len.div_ceil(WORDS);
        // Of short rows several are walked at a time.
        let mut places = [(0_usize, 0_usize); LANES];
        let (mut row, mut block) = (0, 0);
        while row < rows.len() {
            let mut held = 0;
            let (mut lane, mut low, mut high) = ([0_u32; LANES], [0_u32; LANES], [0_u32; LANES]);
            while held < LANES && row < rows.len() {
                places[held] = (row, block);
                #[expect(clippy::cast_possible_truncation, reason = "the words of a row's number")]
                {
                    lane[held] = block as u32;
                    low[held] = rows[row] as u32;
                    high[held] = (rows[row] >> 32) as u32;
                }
                held += 1;
                block += 1;
                if block == blocks {
                    (row, block) = (row + 1, 0);
                }
            }
            let made = make(words(stream.key(), lane, epoch, low, high));
            for (at, &(row, block)) in places[..held].iter().enumerate() {
                let start = row * row_len + block * WORDS;
                let end = (row * row_len + row_len).min(start + WORDS);
                let Some(part) = out.get_mut(start..end) else { return };
                let four = [made[0][at], made[1][at], made[2][at], made[3][at]];
                match <&mut [f32; WORDS]>::try_from(&mut *part) {
                    Ok(whole) => whole.iter_mut().zip(four).for_each(|(number, drawn)| put(number, drawn)),
                    Err(_) => part.iter_mut().zip(four).for_each(|(number, drawn)| put(number, drawn)),
                }
            }
        }
    }
}

/// Return the four words of eight blocks, word by word.
#[inline(always)]
fn words(
    key: [u32; 2],
    lane: [u32; LANES],
    epoch: u32,
    low: [u32; LANES],
    high: [u32; LANES],
) -> [[u32; LANES]; WORDS] {
    let mut words = [lane, [epoch; LANES], low, high];
    let mut key = key;
    for _ in 0..ROUNDS {
        let left = products(words[0], MULTIPLIERS[0]);
        let right = products(words[2], MULTIPLIERS[1]);
        words = [
            each(|at| right.0[at] ^ words[1][at] ^ key[0]),
            right.1,
            each(|at| left.0[at] ^ words[3][at] ^ key[1]),
            left.1,
        ];
        key = next_key(key);
    }
    words
}

/// Return the upper and lower halves of products.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "halves of a product")]
fn products(values: [u32; LANES], factor: u32) -> ([u32; LANES], [u32; LANES]) {
    let products: [u64; LANES] = std::array::from_fn(|at| u64::from(values[at]) * u64::from(factor));
    (each(|at| (products[at] >> 32) as u32), each(|at| products[at] as u32))
}

#[inline(always)]
pub(crate) fn each<T>(value: impl FnMut(usize) -> T) -> [T; LANES] {
    std::array::from_fn(value)
}
