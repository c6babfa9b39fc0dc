//! Order for data beyond memory: blocks of neighbouring records in random order, a window of blocks mixed at a time.
//!
//! ```text
//! blocks  = ceil(n / block), the last one shorter;  their order: a keyed bijection over [0, blocks)
//! window  = `window` blocks that follow each other in that order; its records: a keyed bijection over their number
//! k       → window k / (window · block), place in it → bijection → block of the window and row in the block
//! ```
//!
//! 1. The short block stands anywhere in the order of blocks, so one window is shorter than the others, and inside it
//!    one block. [`Cut`] is both: equal pieces of which one misses something.
//! 2. All is arithmetic: no window is drawn to find a position in it, and the inverse takes the same steps backwards.
//! 3. What the next positions need is known block by block ([`BlockOrder::ranges`]): large reads from start to end.

use std::ops::Range;

use crate::permutation::{Permutation, derive};

const BLOCKS: u64 = 0x626c_6f63_6b73_0001;
const WINDOWS: u64 = 0x7769_6e64_6f77_0001;

/// Blocks in random order, mixed by windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockOrder {
    n: u64,
    /// Records in a block.
    block: u64,
    /// Blocks in a window.
    window: u64,
    /// Which block comes when.
    blocks: Permutation,
    /// Positions, cut into windows.
    windows: Cut,
    /// Where the last, shorter block stands in its window.
    odd_slot: u64,
    /// Seed of the windows of this epoch.
    seed: u64,
}

/// Pieces of equal size, of which number `odd` misses some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    each: u64,
    odd: u64,
    missing: u64,
}

impl Cut {
    fn start(&self, piece: u64) -> u64 {
        piece * self.each - if piece > self.odd { self.missing } else { 0 }
    }

    /// Return the piece that `at` lies in, and the place in it.
    #[inline]
    fn find(&self, at: u64) -> (u64, u64) {
        let odd = self.odd * self.each;
        if at < odd {
            (at / self.each, at % self.each)
        } else if at - odd < self.each - self.missing {
            (self.odd, at - odd)
        } else {
            ((at + self.missing) / self.each, (at + self.missing) % self.each)
        }
    }
}

/// One window: its first block in the order of blocks, and how its records are mixed.
struct Window {
    first: u64,
    slots: Cut,
    mixed: Permutation,
}

impl BlockOrder {
    /// Draw the order of `n` records in blocks of `block`, `window` of which are mixed; `n` is at most 2⁶³ and not 0.
    pub(crate) fn draw(n: u64, block: u64, window: u64, seed: u64, epoch: u64) -> Self {
        let block = block.clamp(1, n);
        let count = n.div_ceil(block);
        let window = window.clamp(1, count);
        let missing = count * block - n;
        let blocks = Permutation::draw(count, derive(seed, BLOCKS, 0), epoch);
        let odd = blocks.invert(count - 1);
        Self {
            n,
            block,
            window,
            blocks,
            windows: Cut { each: window * block, odd: odd / window, missing },
            odd_slot: odd % window,
            seed: derive(seed, WINDOWS, epoch),
        }
    }

    pub(crate) fn record(&self, position: u64) -> u64 {
        let (number, at) = self.windows.find(position);
        let window = self.open(number);
        self.at(&window, window.mixed.apply(at))
    }

    pub(crate) fn position(&self, record: u64) -> u64 {
        let slot = self.blocks.invert(record / self.block);
        let number = slot / self.window;
        let window = self.open(number);
        let place = window.slots.start(slot - window.first) + record % self.block;
        self.windows.start(number) + window.mixed.invert(place)
    }

    /// Append the records at `positions` to `found`.
    pub(crate) fn extend(&self, positions: Range<u64>, found: &mut Vec<u64>) {
        self.by_window(positions, |window, places| {
            let before = found.len();
            window.mixed.extend(places, found);
            found[before..].iter_mut().for_each(|place| *place = self.at(&window, *place));
        });
    }

    /// The blocks that `positions` take records from, as ranges of records, in the order in which they are needed.
    pub(crate) fn ranges(&self, positions: Range<u64>) -> Vec<Range<u64>> {
        let mut found = Vec::new();
        self.by_window(positions, |window, _| found.extend(self.blocks_of(&window)));
        found
    }

    /// Windows of the epoch.
    pub(crate) fn windows(&self) -> u64 {
        self.blocks.len().div_ceil(self.window)
    }

    /// Records of a window, but for the one that has fewer.
    pub(crate) fn window_records(&self) -> u64 {
        self.windows.each
    }

    /// The blocks of a window, as ranges of records, in the order of their slots.
    pub(crate) fn window(&self, number: u64) -> Vec<Range<u64>> {
        self.blocks_of(&self.open(number))
    }

    /// Append where the records at `positions` stand: window, slot of the block in it, and row in the block.
    pub(crate) fn places(&self, positions: Range<u64>, found: &mut Vec<(u64, u64, u64)>) {
        let mut mixed = Vec::new();
        self.by_window(positions, |window, places| {
            mixed.clear();
            window.mixed.extend(places, &mut mixed);
            found.extend(mixed.iter().map(|&place| {
                let (slot, row) = window.slots.find(place);
                (window.first / self.window, slot, row)
            }));
        });
    }

    /// The windows that `positions` take records from.
    pub(crate) fn windows_of(&self, positions: Range<u64>) -> Range<u64> {
        if positions.is_empty() {
            return 0..0;
        }
        self.windows.find(positions.start).0..self.windows.find(positions.end - 1).0 + 1
    }

