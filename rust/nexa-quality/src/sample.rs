//! Which rows are looked at closely: those whose numbers have the least hashes.
//!
//! A row's hash is a function of its number alone, so that the sample is uniform, the same for any cut into batches, shards and
//! threads, and two samples merge by keeping the least of both (bottom-k sampling: Cohen and Kaplan 2007).
//! By the inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's constant (1990), a quantile's rank in a sample of k is with
//! probability 1 - δ nowhere further off than √(ln(2/δ) / 2k) of the rows.

use crate::distinct::mixed;
use crate::moments::wide;

/// Most rows that a sample holds.
pub const SAMPLE_ROWS: usize = 1 << 16;

const DELTA: f64 = 0.01;

/// The rows of a sample, in the order in which they came.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    limit: usize,
    /// No row whose hash is this or more is among the `limit` least.
    bound: u64,
    hashes: Vec<u64>,
}

impl Sample {
    /// Make one of at most `limit` rows.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, bound: u64::MAX, hashes: Vec::new() }
    }

    /// Take in rows `first .. first + rows`, and return which of them, counted from the first, are in the sample so far.
    pub(crate) fn choose(&mut self, first: u64, rows: usize) -> Vec<u32> {
        let mut chosen = Vec::new();
        for at in 0..rows {
            let hash = row_hash(first + at as u64);
            if hash < self.bound {
                self.hashes.push(hash);
                #[expect(clippy::cast_possible_truncation, reason = "a batch has fewer rows")]
                chosen.push(at as u32);
            }
        }
        chosen
    }

    /// Let go of rows beyond the limit, once they are many, and return the places of those that are kept; `None` if all are.
    pub(crate) fn prune(&mut self, slack: usize) -> Option<Vec<u32>> {
        if self.hashes.len() <= self.limit + slack {
            return None;
        }
        let mut order = self.hashes.clone();
        let (_, &mut bound, _) = order.select_nth_unstable(self.limit);
        self.bound = bound;
        let kept = (0_u32..).zip(&self.hashes).filter(|&(_, &hash)| hash < bound).map(|(at, _)| at).collect();
        self.hashes.retain(|&hash| hash < bound);
        Some(kept)
    }

    /// Take in the rows of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.hashes.extend(&other.hashes);
    }

    /// Return the rows that may come before it is time to let go of some.
    pub(crate) const fn slack(&self) -> usize {
        self.limit / 2
    }

    /// Return how many rows there are.
    pub(crate) const fn len(&self) -> usize {
        self.hashes.len()
    }
}

/// Return how far, with probability 0.99, a quantile's rank is off at most, as a share of the rows.
pub(crate) fn rank_error(sampled: usize, rows: u64) -> f64 {
    if sampled as u64 >= rows { 0.0 } else { ((2.0 / DELTA).ln() / (2.0 * wide(sampled as u64))).sqrt() }
}

/// Return a row's hash: one to one, so that no two rows tie.
#[inline(always)]
pub(crate) const fn row_hash(row: u64) -> u64 {
    mixed(row ^ 0x5851_F42D_4C95_7F2D)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(cuts: &[u64]) -> Vec<u64> {
        let mut sample = Sample::new(100);
        let mut rows = Vec::new();
        for pair in cuts.windows(2) {
            let chosen = sample.choose(pair[0], (pair[1] - pair[0]) as usize);
            rows.extend(chosen.iter().map(|&at| pair[0] + u64::from(at)));
            if let Some(keep) = sample.prune(sample.slack()) {
                rows = keep.iter().map(|&at| rows[at as usize]).collect();
            }
        }
        if let Some(keep) = sample.prune(0) {
            rows = keep.iter().map(|&at| rows[at as usize]).collect();
        }
        rows
    }

    #[test]
    fn the_sample_is_the_same_for_any_cut() {
        let whole = kept(&[0, 10_000]);
        assert_eq!(whole.len(), 100);
        assert_eq!(whole, kept(&[0, 1, 77, 5_000, 5_000, 9_999, 10_000]));
    }

    #[test]
    fn few_rows_are_all_in_it() {
        assert_eq!(kept(&[0, 60, 100]).len(), 100);
        assert_eq!(rank_error(100, 100), 0.0);
        assert!((rank_error(SAMPLE_ROWS, 1 << 20) - 0.00636).abs() < 1e-5);
    }
}
