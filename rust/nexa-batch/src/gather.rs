//! Rows from anywhere in a split, side by side in a buffer.
//!
//! ```text
//! until all rows are copied:
//!     find the places of some more: for each row, chunk of a shard and row in it    (arithmetic alone)
//!     for each column:
//!         for each row, but the last few: ask the memory system for the row a few places on; copy this one
//! ```
//!
//! 1. A row of a shuffled epoch lies in memory that no cache holds and no hardware prefetcher guesses: what costs is its
//!    latency. Asked for a few rows ahead, many are on their way at once, and the copy finds them in a cache.
//! 2. One is asked for with each that is copied. Asked for in bursts, they fill the processor's queue of misses, and
//!    everything waits for it.
//! 3. The rows that were asked for and aren't copied yet arrive while the next places are found.
//! 4. Rows of the usual widths are copied as arrays of a width that the compiler knows: a call to copy a hundred bytes of
//!    a width known only now takes as long as the copy.

use std::ops::Range;

use nexa_records::FixedColumn;

use crate::form::FixedPlan;
use crate::lanes::{Lanes, Work, dispatch};

/// Where a row lies: the columns of a chunk, and the row's number in it.
pub(crate) type Place<'a> = (&'a [FixedColumn], usize);

/// Rows whose places are found at a time.
const PART: usize = 128;
/// Bytes that are asked for ahead: they fit the first-level cache, with what is copied.
const AHEAD_BYTES: usize = 16 << 10;
const MOST_AHEAD: usize = 16;

/// Copy `len` rows into `targets`, a slice of `len * row` bytes for each column.
///
/// `plans` say what a row of each column is and becomes; every chunk has these columns. `find` appends the places of some of the rows, in
/// their order; it is asked for all rows once, a part at a time.
pub(crate) fn gather<'a, E>(
    len: usize,
    plans: &[FixedPlan],
    targets: &mut [&mut [u8]],
    mut find: impl FnMut(Range<usize>, &mut Vec<Place<'a>>) -> Result<(), E>,
) -> Result<(), E> {
    let row_bytes: usize = plans.iter().map(|plan| plan.stored_bytes).sum();
    let ahead = (AHEAD_BYTES / row_bytes.max(1)).clamp(1, MOST_AHEAD);
    let mut places = Vec::with_capacity(PART);
    // Each column's rows that were found and aren't copied.
    let mut waiting: Vec<Vec<&[u8]>> = plans.iter().map(|_| Vec::with_capacity(PART + ahead)).collect();
    let (mut found, mut copied) = (0, 0);
    while copied < len {
        let first = found == 0;
        let part = found..(found + PART).min(len);
        found = part.end;
        places.clear();
        find(part, &mut places)?;
        let ready = if found < len { found - copied - ahead } else { len - copied };
        for (column, ((plan, target), rows)) in plans.iter().zip(&mut *targets).zip(&mut waiting).enumerate()
        {
            let width = plan.stored_bytes;
            rows.extend(places.iter().map(|&(columns, row)| {
                let values = columns[column].values.as_slice();
                &values[row * width..][..width]
            }));
            if first {
                rows.iter().take(ahead).for_each(|row| nexa_io::prefetch(row));
            }
            let these = &mut target[copied * plan.row_bytes..][..ready * plan.row_bytes];
            match &plan.convert {
                None => dispatch(Copy { rows, ahead, width, target: these }),
                Some(convert) => {
                    let targets = these.chunks_exact_mut(plan.row_bytes);
                    each(rows, ahead, width, targets, |from, to| convert.run(from, to));
                }
            }
            rows.drain(..ready);
        }
        copied += ready;
    }
    Ok(())
}

/// Rows as stored, side by side.
struct Copy<'a> {
    rows: &'a [&'a [u8]],
    ahead: usize,
    width: usize,
    target: &'a mut [u8],
}

