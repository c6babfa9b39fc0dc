//! Order of an epoch of several sources: each in an order of its own, which of them comes next mixed as well.
//!
//! ```text
//! position k → window k / 4096, place in it → keyed bijection over the window → slot
//! slot       → (source, how many it has given in this epoch)                    (mixture.rs)
//! index      = what it gave in the epochs before + that;  pass = index / n, row = index mod n
//! record     = the source's first record + keyed bijection over its n records, drawn for (source, pass), at row
//! ```
//!
//! 1. Dealing is regular (of two equal sources each has every second slot), and neighbours in it always the same; the
//!    bijection over a window takes that away, and keeps every window's shares as exact as dealing made them.
//! 2. Sources go on where the epoch before left them, so that a large one with a small weight is seen whole before any of
//!    its records comes again.

use std::ops::Range;
use std::sync::Arc;

use crate::permutation::{Permutation, derive};
use crate::{Mixture, Selection};

/// Positions among which the turns of the sources are mixed; part of the order's definition.
pub const MIXTURE_WINDOW: u64 = 4096;

const SOURCES: u64 = 0x736f_7572_6365_0001;
const TURNS: u64 = 0x7475_726e_7300_0001;

/// A mixture's order in one epoch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MixedOrder {
    mixture: Arc<Mixture>,
    sources: Vec<Source>,
    /// Seed of the windows of this epoch; none if nothing is shuffled.
    turns: Option<u64>,
    /// Which record stands behind each number, where the sources aren't ranges of records.
    table: Option<Arc<Selection>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Source {
    first: u64,
    /// Records given in the epochs before.
    done: u64,
    seed: u64,
    /// The pass that the epoch begins in, and its permutation: most records of an epoch are of it.
    pass: u64,
    drawn: Permutation,
}

impl MixedOrder {
    /// `done` is what each source has given before this epoch; `table` has a number for each record of all sources.
    pub(crate) fn draw(
        mixture: Arc<Mixture>,
        done: &[u64],
        seed: u64,
        epoch: u64,
        shuffle: bool,
        table: Option<Arc<Selection>>,
    ) -> Self {
        let mut next = 0;
        let sources = (0..).zip(mixture.records()).zip(done).map(|((number, &n), &done)| {
            let (first, pass) = (next, done / n);
            next += n;
            let seed = derive(seed, SOURCES, number);
            Source { first, done, seed, pass, drawn: Permutation::draw(n, seed, pass) }
        });
        let sources = sources.collect();
        Self { mixture, sources, turns: shuffle.then(|| derive(seed, TURNS, epoch)), table }
    }

    pub(crate) fn len(&self) -> u64 {
        self.mixture.len()
    }

    /// Records that it draws from.
    pub(crate) fn bound(&self) -> u64 {
        self.sources.last().map_or(0, |source| source.first + source.drawn.len())
    }

    pub(crate) fn record(&self, position: u64) -> u64 {
        match self.window(position / MIXTURE_WINDOW) {
            Some(window) => {
                self.at(position - position % MIXTURE_WINDOW + window.apply(position % MIXTURE_WINDOW))
            }
            None => self.at(position),
        }
    }

    /// Append the records at `positions` to `found`.
    pub(crate) fn extend(&self, positions: Range<u64>, found: &mut Vec<u64>) {
        let Range { mut start, end } = positions;
        while start < end {
            let first = start - start % MIXTURE_WINDOW;
            let upto = end.min(first + MIXTURE_WINDOW);
            match self.window(first / MIXTURE_WINDOW) {
                Some(window) => {
                    let before = found.len();
                    window.extend(start - first..upto - first, found);
                    found[before..].iter_mut().for_each(|at| *at = self.at(first + *at));
                }
                None => found.extend((start..upto).map(|slot| self.at(slot))),
            }
            start = upto;
        }
    }

    fn window(&self, number: u64) -> Option<Permutation> {
        let size = MIXTURE_WINDOW.min(self.len() - number * MIXTURE_WINDOW);
        self.turns.map(|seed| Permutation::draw(size, seed, number))
    }

