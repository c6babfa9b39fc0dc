//! How many values are distinct: counted as long as they are few, estimated by a sketch once they are many.
//!
//! ```text
//! at most LIMIT distinct:  value → count, exact                       (classes, codes, flags: also their top values)
//! more:                    HyperLogLog over the values' hashes         (Flajolet, Fusy, Gandouet, Meunier 2007)
//! ```
//!
//! Both are functions of the set of values and their counts, not of the order: the same for any cut into shards and batches.

use std::collections::HashMap;

use crate::moments::wide;

/// Distinct values up to which they are counted one by one.
pub const COUNTED: usize = 4096;

const PRECISION: u32 = 14;
const REGISTERS: usize = 1 << PRECISION;

/// Relative standard error of the sketch: 1.04 / √16,384, by the paper.
pub const SKETCH_ERROR: f64 = 1.04 / 128.0;

/// The distinct values of a column, each by a key of 64 bits: a number's own bits, a text's hash.
#[derive(Clone, Debug)]
pub(crate) struct Distinct {
    limit: usize,
    seen: Seen,
}

#[derive(Clone, Debug)]
enum Seen {
    Counts(Counts),
    Sketch(Box<Sketch>),
}

impl Distinct {
    /// Make one that counts up to `limit` values one by one.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, seen: Seen::Counts(Counts::new()) }
    }

    /// Take in a value; `text` is asked for what it shows as, when it is new.
    #[inline]
    pub(crate) fn add_text(&mut self, key: u64, text: impl FnOnce() -> Box<str>) {
        if let Seen::Counts(counts) = &mut self.seen
            && counts.add(key, 1)
        {
            counts.texts.insert(key, text());
            self.spill();
        } else if let Seen::Sketch(sketch) = &mut self.seen {
            sketch.add(key);
        }
    }

    /// Take in numbers, each by its bits; NaN is none.
    pub(crate) fn add_floats(&mut self, values: &[f64]) {
        let mut rest = values.iter();
        if let Seen::Counts(_) = self.seen {
            for &value in rest.by_ref() {
                if !value.is_nan() && self.count(float_key(value), 1) {
                    break;
                }
            }
        }
        if let Seen::Sketch(sketch) = &mut self.seen {
            for &value in rest {
                if !value.is_nan() {
                    sketch.add(float_key(value));
                }
            }
        }
    }

    /// Take in integers, each by its bits.
    pub(crate) fn add_keys(&mut self, keys: &[u64]) {
        let mut rest = keys.iter();
        if let Seen::Counts(_) = self.seen {
            for &key in rest.by_ref() {
                if self.count(key, 1) {
                    break;
                }
            }
        }
        if let Seen::Sketch(sketch) = &mut self.seen {
            rest.for_each(|&key| sketch.add(key));
        }
    }

    /// Take in what another has seen.
    pub(crate) fn merge(&mut self, other: &Self) {
        match &other.seen {
            Seen::Counts(counts) => {
                for (key, count) in counts.iter() {
                    match &mut self.seen {
                        Seen::Counts(_) => {
                            self.count(key, count);
                        }
                        Seen::Sketch(sketch) => sketch.add(key),
                    }
                }
                if let Seen::Counts(ours) = &mut self.seen {
                    for (key, text) in &counts.texts {
                        ours.texts.entry(*key).or_insert_with(|| text.clone());
                    }
                }
            }
            Seen::Sketch(theirs) => {
                if let Seen::Counts(ours) = &self.seen {
                    self.seen = Seen::Sketch(Box::new(Sketch::of(ours)));
                }
                if let Seen::Sketch(ours) = &mut self.seen {
                    ours.merge(theirs);
                }
            }
        }
    }

    /// Return how many values are distinct, and the relative standard error of that: 0 if it is exact.
    pub(crate) fn estimate(&self) -> (u64, f64) {
        match &self.seen {
            Seen::Counts(counts) => (counts.len as u64, 0.0),
            Seen::Sketch(sketch) => (sketch.estimate(), SKETCH_ERROR),
        }
    }

    /// Return all values and their counts, unless they are too many.
    pub(crate) fn counts(&self) -> Option<impl Iterator<Item = (u64, u64)>> {
        match &self.seen {
            Seen::Counts(counts) => Some(counts.iter()),
            Seen::Sketch(_) => None,
        }
    }

    /// Return what a key stands for.
    pub(crate) fn text(&self, key: u64) -> Option<&str> {
        match &self.seen {
            Seen::Counts(counts) => counts.texts.get(&key).map(AsRef::as_ref),
            Seen::Sketch(_) => None,
        }
    }

    /// Count a value, and say whether they have become too many to be counted.
    #[inline]
    fn count(&mut self, key: u64, times: u64) -> bool {
        match &mut self.seen {
            Seen::Counts(counts) => counts.add(key, times) && self.spill(),
            Seen::Sketch(_) => true,
        }
    }

    #[cold]
    fn spill(&mut self) -> bool {
        if let Seen::Counts(counts) = &self.seen
            && counts.len > self.limit
        {
            self.seen = Seen::Sketch(Box::new(Sketch::of(counts)));
            return true;
        }
        false
    }
}

