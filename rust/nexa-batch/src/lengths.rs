//! How long every sequence is: read once from the shards' offsets, for all epochs.

use nexa_io::threads;
use rayon::prelude::*;

use crate::assembler::places;
use crate::ragged::lengths;
use crate::store::OpenShard;
use crate::{Assembler, BatchError};

/// Records whose lengths are read at a time.
const PART: u64 = 16_384;

/// Give the items of each record's list, of the one column of lists, in the order in which records are numbered.
pub(crate) fn read_lengths(assembler: &Assembler) -> Result<Vec<u32>, BatchError> {
    let len = usize::try_from(assembler.len()).map_err(|_| BatchError::TooLarge { what: "the split" })?;
    let mut found = vec![0; len];
    threads::pool()?.install(|| {
        let parts = found.par_chunks_mut(PART as usize).enumerate();
        parts.try_for_each(|(part, found)| read_part(assembler, part as u64 * PART, found))
    })?;
    Ok(found)
}

fn read_part(assembler: &Assembler, first: u64, found: &mut [u32]) -> Result<(), BatchError> {
    // Shards may be opened here, under locks that no fork may split.
    let _inside = nexa_io::forks::enter();
    let records: Vec<u64> = (first..first + found.len() as u64).collect();
    let located = assembler.locate_all(&records)?;
    let held = assembler.store().hold(|| Ok(located.clone()))?;
    let places = places(&located, &held, OpenShard::ragged_place)?;
    for ((to, items), record) in found.iter_mut().zip(lengths(0, &places)).zip(records) {
        *to = u32::try_from(items).map_err(|_| BatchError::Form {
            column: assembler.forms().ragged[0].spec.name.clone(),
            detail: format!("record {record} has {items} items, too many to be packed"),
        })?;
    }
    Ok(())
}
