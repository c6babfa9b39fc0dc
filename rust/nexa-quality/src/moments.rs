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
    sum: Pair,
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

    fn plus_pair(self, other: Self) -> Self {
        let sum = self.plus(other.high);
        let (high, low) = two_sum(sum.high, sum.low + other.low);
        Self { high, low }
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
            sum: Pair::default(),
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
        let mut other = 0;
        dispatch(NotFinite { values, count: &mut other });
        if other == 0 {
            self.add_finite(values);
            return;
        }
        self.nans += count(values, f64::is_nan);
        self.positive_infinities += count(values, |value| value == f64::INFINITY);
        self.negative_infinities += count(values, |value| value == f64::NEG_INFINITY);
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        self.add_finite(&finite);
    }

    fn add_finite(&mut self, values: &[f64]) {
        if !values.is_empty() {
            let mut block = Self::default();
            dispatch(Measure { values, into: &mut block });
            self.merge(&block);
        }
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
        if self.finite == 0 {
            (self.sum, self.m2) = (other.sum, other.m2);
        } else {
            let (ours, theirs) = (self.mean_pair(), other.mean_pair());
            let delta = (theirs.high - ours.high) + (theirs.low - ours.low);
            let share = wide(other.finite) / wide(total);
            self.m2 += other.m2 + delta * delta * wide(self.finite) * share;
            self.sum = self.sum.plus_pair(other.sum);
        }
        self.finite = total;
    }

    /// Return the mean of the finite numbers, `None` without any.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.finite > 0).then(|| self.mean_pair().value())
    }

    fn mean_pair(&self) -> Pair {
        self.sum.divided(wide(self.finite))
    }

    /// Return the population's standard deviation, `None` without finite numbers.
    #[must_use]
    pub fn std(&self) -> Option<f64> {
        (self.finite > 0).then(|| (self.m2 / wide(self.finite)).max(0.0).sqrt())
    }
}

/// Measures numbers that are all finite.
struct Measure<'a> {
    values: &'a [f64],
    into: &'a mut Moments,
}

impl Work for Measure<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { values, into } = self;
        let (whole, rest) = values.as_chunks::<LANES>();
        let (mut sum, mut lost) = ([0.0; LANES], [0.0; LANES]);
        let (mut min, mut max) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
        for chunk in whole {
            for lane in 0..LANES {
                let (next, rounding) = two_sum(sum[lane], chunk[lane]);
                sum[lane] = next;
                lost[lane] += rounding;
            }
            for lane in 0..LANES {
                min[lane] = if chunk[lane] < min[lane] { chunk[lane] } else { min[lane] };
                max[lane] = if chunk[lane] > max[lane] { chunk[lane] } else { max[lane] };
            }
        }
        into.finite = values.len() as u64;
        into.zeros = values.iter().map(|&value| u64::from(value == 0.0)).sum();
        into.min = min.iter().chain(rest).copied().fold(f64::INFINITY, f64::min);
        into.max = max.iter().chain(rest).copied().fold(f64::NEG_INFINITY, f64::max);
        let parts = sum.iter().chain(&lost).chain(rest);
        into.sum = parts.copied().fold(Pair::default(), Pair::plus);
        let mean = into.mean_pair();
        let centre = mean.high;
        let mut squares = [0.0; LANES];
        for chunk in whole {
            for lane in 0..LANES {
                let distance = chunk[lane] - centre;
                squares[lane] += distance * distance;
            }
        }
        let rest = rest.iter().map(|value| (value - centre) * (value - centre));
        let squares: f64 = squares.into_iter().chain(rest).sum();
        into.m2 = squares - wide(into.finite) * mean.low * mean.low;
    }
}

/// Counts what is no finite number.
struct NotFinite<'a> {
    values: &'a [f64],
    count: &'a mut u64,
}

impl Work for NotFinite<'_> {
    #[inline(always)]
    fn run(self) {
        *self.count = self.values.iter().map(|value| u64::from(!value.is_finite())).sum();
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
