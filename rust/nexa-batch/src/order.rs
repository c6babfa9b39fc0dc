//! Position → record, for every position of an epoch, in O(1) and without memory.

use std::ops::Range;
use std::sync::Arc;

use crate::blocks::BlockOrder;
use crate::mixed::MixedOrder;
use crate::permutation::Permutation;
use crate::{BatchError, Mixture, Selection};

/// Version of the orders: what they yield for the same numbers never changes; another order gets another version.
pub const ORDER_VERSION: u32 = 1;

/// The order of one epoch: a pure function of the numbers that it was made from and [`ORDER_VERSION`].
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
    len: u64,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Sequential,
    Full(Permutation),
    Blocks(BlockOrder),
    Mixed(Arc<MixedOrder>),
}

impl Order {
    /// Records as stored.
    pub fn sequential(n: u64) -> Self {
        Self { len: n, kind: Kind::Sequential }
    }

    /// A permutation of all `n` records, drawn from `seed` and `epoch`; `n` is at most 2⁶³.
    pub fn shuffled(n: u64, seed: u64, epoch: u64) -> Self {
        Self { len: n, kind: Kind::Full(Permutation::draw(n, seed, epoch)) }
    }

    /// Blocks of `block` neighbouring records in random order, `window` of them mixed at a time; `n` is at most 2⁶³.
    ///
    /// For data beyond memory: the records of some positions lie in a few blocks ([`ranges`](Self::ranges)), each of
    /// which is one large read.
    pub fn blocks(n: u64, block: u64, window: u64, seed: u64, epoch: u64) -> Self {
        if n == 0 {
            return Self::sequential(0);
        }
        Self { len: n, kind: Kind::Blocks(BlockOrder::draw(n, block, window, seed, epoch)) }
    }

    /// Several sources, whose records are numbered one source after the other, in turns as `mixture` plans.
    ///
    /// # Args
    /// - `done`: how many records each source has given in the epochs before.
    /// - `shuffle`: without it each source comes as stored, and turns in a pattern.
    /// - `table`: the record behind each number, where the sources aren't ranges of records.
    ///
    /// # Errors
    /// [`BatchError::Mixture`]: `done` or `table` is of another length than the sources.
    pub fn mixed(
        mixture: Arc<Mixture>,
        done: &[u64],
        seed: u64,
        epoch: u64,
        shuffle: bool,
        table: Option<Arc<Selection>>,
    ) -> Result<Self, BatchError> {
        let numbers: u64 = mixture.records().iter().sum();
        if done.len() != mixture.records().len() || table.as_ref().is_some_and(|table| table.len() != numbers)
        {
            let detail = "its sources, what they have given and their records disagree in number".to_owned();
            return Err(BatchError::Mixture { detail });
        }
        let order = MixedOrder::draw(mixture, done, seed, epoch, shuffle, table);
        Ok(Self { len: order.len(), kind: Kind::Mixed(Arc::new(order)) })
    }

    /// Positions of the epoch.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the epoch has no record.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Records that it draws from: [`len`](Self::len), but for a mixture, whose epoch may be of any length.
    pub fn bound(&self) -> u64 {
        match &self.kind {
            Kind::Mixed(order) => order.bound(),
            _ => self.len,
        }
    }

    /// The order by blocks that it is, if it is one.
    pub(crate) fn by_blocks(&self) -> Option<&BlockOrder> {
        match &self.kind {
            Kind::Blocks(order) => Some(order),
            _ => None,
        }
    }

    /// Record at position `position`, which must be below [`len`](Self::len).
    #[inline]
    pub fn record(&self, position: u64) -> u64 {
        debug_assert!(position < self.len, "position {position} of {}", self.len);
        match &self.kind {
            Kind::Sequential => position,
            Kind::Full(permutation) => permutation.apply(position),
            Kind::Blocks(order) => order.record(position),
            Kind::Mixed(order) => order.record(position),
        }
    }

