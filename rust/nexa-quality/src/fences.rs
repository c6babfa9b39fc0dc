//! Beyond which values lie outliers: further out than a column's own tails lead one to expect.
//!
//! ```text
//! each side's tail:  x - median = a · (-ln 2p)^b,  p the share beyond x;   a and b such that p is 1/4 and 1/20 where it is so
//! fence:             the tail at p = 10^-6, and a quarter further;  not within three interquartile ranges (Tukey 1977: far out)
//! positive values:   the same for their logarithms; a value is beyond the fence if it is beyond both
//! ```
//!
//! 1. A tail of this form is uniform's for b = 1/2 about, normal's for 3/4, an exponential's for 1, and heavier ones' above, so that a
//!    skewed column isn't full of outliers, and a normal one's begin at 7.5 standard deviations.
//! 2. Quartiles and the 5th and 95th percentile don't move for what a few percent of wrong values are.

use crate::moments::wide;
use crate::summary::scaled;

const INNER: f64 = 0.25;
const OUTER: f64 = 0.05;
const FAR: f64 = 1e-6;
const FURTHER: f64 = 1.25;
const RANGES: f64 = 3.0;
const FEWEST: u64 = 40;
const FEWEST_VALUES: usize = 10;

/// Return below and above which values are outliers; `None` where there are too few values, or most are one.
pub(crate) fn fences(ordered: &[(f64, u64)], min: f64) -> Option<(f64, f64)> {
    let total: u64 = ordered.iter().map(|(_, count)| count).sum();
    if total < FEWEST {
        return None;
    }
    let shares = [OUTER, INNER, 0.5, 1.0 - INNER, 1.0 - OUTER];
    let at = shares.map(|share| quantile(ordered, share, total));
    let range = at[3] - at[1];
    // Of codes and flags, and where more than half is one value, no scale is known.
    if range <= 0.0 || !range.is_finite() || ordered.len() < FEWEST_VALUES {
        return None;
    }
    let (mut low, mut high) = tails(at);
    if min > 0.0 {
        let (below, above) = tails(at.map(f64::ln));
        low = low.min(below.exp());
        high = high.max(above.exp());
    }
    let (low, high) = (low.min(at[1] - RANGES * range), high.max(at[3] + RANGES * range));
    (low.is_finite() && high.is_finite()).then_some((low, high))
}

/// Return how many of `finite` values lie beyond the fences.
pub(crate) fn beyond(ordered: &[(f64, u64)], (low, high): (f64, f64), finite: u64) -> u64 {
    let total: u64 = ordered.iter().map(|(_, count)| count).sum();
    let outside =
        ordered.iter().filter(|(value, _)| *value < low || *value > high).map(|(_, count)| count).sum();
    scaled(outside, finite, total)
}

fn tails([p05, p25, p50, p75, p95]: [f64; 5]) -> (f64, f64) {
    (p50 - reach(p50 - p25, p50 - p05, p75 - p25), p50 + reach(p75 - p50, p95 - p50, p75 - p25))
}

/// Return how far a tail reaches that is `inner` and `outer` away from the median where a quarter and a twentieth are beyond.
fn reach(inner: f64, outer: f64, range: f64) -> f64 {
    let depth = |share: f64| -(2.0 * share).ln();
    // A side that the quartile doesn't leave the median on is taken for as wide as a fifth of the whole at least.
    let inner = inner.max(range / 5.0);
    let outer = outer.max(inner);
    let b = (outer / inner).ln() / (depth(OUTER) / depth(INNER)).ln();
    FURTHER * inner * (depth(FAR) / depth(INNER)).powf(b)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank below the number of values"
)]
fn quantile(ordered: &[(f64, u64)], share: f64, total: u64) -> f64 {
    let rank = (share * wide(total - 1)).round() as u64;
    let mut passed = 0;
    for &(value, count) in ordered {
        passed += count;
        if passed > rank {
            return value;
        }
    }
    f64::NAN
}
