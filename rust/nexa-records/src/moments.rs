//! What the numbers of a column look like: counts, extremes, mean and spread of each element of a row, in one pass.
//!
//! ```text
//! for each block of rows:   count, sum, least, greatest of each element   (NaN counts for nothing)
//!                           mean = sum / count;  m2 = Σ (x - mean)²      (the block is still in the cache)
//!                           merge into what was seen before
//! ```
//!
//! 1. Rows lie row by row, so that the loops run over the elements of a row: each has its own sums, nothing depends on the
//!    number before, and the compiler makes vectors of it.
//! 2. Around the block's own mean no digits are lost, however far the numbers lie from 0; blocks are merged by the
//!    formula of Chan, Golub and LeVeque (1983), in the rows' order, so that the result is the same every time.

/// Bytes of rows that are looked at twice, and are still in the first cache the second time.
const BLOCK_BYTES: usize = 16 << 10;

/// Counts, extremes and moments of each element of some rows.
///
/// ```
/// let mut seen = nexa_records::Moments::new(2);
/// seen.add(&[1.0_f32, 10.0, 3.0, f32::NAN]);
/// assert_eq!((seen.count(), seen.mean()), (&[2, 1][..], &[2.0, 10.0][..]));
/// assert_eq!((seen.nan_rows(), seen.first_nan()), (1, Some((1, 1))));
/// ```
#[derive(Clone, Debug)]
pub struct Moments {
    rows: u64,
    nan_rows: u64,
    first_nan: Option<(u64, usize)>,
    count: Vec<u64>,
    mean: Vec<f64>,
    /// Sum of the squared distances from the mean.
    m2: Vec<f64>,
    min: Vec<f64>,
    max: Vec<f64>,
}

/// A number that moments are taken of.
pub trait Number: Copy {
    /// Return it as the widest float, exactly but for 64-bit integers beyond 2^53.
    fn wide(self) -> f64;
}

macro_rules! numbers {
    ($($number:ty),*) => { $(impl Number for $number {
        #[inline]
        fn wide(self) -> f64 {
            f64::from(self)
        }
    })* };
}

numbers!(f32, f64, u8, i8, u16, i16, u32, i32, half::f16);

impl Number for i64 {
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "documented")]
    fn wide(self) -> f64 {
        self as f64
    }
}

impl Number for u64 {
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "documented")]
    fn wide(self) -> f64 {
        self as f64
    }
}