    fn blocks_of(&self, window: &Window) -> Vec<Range<u64>> {
        let slots = window.first..(window.first + self.window).min(self.blocks.len());
        let block = |slot| {
            let first = self.blocks.apply(slot) * self.block;
            first..(first + self.block).min(self.n)
        };
        slots.map(block).collect()
    }

    fn by_window(&self, positions: Range<u64>, mut each: impl FnMut(Window, Range<u64>)) {
        let Range { mut start, end } = positions;
        while start < end {
            let (number, at) = self.windows.find(start);
            let window = self.open(number);
            let upto = (window.mixed.len()).min(at + (end - start));
            start += upto - at;
            each(window, at..upto);
        }
    }

    fn open(&self, number: u64) -> Window {
        let first = number * self.window;
        let missing = if number == self.windows.odd { self.windows.missing } else { 0 };
        let slots = self.window.min(self.blocks.len() - first);
        Window {
            first,
            slots: Cut { each: self.block, odd: self.odd_slot, missing },
            mixed: Permutation::draw(slots * self.block - missing, self.seed, number),
        }
    }

    /// The record at a place of a window's blocks side by side.
    #[inline]
    fn at(&self, window: &Window, place: u64) -> u64 {
        let (slot, row) = window.slots.find(place);
        self.blocks.apply(window.first + slot) * self.block + row
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(order: &BlockOrder) -> Vec<u64> {
        let mut found = Vec::new();
        order.extend(0..order.n, &mut found);
        found
    }

    proptest! {
        #[test]
        fn each_record_comes_once_and_is_found_again(
            n in 1_u64..400, block in 1_u64..50, window in 1_u64..12, seed: u64, epoch: u64,
        ) {
            let order = BlockOrder::draw(n, block, window, seed, epoch);
            let mut found = all(&order);
            for (position, &record) in (0..).zip(&found) {
                prop_assert_eq!(order.record(position), record);
                prop_assert_eq!(order.position(record), position);
            }
            found.sort_unstable();
            prop_assert_eq!(found, (0..n).collect::<Vec<_>>());
        }

        #[test]
        fn positions_of_huge_data_are_found_again(
            n in 1_u64..=(1 << 63), block in 1_u64.., window in 1_u64.., seed: u64, at: u64,
        ) {
            let order = BlockOrder::draw(n, block, window, seed, 0);
            let record = order.record(at % n);
            prop_assert!(record < n);
            prop_assert_eq!(order.position(record), at % n);
        }

        #[test]
        fn positions_take_their_records_from_the_ranges_that_were_named(
            n in 1_u64..400, block in 1_u64..50, window in 1_u64..12, seed: u64,
            start in 0_u64..400, len in 0_u64..200,
        ) {
            let order = BlockOrder::draw(n, block, window, seed, 0);
            let positions = start.min(n)..(start + len).min(n);
            let ranges = order.ranges(positions.clone());
            prop_assert!(positions.clone().all(|at| ranges.iter().any(|range| range.contains(&order.record(at)))));
            let mut places = Vec::new();
            order.places(positions.clone(), &mut places);
            for (at, (window, slot, row)) in positions.clone().zip(places) {
                prop_assert!(order.windows_of(positions.clone()).contains(&window) && window < order.windows());
                let block = order.window(window)[slot as usize].clone();
                prop_assert_eq!(block.start + row, order.record(at));
                prop_assert!(block.contains(&order.record(at)));
            }
            let blocks = positions.end.saturating_sub(positions.start).div_ceil(block.min(n)) + 2 * window;
            prop_assert!(ranges.len() as u64 <= blocks);
            prop_assert!(ranges.iter().all(|range| range.end - range.start == block.min(n) || range.end == n));
        }
    }

    #[test]
    fn a_window_holds_whole_blocks_and_mixes_them() {
        let order = BlockOrder::draw(64_000, 1000, 8, 3, 0);
        for (number, window) in all(&order).chunks(8000).enumerate() {
            let mut blocks: Vec<u64> = window.iter().map(|record| record / 1000).collect();
            let first: std::collections::BTreeSet<_> = blocks[..200].iter().copied().collect();
            assert_eq!(first.len(), 8, "the first records of window {number} come from all of its blocks");
            blocks.sort_unstable();
            assert!(blocks.chunks(1000).all(|chunk| chunk[0] == chunk[999]), "window {number}");
        }
    }

    #[test]
    fn blocks_do_not_come_as_stored_and_epochs_differ() {
        let first = all(&BlockOrder::draw(10_000, 10, 1, 3, 0));
        let next = all(&BlockOrder::draw(10_000, 10, 1, 3, 1));
        assert_ne!(first, next);
        let together = first.chunks(10).zip(first.chunks(10).skip(1));
        let adjacent = together.filter(|(one, two)| (one[0] / 10).abs_diff(two[0] / 10) == 1).count();
        // Two of a thousand pairs of blocks are neighbours in a random permutation.
        assert!(adjacent <= 12, "{adjacent} adjacent blocks");
    }

    #[test]
    fn one_window_over_all_is_as_mixed_as_the_full_order() {
        let n = 10_000_u64;
        let found = all(&BlockOrder::draw(n, 100, 1000, 5, 0));
        let adjacent = found.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
        assert!(adjacent <= 12, "{adjacent} adjacent pairs");
    }
}