/// Return the bits by which a float is known: 0 has one sign.
#[inline(always)]
pub(crate) fn float_key(value: f64) -> u64 {
    (value + 0.0).to_bits()
}

/// Mix the bits of a key: the finaliser of `MurmurHash3` (Appleby), a bijection.
#[inline(always)]
pub(crate) const fn mixed(mut key: u64) -> u64 {
    key ^= key >> 33;
    key = key.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    key ^= key >> 33;
    key = key.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    key ^ (key >> 33)
}

/// Key → count, by open addressing: a slot whose count is 0 is empty.
#[derive(Clone, Debug)]
struct Counts {
    slots: Vec<(u64, u64)>,
    len: usize,
    texts: HashMap<u64, Box<str>>,
}

impl Counts {
    fn new() -> Self {
        Self { slots: vec![(0, 0); 64], len: 0, texts: HashMap::new() }
    }

    /// Count a key, and say whether it is new.
    #[inline]
    fn add(&mut self, key: u64, times: u64) -> bool {
        let slot = self.slot(key);
        let (there, count) = &mut self.slots[slot];
        let new = *count == 0;
        *there = key;
        *count += times;
        if new {
            self.len += 1;
            if self.len * 2 > self.slots.len() {
                self.grow();
            }
        }
        new
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "only the low bits are asked for")]
    fn slot(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = mixed(key) as usize & mask;
        while self.slots[slot].1 != 0 && self.slots[slot].0 != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![(0, 0); self.slots.len() * 4];
        let old = std::mem::replace(&mut self.slots, larger);
        for (key, count) in old {
            if count != 0 {
                let slot = self.slot(key);
                self.slots[slot] = (key, count);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.slots.iter().copied().filter(|&(_, count)| count != 0)
    }
}

/// The registers of a `HyperLogLog`: of the hashes that begin with a register's number, the longest run of zeros that one ends
/// with, plus 1.
#[derive(Clone, Debug)]
struct Sketch {
    registers: [u8; REGISTERS],
}

impl Sketch {
    fn of(counts: &Counts) -> Self {
        let mut sketch = Self { registers: [0; REGISTERS] };
        counts.iter().for_each(|(key, _)| sketch.add(key));
        sketch
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "14 bits, and at most 50 zeros")]
    fn add(&mut self, key: u64) {
        // Shifted, so that it isn't the mixing by which the tables' slots are found.
        let hash = mixed(key.wrapping_add(0x9E37_79B9_7F4A_7C15));
        let at = (hash >> (64 - PRECISION)) as usize;
        let run = (hash | (1 << (64 - PRECISION))).trailing_zeros() as u8 + 1;
        // Rarely so: most values are seen after longer runs.
        if run > self.registers[at] {
            self.registers[at] = run;
        }
    }

    fn merge(&mut self, other: &Self) {
        for (ours, &theirs) in self.registers.iter_mut().zip(&other.registers) {
            *ours = theirs.max(*ours);
        }
    }

    /// Estimate the number of distinct keys as Ertl does ("New cardinality estimation algorithms for `HyperLogLog` sketches",
    /// arXiv:1702.01284, algorithm 6): without a bias at either end, and without tables.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, rounded")]
    fn estimate(&self) -> u64 {
        const LONGEST: usize = 64 - PRECISION as usize;
        let mut counts = [0_u64; LONGEST + 2];
        for &register in &self.registers {
            counts[usize::from(register)] += 1;
        }
        let m = wide(REGISTERS as u64);
        let mut sum = m * tau(1.0 - wide(counts[LONGEST + 1]) / m);
        for count in counts[1..=LONGEST].iter().rev() {
            sum = 0.5 * (sum + wide(*count));
        }
        sum += m * sigma(wide(counts[0]) / m);
        (m * m / (2.0 * std::f64::consts::LN_2 * sum)).round() as u64
    }
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * y;
        y += y;
        if sum <= before {
            return sum;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        y *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * y;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
#[path = "distinct_tests.rs"]
mod tests;
