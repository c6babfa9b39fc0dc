//! Rows from anywhere in a split, side by side in a buffer.
//!
//! ```text
//! for each block of rows:
//!     find the next block's places: for each row, chunk of a shard and row in it    (arithmetic alone)
//!     ask the memory system for them, of every column
//!     for each column: copy the rows of this block
//! ```
//!
//! 1. A row of a shuffled epoch lies in memory that no cache holds and no hardware prefetcher guesses: what costs is its
//!    latency. Asked for a block ahead, many rows are on their way at once, and the copy finds them in a cache.
//! 2. A block is as many rows as fit half of the smallest first-level cache, so that what was asked for isn't pushed out
//!    before it is copied.
//! 3. Rows of the usual widths are copied as arrays of a width that the compiler knows: a call to copy a hundred bytes of
//!    a width known only now takes as long as the copy.

use std::ops::Range;

use nexa_records::FixedColumn;

use crate::form::FixedPlan;

/// Where a row lies: the columns of a chunk, and the row's number in it.
pub(crate) type Place<'a> = (&'a [FixedColumn], usize);

/// Bytes that are asked for at a time.
const BLOCK_BYTES: usize = 16 << 10;
const MOST_ROWS: usize = 32;

/// Copy `len` rows into `targets`, a slice of `len * row` bytes for each column.
///
/// `plans` say what a row of each column is and becomes; every chunk has these columns. `find` appends the places of some of the rows, in
/// their order; it is asked for all rows once, a block at a time.
pub(crate) fn gather<'a, E>(
    len: usize,
    plans: &[FixedPlan],
    targets: &mut [&mut [u8]],
    mut find: impl FnMut(Range<usize>, &mut Vec<Place<'a>>) -> Result<(), E>,
) -> Result<(), E> {
    let row_bytes: usize = plans.iter().map(|plan| plan.stored_bytes).sum();
    let block = (BLOCK_BYTES / row_bytes.max(1)).clamp(1, MOST_ROWS);
    let mut next = |first: usize, places: &mut Vec<Place<'a>>| {
        places.clear();
        find(first..(first + block).min(len), places)?;
        ask(places);
        Ok(())
    };
    let (mut here, mut there) = (Vec::with_capacity(block), Vec::with_capacity(block));
    next(0, &mut there)?;
    for first in (0..len).step_by(block) {
        std::mem::swap(&mut here, &mut there);
        next((first + block).min(len), &mut there)?;
        for (column, (plan, target)) in plans.iter().zip(&mut *targets).enumerate() {
            let width = plan.row_bytes;
            let these = &mut target[first * width..][..here.len() * width];
            match &plan.convert {
                None => copy(&here, column, width, these),
                Some(convert) => {
                    for (to, &(columns, row)) in these.chunks_exact_mut(width).zip(&here) {
                        let from = &columns[column].values.as_slice()[row * plan.stored_bytes..];
                        convert.run(&from[..plan.stored_bytes], to);
                    }
                }
            }
        }
    }
    Ok(())
}

fn ask(places: &[Place<'_>]) {
    for &(columns, row) in places {
        for column in columns {
            nexa_io::prefetch(&column.values.as_slice()[row * column.row_bytes..][..column.row_bytes]);
        }
    }
}

fn copy(places: &[Place<'_>], column: usize, width: usize, target: &mut [u8]) {
    match width {
        1 => copy_arrays::<1>(places, column, target),
        2 => copy_arrays::<2>(places, column, target),
        4 => copy_arrays::<4>(places, column, target),
        8 => copy_arrays::<8>(places, column, target),
        16 => copy_arrays::<16>(places, column, target),
        32 => copy_arrays::<32>(places, column, target),
        64 => copy_arrays::<64>(places, column, target),
        128 => copy_arrays::<128>(places, column, target),
        256 => copy_arrays::<256>(places, column, target),
        _ => {
            for (to, &(columns, row)) in target.chunks_exact_mut(width).zip(places) {
                to.copy_from_slice(&columns[column].values.as_slice()[row * width..][..width]);
            }
        }
    }
}

fn copy_arrays<const WIDTH: usize>(places: &[Place<'_>], column: usize, target: &mut [u8]) {
    for (to, &(columns, row)) in target.as_chunks_mut::<WIDTH>().0.iter_mut().zip(places) {
        *to = columns[column].values.as_slice().as_chunks::<WIDTH>().0[row];
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