impl Moments {
    /// Make one that has seen nothing, of rows of `width` elements.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self {
            rows: 0,
            nan_rows: 0,
            first_nan: None,
            count: vec![0; width],
            mean: vec![0.0; width],
            m2: vec![0.0; width],
            min: vec![f64::INFINITY; width],
            max: vec![f64::NEG_INFINITY; width],
        }
    }

    /// Take in some rows, one after the other; what doesn't make a whole row is left out.
    pub fn add<T: Number>(&mut self, values: &[T]) {
        let width = self.count.len();
        if width == 0 {
            return;
        }
        let mut block = Block::new(width);
        for values in values.chunks(block_rows::<T>(width) * width) {
            self.take_in(&mut block, values.chunks_exact(width));
        }
    }

    /// Take in the rows of these numbers, as if they lay one after the other.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn add_rows<T: Number>(&mut self, values: &[T], numbers: &[u64]) {
        let width = self.count.len();
        if width == 0 {
            return;
        }
        let mut block = Block::new(width);
        for numbers in numbers.chunks(block_rows::<T>(width)) {
            #[expect(clippy::cast_possible_truncation, reason = "rows in memory")]
            let rows = numbers.iter().map(|&row| &values[row as usize * width..][..width]);
            self.take_in(&mut block, rows);
        }
    }

    fn take_in<'a, T: Number + 'a>(
        &mut self,
        block: &mut Block,
        rows: impl ExactSizeIterator<Item = &'a [T]> + Clone,
    ) {
        let n = rows.len() as u64;
        self.merge(block.measure(rows.clone()));
        self.find_nan(rows, block);
        self.rows += n;
    }

    fn merge(&mut self, block: &Block) {
        for at in 0..self.count.len() {
            let (before, here) = (self.count[at], block.count[at]);
            self.min[at] = self.min[at].min(block.min[at]);
            self.max[at] = self.max[at].max(block.max[at]);
            if here == 0 {
                continue;
            }
            let total = before + here;
            let share = wide(here) / wide(total);
            let delta = block.mean[at] - self.mean[at];
            // The first block is taken as it is: infinities would make NaN of the distance to nothing.
            if before == 0 {
                (self.mean[at], self.m2[at]) = (block.mean[at], block.m2[at]);
            } else {
                self.m2[at] += block.m2[at] + delta * delta * wide(before) * share;
                self.mean[at] += delta * share;
            }
            self.count[at] = total;
        }
    }

    fn find_nan<'a, T: Number + 'a>(&mut self, rows: impl ExactSizeIterator<Item = &'a [T]>, block: &Block) {
        let n = rows.len() as u64;
        if block.count.iter().all(|&count| count == n) {
            return;
        }
        for (row, values) in (self.rows..).zip(rows) {
            if let Some(at) = values.iter().position(|value| value.wide().is_nan()) {
                self.nan_rows += 1;
                self.first_nan.get_or_insert((row, at));
            }
        }
    }

    /// Return the rows that were taken in.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Return the rows that have a NaN.
    #[must_use]
    pub const fn nan_rows(&self) -> u64 {
        self.nan_rows
    }

    /// Return row and element of the first NaN.
    #[must_use]
    pub const fn first_nan(&self) -> Option<(u64, usize)> {
        self.first_nan
    }

    /// Return how many numbers each element has, NaN left out.
    #[must_use]
    pub fn count(&self) -> &[u64] {
        &self.count
    }

    /// Return the mean of each element, 0 without numbers.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Return the sum of each element's squared distances from its mean.
    #[must_use]
    pub fn m2(&self) -> &[f64] {
        &self.m2
    }

    /// Return the least number of each element, infinity without any.
    #[must_use]
    pub fn min(&self) -> &[f64] {
        &self.min
    }

    /// Return the greatest number of each element, negative infinity without any.
    #[must_use]
    pub fn max(&self) -> &[f64] {
        &self.max
    }
}

/// What one block looks like; its vectors are used again for the next.
struct Block {
    count: Vec<u64>,
    mean: Vec<f64>,
    m2: Vec<f64>,
    min: Vec<f64>,
    max: Vec<f64>,
}

impl Block {
    fn new(width: usize) -> Self {
        let zeros = || vec![0.0; width];
        Self { count: vec![0; width], mean: zeros(), m2: zeros(), min: zeros(), max: zeros() }
    }

    fn measure<'a, T: Number + 'a>(&mut self, rows: impl Iterator<Item = &'a [T]> + Clone) -> &Self {
        self.count.fill(0);
        self.mean.fill(0.0);
        self.m2.fill(0.0);
        self.min.fill(f64::INFINITY);
        self.max.fill(f64::NEG_INFINITY);
        for row in rows.clone() {
            let sums = self.count.iter_mut().zip(&mut self.mean).zip(self.min.iter_mut().zip(&mut self.max));
            for (((count, sum), (min, max)), value) in sums.zip(row) {
                let value = value.wide();
                let there = !value.is_nan();
                *count += u64::from(there);
                *sum += if there { value } else { 0.0 };
                // A comparison with NaN is false, and leaves what was.
                *min = if value < *min { value } else { *min };
                *max = if value > *max { value } else { *max };
            }
        }
        for (mean, count) in self.mean.iter_mut().zip(&self.count) {
            *mean /= wide((*count).max(1));
        }
        for row in rows {
            for ((m2, mean), value) in self.m2.iter_mut().zip(&self.mean).zip(row) {
                let distance = value.wide() - mean;
                *m2 += if value.wide().is_nan() { 0.0 } else { distance * distance };
            }
        }
        self
    }
}

/// Rows of a block.
fn block_rows<T>(width: usize) -> usize {
    (BLOCK_BYTES / (size_of::<T>() * width)).max(1)
}

#[expect(clippy::cast_precision_loss, reason = "no file has 2^53 rows")]
const fn wide(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
#[path = "moments_tests.rs"]
mod tests;