    /// Append the records at positions `start..start + len` to `found`; beyond the end they begin again at the first.
    ///
    /// The epoch has a record.
    pub fn fill(&self, start: u64, len: usize, found: &mut Vec<u64>) {
        let mut position = start % self.len;
        let mut left = len as u64;
        // A division for each record would cost as much as its copy.
        while left > 0 {
            let run = left.min(self.len - position);
            self.extend(position..position + run, found);
            left -= run;
            position = 0;
        }
    }

    fn extend(&self, positions: Range<u64>, found: &mut Vec<u64>) {
        match &self.kind {
            Kind::Sequential => found.extend(positions),
            Kind::Full(permutation) => permutation.extend(positions, found),
            Kind::Blocks(order) => order.extend(positions, found),
            Kind::Mixed(order) => order.extend(positions, found),
        }
    }

    /// Position of record `record`, which must be below [`len`](Self::len): the inverse of [`record`](Self::record).
    ///
    /// `None` for a mixture: there a record may stand at several positions, or at none.
    pub fn position(&self, record: u64) -> Option<u64> {
        debug_assert!(record < self.len, "record {record} of {}", self.len);
        match &self.kind {
            Kind::Sequential => Some(record),
            Kind::Full(permutation) => Some(permutation.invert(record)),
            Kind::Blocks(order) => Some(order.position(record)),
            Kind::Mixed(_) => None,
        }
    }

    /// The ranges of records that positions `start..start + len` (cut at the end) are taken from, in the order in which
    /// they are needed: what a reader fetches before it assembles them.
    ///
    /// In order, that is the positions themselves; by blocks, whole blocks; orders that mix everything need everything.
    pub fn ranges(&self, start: u64, len: u64) -> Vec<Range<u64>> {
        let positions = start.min(self.len)..start.saturating_add(len).min(self.len);
        match &self.kind {
            _ if positions.is_empty() => Vec::new(),
            Kind::Sequential => vec![positions],
            Kind::Blocks(order) => order.ranges(positions),
            Kind::Full(_) | Kind::Mixed(_) => std::iter::once(0..self.bound()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_order_is_golden() {
        let order = Order::shuffled(10, 0, 0);
        let records: Vec<_> = (0..10).map(|k| order.record(k)).collect();
        assert_eq!(records, GOLDEN_10);
        assert_eq!(Order::shuffled(1 << 63, 42, 3).record(123_456_789), GOLDEN_HUGE);
    }

    const GOLDEN_10: [u64; 10] = [5, 6, 2, 1, 9, 7, 4, 8, 3, 0];
    const GOLDEN_HUGE: u64 = 8_442_989_405_691_153_131;

    #[test]
    fn filling_goes_round_and_is_what_each_position_says() {
        for order in [Order::sequential(13), Order::shuffled(13, 1, 0), Order::blocks(13, 3, 2, 1, 0)] {
            let mut found = vec![99];
            order.fill(20, 30, &mut found);
            let expected: Vec<u64> = (20..50).map(|at| order.record(at % 13)).collect();
            assert_eq!((found[0], &found[1..]), (99, &expected[..]));
            assert!((0..13).all(|at| order.position(order.record(at)) == Some(at)));
        }
    }

    #[test]
    fn what_positions_need_is_named() {
        assert_eq!(Order::sequential(10).ranges(3, 4), vec![3..7]);
        assert_eq!(Order::sequential(10).ranges(8, u64::MAX), vec![8..10]);
        let everything = Order::shuffled(10, 1, 0).ranges(3, 1);
        assert_eq!((everything[0].clone(), everything.len()), (0..10, 1));
        assert!(Order::blocks(10, 2, 1, 1, 0).ranges(10, 5).is_empty());
        let blocks = Order::blocks(10, 4, 1, 1, 0);
        assert_eq!(blocks.ranges(0, 10).len(), 3);
        assert!(blocks.ranges(0, 1)[0].contains(&blocks.record(0)));
    }

    #[test]
    fn orders_of_nothing_have_no_positions() {
        for order in [Order::sequential(0), Order::shuffled(0, 1, 0), Order::blocks(0, 3, 2, 1, 0)] {
            assert!(order.is_empty() && order.ranges(0, 9).is_empty());
        }
    }
}
