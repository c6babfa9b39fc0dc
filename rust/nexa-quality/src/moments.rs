//! Count, extremes, mean and spread of numbers, so exact that it doesn't show how they were cut into batches.
//!
//! ```text
//! for each block:   sum of the finite numbers, in eight lanes, each with what rounding took away    (TwoSum: Knuth)
//!                   mean = sum / count, as two floats;   m2 = Σ (x - mean)²                         (still in the cache)
//!                   merge into what was seen before                             (Chan, Golub, LeVeque 1983)
//! ```
//!
//! 1. Sum and mean are pairs of floats, about 32 digits: numbers that cancel each other, and a mean far from 0 beside a small
//!    spread, lose nothing that matters.
//! 2. Lanes are ordinary arrays, which the compiler makes vectors of; there are eight on every CPU, so that no result
//!    depends on it.

use nexa_io::wide::{Work, dispatch};

const LANES: usize = 8;

/// What was seen of some numbers.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Numbers that are neither NaN nor infinite.
    pub finite: u64,
    /// Numbers that are NaN.
    pub nans: u64,
    /// Numbers that are +∞.
    pub positive_infinities: u64,
    /// Numbers that are −∞.
    pub negative_infinities: u64,
    /// Numbers that are 0.
    pub zeros: u64,
    /// Least finite number, +∞ without any.
    pub min: f64,
    /// Greatest finite number, −∞ without any.
    pub max: f64,
    mean: Pair,
    /// Sum of the squared distances from the mean.
    m2: f64,
}

/// An unevaluated sum of two floats, the second of which is what the first can't hold.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    high: f64,
    low: f64,
}

impl Pair {
    #[inline(always)]
    fn plus(self, other: f64) -> Self {
        let (high, rest) = two_sum(self.high, other);
        Self { high, low: self.low + rest }
    }

    fn divided(self, by: f64) -> Self {
        let high = self.high / by;
        // Exact: a fused product and sum rounds once.
        let rest = (-high).mul_add(by, self.high);
        Self { high, low: (rest + self.low) / by }
    }

    fn value(self) -> f64 {
        self.high + self.low
    }
}

/// Return a sum and what rounding took away from it.
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let virtual_b = sum - a;
    (sum, (a - (sum - virtual_b)) + (b - virtual_b))
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            finite: 0,
            nans: 0,
            positive_infinities: 0,
            negative_infinities: 0,
            zeros: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            mean: Pair::default(),
            m2: 0.0,
        }
    }
}

impl Moments {
    /// Take in some numbers; quickest by a few thousand.
    ///
    /// ```
    /// let mut seen = nexa_quality::Moments::default();
    /// seen.add(&[1.0, 3.0, f64::NAN]);
    /// assert_eq!((seen.finite, seen.nans, seen.mean(), seen.std()), (2, 1, Some(2.0), Some(1.0)));
    /// ```
    pub fn add(&mut self, values: &[f64]) {
        let mut block = Self::default();
        dispatch(Measure { values, into: &mut block });
        self.merge(&block);
    }

    /// Take in what another has seen.
    pub fn merge(&mut self, other: &Self) {
        self.nans += other.nans;
        self.positive_infinities += other.positive_infinities;
        self.negative_infinities += other.negative_infinities;
        self.zeros += other.zeros;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if other.finite == 0 {
            return;
        }
        let total = self.finite + other.finite;
        let share = wide(other.finite) / wide(total);
        let delta = (other.mean.high - self.mean.high) + (other.mean.low - self.mean.low);
        if self.finite == 0 {
            (self.mean, self.m2) = (other.mean, other.m2);
        } else {
            self.m2 += other.m2 + delta * delta * wide(self.finite) * share;
            self.mean = merged(self.mean, other.mean, share);
        }
        self.finite = total;
    }

    /// Return the mean of the finite numbers, `None` without any.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.finite > 0).then(|| self.mean.value())
    }

    /// Return the population's standard deviation, `None` without finite numbers.
    #[must_use]
    pub fn std(&self) -> Option<f64> {
        (self.finite > 0).then(|| (self.m2 / wide(self.finite)).max(0.0).sqrt())
    }
}

/// Return `a + (b - a) * share` as a pair.
fn merged(a: Pair, b: Pair, share: f64) -> Pair {
    let (gap, rest) = two_sum(b.high, -a.high);
    let rest = rest + (b.low - a.low);
    let step = gap * share;
    let lost = gap.mul_add(share, -step) + rest * share;
    let sum = a.plus(step);
    let (high, low) = two_sum(sum.high, sum.low + lost);
    Pair { high, low }
}

struct Measure<'a> {
    values: &'a [f64],
    into: &'a mut Moments,
}

impl Work for Measure<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { values, into } = self;
        let mut sum = [0.0; LANES];
        let mut lost = [0.0; LANES];
        let mut finite = [0_u64; LANES];
        let mut zeros = [0_u64; LANES];
        let mut min = [f64::INFINITY; LANES];
        let mut max = [f64::NEG_INFINITY; LANES];
        let (whole, rest) = values.as_chunks::<LANES>();
        let mut last = [f64::NAN; LANES];
        last[..rest.len()].copy_from_slice(rest);
        for chunk in whole.iter().chain(std::iter::once(&last)) {
            for lane in 0..LANES {
                let value = chunk[lane];
                let there = value.abs() < f64::INFINITY;
                let number = if there { value } else { 0.0 };
                let (next, rounding) = two_sum(sum[lane], number);
                sum[lane] = next;
                lost[lane] += rounding;
                finite[lane] += u64::from(there);
                zeros[lane] += u64::from(value == 0.0);
                let (low, high) =
                    (if there { value } else { f64::INFINITY }, if there { value } else { f64::NEG_INFINITY });
                min[lane] = if low < min[lane] { low } else { min[lane] };
                max[lane] = if high > max[lane] { high } else { max[lane] };
            }
        }
        into.finite = finite.iter().sum();
        into.zeros = zeros.iter().sum();
        into.min = min.into_iter().fold(f64::INFINITY, f64::min);
        into.max = max.into_iter().fold(f64::NEG_INFINITY, f64::max);
        if into.finite < values.len() as u64 {
            into.nans = count(values, f64::is_nan);
            into.positive_infinities = count(values, |value| value == f64::INFINITY);
            into.negative_infinities = count(values, |value| value == f64::NEG_INFINITY);
        }
        if into.finite == 0 {
            return;
        }
        let total = sum.into_iter().chain(lost).fold(Pair::default(), Pair::plus);
        into.mean = total.divided(wide(into.finite));
        let centre = into.mean.high;
        let mut squares = [0.0; LANES];
        for chunk in whole.iter().chain(std::iter::once(&last)) {
            for lane in 0..LANES {
                let value = chunk[lane];
                let distance = if value.abs() < f64::INFINITY { value - centre } else { 0.0 };
                squares[lane] += distance * distance;
            }
        }
        let squares: f64 = squares.iter().sum();
        into.m2 = squares - wide(into.finite) * into.mean.low * into.mean.low;
    }
}

fn count(values: &[f64], which: impl Fn(f64) -> bool) -> u64 {
    values.iter().filter(|&&value| which(value)).count() as u64
}

#[expect(clippy::cast_precision_loss, reason = "nothing has 2^53 rows")]
pub(crate) const fn wide(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
#[path = "moments_tests.rs"]
mod tests;
