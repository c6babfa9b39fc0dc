//! Whose turn it is when several take turns by exact weights.
//!
//! ```text
//! split(slot, sources): one source?  it is its item number `slot`
//!     half the sources on each side, with weights l and r
//!     before = floor(slot · l / (l + r))                       slots of the left side before this one
//!     left gets this slot if floor((slot + 1) · l / (l + r)) > before, as its slot number `before`;
//!     else right gets it, as its slot number `slot - before`
//! ```
//!
//! 1. Each level deals its slots to two sides with whole numbers alone; each side's own slots are numbered without gaps, so
//!    that slot → (source, item) is a bijection, items in order, and counts never fall back.
//! 2. After `t` slots a side has had its exact share to less than one, so a source to less than the number of levels.
//! 3. After as many slots as the weights sum to, each source has had exactly its weight.
//! 4. A slot costs a division a level and no memory, and every step can be undone ([`Shares::slot_of`]).

/// Deals slots to sources by their weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Sum of the weights before each source, and of all.
    sums: Vec<u64>,
}

impl Shares {
    /// Weights are positive, and their sum is below 2⁶³.
    pub(crate) fn new(weights: impl IntoIterator<Item = u64>) -> Self {
        let mut sums = vec![0];
        sums.extend(weights.into_iter().scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        }));
        Self { sums }
    }

    /// Return the source that has `slot`, and how many slots it has had before.
    #[inline]
    pub(crate) fn locate(&self, slot: u64) -> (usize, u64) {
        let (mut low, mut high, mut at) = (0, self.sums.len() - 1, slot);
        while high - low > 1 {
            let (middle, left, all) = self.halves(low, high);
            let (before, rest) = divide(at, left, all);
            if rest + left >= all {
                (high, at) = (middle, before);
            } else {
                (low, at) = (middle, at - before);
            }
        }
        (low, at)
    }

    /// Return how many of the first `slots` slots each source has.
    pub(crate) fn counts(&self, slots: u64) -> Vec<u64> {
        let mut counts = vec![0; self.sums.len() - 1];
        self.deal(0, counts.len(), slots, &mut counts);
        counts
    }

    fn deal(&self, low: usize, high: usize, slots: u64, counts: &mut [u64]) {
        match high - low {
            0 => {}
            1 => counts[low] = slots,
            _ => {
                let (middle, left, all) = self.halves(low, high);
                let (before, _) = divide(slots, left, all);
                self.deal(low, middle, before, counts);
                self.deal(middle, high, slots - before, counts);
            }
        }
    }

    /// Return the slot that gives `source` its item number `item`: the inverse of [`locate`](Self::locate); `u64::MAX`
    /// where that is beyond all numbers.
    pub(crate) fn slot_of(&self, source: usize, item: u64) -> u64 {
        self.climb(0, self.sums.len() - 1, source, item).unwrap_or(u64::MAX)
    }

    fn climb(&self, low: usize, high: usize, source: usize, item: u64) -> Option<u64> {
        if high - low <= 1 {
            return Some(item);
        }
        let (middle, left, all) = self.halves(low, high);
        let slot = if source < middle {
            let item = self.climb(low, middle, source, item)?;
            ((u128::from(item) + 1) * u128::from(all)).div_ceil(u128::from(left)) - 1
        } else {
            let item = self.climb(middle, high, source, item)?;
            u128::from(item) * u128::from(all) / u128::from(all - left)
        };
        u64::try_from(slot).ok()
    }

    fn halves(&self, low: usize, high: usize) -> (usize, u64, u64) {
        let middle = low + (high - low) / 2;
        (middle, self.sums[middle] - self.sums[low], self.sums[high] - self.sums[low])
    }
}

/// Return quotient and remainder of `at · part / all`.
#[inline]
fn divide(at: u64, part: u64, all: u64) -> (u64, u64) {
    if let Some(product) = at.checked_mul(part) {
        return (product / all, product % all);
    }
    let (product, all) = (u128::from(at) * u128::from(part), u128::from(all));
    // The quotient is at most `at`, as `part` is at most `all`.
    ((product / all) as u64, (product % all) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(prop_oneof![1_u64..10, 1_u64..1_000_000, Just(1_u64 << 58)], 1..9)
    }

    proptest! {
        #[test]
        fn items_come_in_order_and_counts_agree(weights in weights(), slots in 1_u64..300) {
            let shares = Shares::new(weights.iter().copied());
            let mut seen = vec![0; weights.len()];
            for slot in 0..slots {
                prop_assert_eq!(&shares.counts(slot), &seen);
                let (source, item) = shares.locate(slot);
                prop_assert_eq!(item, seen[source]);
                prop_assert_eq!(shares.slot_of(source, item), slot);
                seen[source] += 1;
            }
        }

        #[test]
        fn each_has_its_share_to_less_than_the_number_of_levels(weights in weights(), slots in 0_u64..1 << 62) {
            let total: u64 = weights.iter().sum();
            let levels = weights.len().next_power_of_two().trailing_zeros().max(1);
            for (count, &weight) in Shares::new(weights.iter().copied()).counts(slots).into_iter().zip(&weights) {
                let exact = u128::from(slots) * u128::from(weight);
                let off = exact.abs_diff(u128::from(count) * u128::from(total));
                prop_assert!(off <= u128::from(levels) * u128::from(total));
            }
        }

        #[test]
        fn after_the_sum_of_the_weights_each_has_had_its_weight(weights in weights(), rounds in 0_u64..4) {
            let total: u64 = weights.iter().sum();
            let counts = Shares::new(weights.iter().copied()).counts(total * rounds);
            prop_assert_eq!(counts, weights.iter().map(|weight| weight * rounds).collect::<Vec<_>>());
        }

        #[test]
        fn a_slot_far_away_is_found_again(weights in weights(), slot in 0_u64..1 << 62) {
            let shares = Shares::new(weights.iter().copied());
            let (source, item) = shares.locate(slot);
            prop_assert_eq!(shares.slot_of(source, item), slot);
        }
    }

    #[test]
    fn equal_weights_take_turns() {
        let shares = Shares::new([1, 1, 1, 1]);
        for round in 0..50 {
            let mut turn: Vec<usize> = (0..4).map(|at| shares.locate(round * 4 + at).0).collect();
            turn.sort_unstable();
            assert_eq!(turn, [0, 1, 2, 3]);
        }
    }

    #[test]
    fn what_no_number_reaches_is_the_largest() {
        assert_eq!(Shares::new([1, 1 << 62]).slot_of(0, 1 << 40), u64::MAX);
    }
}
