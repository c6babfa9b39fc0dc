//! Batches that are no copy: records that lie one after the other in one chunk of a shard, handed out where they lie.
//!
//! Only on request, and only from memory that this process alone sees ([`Access::Private`](nexa_records::Access)): who
//! writes to such a batch changes what later batches of this process show, and never the file.

use std::ops::Range;

use crate::assembler::Memory;
use crate::form::FixedPlan;
use crate::gather::Place;

/// Give the columns of `places` where they lie, or `None` where one of them can't be: then all are copied.
///
/// `file` are the addresses of the shard that holds the first place. A column is handed out if nothing is converted, and
/// if it is the file's own memory, which compressed and boolean columns aren't.
pub(crate) fn borrow(plans: &[FixedPlan], places: &[Place<'_>], file: &Range<usize>) -> Option<Vec<Memory>> {
    let &(chunk, first) = places.first()?;
    let in_order = places
        .iter()
        .enumerate()
        .all(|(number, &(other, row))| std::ptr::eq(chunk, other) && row == first + number);
    let as_stored = plans.iter().all(|plan| plan.convert.is_none());
    let in_file = chunk.iter().all(|column| file.contains(&column.values.as_ptr().addr()));
    if !(in_order && as_stored && in_file) {
        return None;
    }
    chunk.iter().map(|column| column.slice(first, places.len()).map(Memory::Borrowed)).collect()
}