impl Work for Copy<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let width = self.width;
        match width {
            1 => self.arrays::<1>(),
            2 => self.arrays::<2>(),
            4 => self.arrays::<4>(),
            8 => self.arrays::<8>(),
            16 => self.arrays::<16>(),
            32 => self.arrays::<32>(),
            64 => self.arrays::<64>(),
            128 => self.arrays::<128>(),
            256 => self.arrays::<256>(),
            _ => {
                let targets = self.target.chunks_exact_mut(width);
                each(self.rows, self.ahead, width, targets, |from, to| to.copy_from_slice(from));
            }
        }
    }
}

impl Copy<'_> {
    #[inline(always)]
    fn arrays<const WIDTH: usize>(self) {
        let targets = self.target.as_chunks_mut::<WIDTH>().0.iter_mut();
        each(self.rows, self.ahead, WIDTH, targets, |from, to| to.copy_from_slice(from));
    }
}

/// Fill each of `targets` from the row of its number, `width` bytes, when that is near.
#[inline(always)]
fn each<T>(
    rows: &[&[u8]],
    ahead: usize,
    width: usize,
    mut targets: impl Iterator<Item = T>,
    mut fill: impl FnMut(&[u8], T),
) {
    let next = rows.get(ahead..).unwrap_or_default();
    // What ends first stands first: a target that was taken would be lost.
    for ((next, row), to) in next.iter().zip(rows).zip(targets.by_ref()) {
        nexa_io::prefetch(&next[..width]);
        fill(row, to);
    }
    for (to, row) in targets.zip(&rows[next.len()..]) {
        fill(row, to);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, FixedSizeBinaryArray};
    use arrow_schema::{DataType, Field};
    use proptest::prelude::*;

    use super::*;

    fn column(width: usize, rows: usize, salt: u8) -> FixedColumn {
        let bytes: Vec<u8> =
            (0..rows * width).map(|at| (at as u8).wrapping_mul(31).wrapping_add(salt)).collect();
        let width = i32::try_from(width).unwrap();
        let array: ArrayRef = Arc::new(FixedSizeBinaryArray::new(width, bytes.into(), None));
        let field = Field::new("x", DataType::FixedSizeBinary(width), false);
        nexa_records::fixed_column(&array, &field, "x".as_ref()).unwrap()
    }

    fn stored(width: usize) -> FixedPlan {
        let width = i32::try_from(width).unwrap();
        let field = Field::new("x", DataType::FixedSizeBinary(width), false);
        FixedPlan::stored(&nexa_records::column_spec(&field, "x".as_ref()).unwrap())
    }

    proptest! {
        #[test]
        fn each_row_stands_where_it_was_asked_for(
            widths in prop::collection::vec(prop_oneof![1_usize..300, Just(8), Just(128), Just(5000)], 1..4),
            picks in prop::collection::vec((0_usize..3, 0_usize..50), 0..200),
        ) {
            let chunks: Vec<Vec<FixedColumn>> =
                (0..3).map(|salt| widths.iter().map(|&width| column(width, 50, salt)).collect()).collect();
            let places: Vec<Place<'_>> = picks.iter().map(|&(chunk, row)| (&chunks[chunk][..], row)).collect();
            let mut buffers: Vec<Vec<u8>> = widths.iter().map(|width| vec![0; width * places.len()]).collect();
            let mut targets: Vec<&mut [u8]> = buffers.iter_mut().map(|buffer| &mut buffer[..]).collect();
            let plans: Vec<FixedPlan> = widths.iter().map(|&width| stored(width)).collect();
            let found = gather(places.len(), &plans, &mut targets, |range, found| {
                found.extend_from_slice(&places[range]);
                Ok::<_, ()>(())
            });
            prop_assert_eq!(found, Ok(()));
            for (number, buffer) in buffers.iter().enumerate() {
                let expected: Vec<u8> =
                    places.iter().flat_map(|(columns, row)| columns[number].row(*row).unwrap().to_vec()).collect();
                prop_assert_eq!(buffer, &expected);
            }
        }
    }
}