    #[inline]
    fn at(&self, slot: u64) -> u64 {
        let (number, given) = self.mixture.locate(slot);
        let source = &self.sources[number];
        // A state's numbers may be anything; what is so large comes round.
        let index = source.done.wrapping_add(given);
        let (pass, row) = (index / source.drawn.len(), index % source.drawn.len());
        let row = if self.turns.is_none() {
            row
        } else if pass == source.pass {
            source.drawn.apply(row)
        } else {
            Permutation::draw(source.drawn.len(), source.seed, pass).apply(row)
        };
        let number = source.first + row;
        match &self.table {
            // A table is as long as the sources together: checked where the order is made.
            Some(table) => table.get(number).unwrap_or(u64::MAX),
            None => number,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Mixing, Order, Stop};

    fn mixture(records: &[u64], weights: &[u64], stop: Stop) -> Arc<Mixture> {
        let mixing = Mixing { from: 0, weights: weights.to_vec(), most: vec![None; records.len()], stop };
        Arc::new(Mixture::plan(records, &[mixing]).unwrap())
    }

    fn all(order: &Order) -> Vec<u64> {
        let mut found = Vec::new();
        order.fill(0, usize::try_from(order.len()).unwrap(), &mut found);
        found
    }

    #[test]
    fn each_source_is_gone_through_before_it_begins_again_also_across_epochs() {
        let plan = mixture(&[300, 7000], &[1, 1], Stop::Records(5000));
        let (mut done, mut times) = (vec![0, 0], Vec::new());
        for epoch in 0..6 {
            let order = Order::mixed(Arc::clone(&plan), &done, 3, epoch, true, None).unwrap();
            let found = all(&order);
            for (position, &record) in (0..).zip(&found) {
                assert_eq!(order.record(position), record);
            }
            // Inside a window records come mixed; passes are told apart by the slots.
            let mut counts = BTreeMap::<u64, usize>::new();
            found.iter().for_each(|&record| *counts.entry(record).or_default() += 1);
            times.extend(counts.range(..300).map(|(_, &count)| count));
            let (before, give) = (done[1], plan.counts(plan.len())[1]);
            let once = counts.range(300..).filter(|&(_, &count)| count == 1).count() as u64;
            if before / 7000 == (before + give - 1) / 7000 {
                assert_eq!(once, give, "no record of a pass comes twice");
            }
            done.iter_mut().zip(plan.counts(plan.len())).for_each(|(done, more)| *done += more);
        }
        assert_eq!(done, [15_000, 15_000]);
        // 2,500 of 300 are eight passes and a third, of which the first and the last may be parts.
        assert_eq!((times.len(), times.iter().sum()), (6 * 300, 15_000));
        assert!(times.iter().all(|count| (7..=9).contains(count)));
    }

    #[test]
    fn a_window_has_its_shares_and_no_pattern() {
        let order = Order::mixed(mixture(&[50_000, 50_000], &[3, 1], Stop::First), &[0, 0], 1, 0, true, None)
            .unwrap();
        let turns: Vec<bool> = all(&order).iter().map(|&record| record < 50_000).collect();
        let whole = turns.chunks_exact(MIXTURE_WINDOW as usize);
        assert!(whole.clone().count() > 10);
        assert!(whole.map(|window| window.iter().filter(|&&first| first).count()).all(|count| count == 3072));
        let same = turns.windows(2).filter(|pair| pair[0] == pair[1]).count() as f64 / turns.len() as f64;
        // Of independent turns 9/16 + 1/16 follow their like; dealt in a pattern, half.
        assert!((same - 0.625).abs() < 0.02, "{same}");
    }

    #[test]
    fn without_shuffling_sources_come_as_stored() {
        let order = Order::mixed(mixture(&[4, 4], &[1, 1], Stop::First), &[0, 0], 1, 0, false, None).unwrap();
        let found = all(&order);
        assert_eq!(found.iter().copied().filter(|&at| at < 4).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(found.iter().copied().filter(|&at| at >= 4).collect::<Vec<_>>(), [4, 5, 6, 7]);
    }

    #[test]
    fn a_table_stands_between_the_sources_and_the_records() {
        let mut table = Selection::below(100);
        table.extend([90, 91, 5, 6]);
        let order = |table| Order::mixed(mixture(&[2, 2], &[1, 1], Stop::First), &[0, 0], 1, 0, true, table);
        let mut found = all(&order(Some(Arc::new(table))).unwrap());
        found.sort_unstable();
        assert_eq!(found, [5, 6, 90, 91]);
        assert!(order(Some(Arc::new(Selection::zeros(9, 3)))).is_err());
    }

    #[test]
    fn numbers_without_end_are_still_records() {
        let huge = mixture(&[1 << 40, 3], &[1, 1 << 20], Stop::Records(1 << 60));
        let order = Order::mixed(huge, &[u64::MAX, u64::MAX], 1, u64::MAX, true, None).unwrap();
        for position in [0, 4095, 1 << 50, (1 << 60) - 1] {
            assert!(order.record(position) < (1 << 40) + 3);
        }
    }
}
