//! Position → record: a keyed bijection over `[0, n)`.
//!
//! ```text
//! bits  = bits needed for n - 1, cut into a low half of ceil(bits/2) and a high half of floor(bits/2)
//! round = high ^= F(low, key[0]); low ^= F(high, key[1]); high ^= F(low, key[2]); …   (8 rounds)
//! walk  = apply the rounds until the value is below n
//! ```
//!
//! 1. Each round changes one half by a function of the other, so it is undone by itself: a bijection over
//!    `[0, 2^bits)` whatever `F` is.
//! 2. Walking the cycle of a bijection from a value below `n` comes back below `n`, and is undone by walking
//!    backwards: a bijection over `[0, n)`. As `2^bits < 2n`, two applications suffice on average.
//! 3. Unequal halves (they differ by at most one bit) keep that bound for odd `bits`; equal halves would allow `4n`.
//! 4. No table is drawn: position `k` of any epoch costs the same, so resuming is arithmetic.

/// Version of the order: what it yields for (n, seed, epoch) never changes; another order gets another version.
pub const ORDER_VERSION: u32 = 1;

const ROUNDS: usize = 8;
/// Positions that are worked out side by side.
const LANES: usize = 4;

/// The order of one epoch: a pure function of (n, seed, epoch) and [`ORDER_VERSION`].
///
/// ```
/// use nexa_batch::Order;
/// let order = Order::shuffled(10, 7, 0);
/// let mut seen: Vec<u64> = (0..10).map(|k| order.record(k)).collect();
/// seen.sort_unstable();
/// assert_eq!(seen, (0..10).collect::<Vec<_>>());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    n: u64,
    rounds: Option<Rounds>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rounds {
    low_bits: u32,
    low_mask: u64,
    high_mask: u64,
    keys: [u64; ROUNDS],
}

impl Order {
    /// Records as stored.
    pub fn sequential(n: u64) -> Self {
        Self { n, rounds: None }
    }

    /// A permutation of all `n` records, drawn from `seed` and `epoch`; `n` is at most 2⁶³.
    pub fn shuffled(n: u64, seed: u64, epoch: u64) -> Self {
        if n < 2 {
            return Self::sequential(n);
        }
        let bits = u64::BITS - (n - 1).leading_zeros();
        let (low_bits, high_bits) = (bits.div_ceil(2), bits / 2);
        let mut state = mix(mix(seed ^ u64::from(ORDER_VERSION).rotate_left(56)) ^ epoch);
        let keys = std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state)
        });
        let rounds =
            Rounds { low_bits, low_mask: (1 << low_bits) - 1, high_mask: (1 << high_bits) - 1, keys };
        Self { n, rounds: Some(rounds) }
    }

    /// Records in the epoch.
    pub fn len(&self) -> u64 {
        self.n
    }

    /// Whether the epoch has no record.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Record at position `position`, which must be below [`len`](Self::len).
    #[inline]
    pub fn record(&self, position: u64) -> u64 {
        debug_assert!(position < self.n, "position {position} of {}", self.n);
        let Some(rounds) = &self.rounds else { return position };
        rounds.walk(self.n, position)
    }

    /// Append the records at positions `start..start + len` to `found`; beyond the end they begin again at the first.
    ///
    /// The epoch has a record.
    pub fn fill(&self, start: u64, len: usize, found: &mut Vec<u64>) {
        let mut position = start % self.n;
        let mut left = len as u64;
        // A division for each record would cost as much as its copy.
        while left > 0 {
            let run = left.min(self.n - position);
            match &self.rounds {
                Some(rounds) => rounds.fill(self.n, position..position + run, found),
                None => found.extend(position..position + run),
            }
            left -= run;
            position = 0;
        }
    }

    /// Position of record `record`, which must be below [`len`](Self::len): the inverse of [`record`](Self::record).
    pub fn position(&self, record: u64) -> u64 {
        debug_assert!(record < self.n, "record {record} of {}", self.n);
        let Some(rounds) = &self.rounds else { return record };
        let mut value = rounds.backward(record);
        while value >= self.n {
            value = rounds.backward(value);
        }
        value
    }
}

impl Rounds {
    #[inline]
    fn forward(&self, value: u64) -> u64 {
        let (mut low, mut high) = (value & self.low_mask, value >> self.low_bits);
        for pair in self.keys.chunks_exact(2) {
            high ^= half(low, pair[0]) & self.high_mask;
            low ^= half(high, pair[1]) & self.low_mask;
        }
        (high << self.low_bits) | low
    }

    /// Append the records of some positions below `n`, a few of them side by side: each alone is a long chain of
    /// multiplications that wait for one another.
    fn fill(&self, n: u64, positions: std::ops::Range<u64>, found: &mut Vec<u64>) {
        let mut first = positions.start;
        while positions.end - first >= LANES as u64 {
            let mut values: [u64; LANES] = std::array::from_fn(|lane| first + lane as u64);
            self.forward_lanes(&mut values);
            // Taken out of the chain, since it is rare where n is near a power of two.
            for value in &mut values {
                while *value >= n {
                    *value = self.forward(*value);
                }
            }
            found.extend_from_slice(&values);
            first += LANES as u64;
        }
        found.extend((first..positions.end).map(|at| self.walk(n, at)));
    }

    #[inline]
    fn walk(&self, n: u64, value: u64) -> u64 {
        let mut value = self.forward(value);
        while value >= n {
            value = self.forward(value);
        }
        value
    }

    #[inline]
    fn forward_lanes(&self, values: &mut [u64; LANES]) {
        let mut lows = values.map(|value| value & self.low_mask);
        let mut highs = values.map(|value| value >> self.low_bits);
        for pair in self.keys.chunks_exact(2) {
            for (high, &low) in highs.iter_mut().zip(&lows) {
                *high ^= half(low, pair[0]) & self.high_mask;
            }
            for (low, &high) in lows.iter_mut().zip(&highs) {
                *low ^= half(high, pair[1]) & self.low_mask;
            }
        }
        for (value, (low, high)) in values.iter_mut().zip(lows.into_iter().zip(highs)) {
            *value = (high << self.low_bits) | low;
        }
    }

    fn backward(&self, value: u64) -> u64 {
        let (mut low, mut high) = (value & self.low_mask, value >> self.low_bits);
        for pair in self.keys.rchunks_exact(2) {
            low ^= half(high, pair[1]) & self.low_mask;
            high ^= half(low, pair[0]) & self.high_mask;
        }
        (high << self.low_bits) | low
    }
}

/// One round's function: a multiplication spreads the half over the upper bits, which are the ones used.
#[inline]
fn half(value: u64, key: u64) -> u64 {
    let product = (value ^ key).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (product ^ (product >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014): every input bit flips every output bit half the time.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_small_epoch_holds_each_record_once() {
        for n in 0..=600_u64 {
            let order = Order::shuffled(n, 3, 1);
            let mut seen = vec![false; usize::try_from(n).unwrap()];
            for k in 0..n {
                let record = order.record(k);
                assert!(!std::mem::replace(&mut seen[usize::try_from(record).unwrap()], true));
                assert_eq!(order.position(record), k);
            }
        }
    }

    #[test]
    fn large_epochs_hold_each_record_once() {
        for n in [4095_u64, 4096, 4097, 65_535, 65_536] {
            let order = Order::shuffled(n, 11, 0);
            let mut seen = vec![false; usize::try_from(n).unwrap()];
            (0..n).for_each(|k| seen[usize::try_from(order.record(k)).unwrap()] = true);
            assert!(seen.into_iter().all(|once| once));
        }
    }

    #[test]
    fn seeds_and_epochs_give_other_orders() {
        let first: Vec<_> = (0..100).map(|k| Order::shuffled(100, 1, 0).record(k)).collect();
        let epoch: Vec<_> = (0..100).map(|k| Order::shuffled(100, 1, 1).record(k)).collect();
        let seed: Vec<_> = (0..100).map(|k| Order::shuffled(100, 2, 0).record(k)).collect();
        assert!(first != epoch && first != seed && epoch != seed);
        assert_ne!(first, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn positions_and_records_are_not_correlated() {
        let n = 10_000_u64;
        let mean = (n - 1) as f64 / 2.0;
        for seed in 0..20 {
            let order = Order::shuffled(n, seed, 0);
            let covariance: f64 =
                (0..n).map(|k| (k as f64 - mean) * (order.record(k) as f64 - mean)).sum::<f64>() / n as f64;
            let correlation = covariance / ((n * n - 1) as f64 / 12.0);
            // The standard error of a random permutation's correlation is 1/sqrt(n - 1) = 0.01.
            assert!(correlation.abs() < 0.045, "seed {seed}: {correlation}");
        }
    }

    #[test]
    fn neighbours_are_parted() {
        let n = 10_000_u64;
        let order = Order::shuffled(n, 5, 0);
        let adjacent = (1..n).filter(|&k| order.record(k).abs_diff(order.record(k - 1)) == 1).count();
        // Two of n - 1 are expected in a random permutation.
        assert!(adjacent <= 12, "{adjacent} adjacent pairs");
    }

    #[test]
    fn the_first_order_is_golden() {
        let order = Order::shuffled(10, 0, 0);
        let records: Vec<_> = (0..10).map(|k| order.record(k)).collect();
        assert_eq!(records, GOLDEN_10);
        assert_eq!(Order::shuffled(1 << 63, 42, 3).record(123_456_789), GOLDEN_HUGE);
    }

    const GOLDEN_10: [u64; 10] = [5, 6, 2, 1, 9, 7, 4, 8, 3, 0];
    const GOLDEN_HUGE: u64 = 8_442_989_405_691_153_131;

    proptest! {
        #[test]
        fn many_at_once_are_those_one_by_one(n in 1_u64..5000, seed: u64, start in 0_u64..6000, len in 0_usize..200) {
            let order = Order::shuffled(n, seed, 0);
            let mut found = Vec::new();
            order.fill(start, len, &mut found);
            let expected: Vec<u64> = (0..len as u64).map(|at| order.record((start + at) % n)).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn position_undoes_record(n in 1_u64..=(1 << 63), seed: u64, epoch: u64, at: u64) {
            let order = Order::shuffled(n, seed, epoch);
            let k = at % n;
            let record = order.record(k);
            prop_assert!(record < n);
            prop_assert_eq!(order.position(record), k);
        }
    }
}
