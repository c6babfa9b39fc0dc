//! Batches of an order by blocks, assembled from windows that were read directly instead of from mapped shards.

use std::ops::Range;

use crate::assembler::{BatchBuffers, Memory, places};
use crate::blocks::BlockOrder;
use crate::gather::{Place, gather};
use crate::ragged::RaggedPlace;
use crate::store::OpenShard;
use crate::windows::Claims;
use crate::{Assembler, BatchError, Order, Rows};

/// The positions of a batch in its epoch: those up to its end, and those that begin it again.
pub(crate) fn positions(order: &Order, start: u64, len: usize) -> (Range<u64>, usize) {
    let start = start % order.len().max(1);
    let here = (order.len() - start).min(len as u64);
    // Not above `len`, which is a length already.
    (start..start + here, len - usize::try_from(here).unwrap_or(len))
}

impl Assembler {
    /// Begin to read what a batch needs, if it is one that is read directly.
    pub(crate) fn claim(&self, rows: &Rows) -> Option<Claims> {
        let (windows, Rows::Ordered { order, start, len }) = (self.windows()?, rows) else { return None };
        let blocks = order.by_blocks()?;
        if self.is_selecting() {
            windows
                .reading()
                .because(|| "a filter leaves out records of every block: they are mapped".to_owned());
            return None;
        }
        windows.claim(blocks, positions(order, *start, *len).0)
    }

    /// Assemble positions of an epoch from the windows that were claimed for them.
    pub(crate) fn assemble_windowed(
        &self,
        (order, blocks): (&Order, &BlockOrder),
        start: u64,
        len: usize,
        claims: &Claims,
    ) -> Result<BatchBuffers, BatchError> {
        let (here, again) = positions(order, start, len);
        let (first, windows) = claims.wait()?;
        let mut found = Vec::with_capacity(len);
        blocks.places(here.clone(), &mut found);
        // What is beyond the epoch's end is a part of one batch: a window for it would be read for a few records.
        let beyond = Rows::Ordered { order: order.clone(), start: 0, len: again };
        let others = self.locate(&beyond, 0..again)?;
        let held = self.store().hold(|| Ok(others.clone()))?;
        // Places are of windows that are in memory: their numbers fit.
        let at = |(window, slot, row): &(u64, u64, u64)| {
            let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            (windows[size(window - first)], size(*slot), size(*row))
        };

        let mut fixed: Vec<Place<'_>> = Vec::with_capacity(len);
        fixed.extend(found.iter().map(at).map(|(window, slot, row)| window.place(slot, row)));
        fixed.extend(places(&others, &held, OpenShard::place)?);
        let mut columns = self.take_columns(len)?;
        let mut targets: Vec<&mut [u8]> = columns.iter_mut().map(|buffer| &mut **buffer).collect();
        gather(len, &self.forms().fixed, &mut targets, |range, wanted| {
            wanted.extend_from_slice(&fixed[range]);
            Ok::<_, BatchError>(())
        })?;

        let mut ragged: Vec<RaggedPlace<'_>> = Vec::new();
        if !self.forms().ragged.is_empty() {
            ragged.extend(found.iter().map(at).map(|(window, slot, row)| window.ragged_place(slot, row)));
            ragged.extend(places(&others, &held, OpenShard::ragged_place)?);
        }
        let record = |row: usize| order.record((here.start + row as u64) % order.len());
        let plans = self.forms().ragged.iter().enumerate();
        let ragged = plans.map(|(column, plan)| plan.assemble(column, &ragged, record, self.pool()));
        Ok(BatchBuffers {
            rows: len,
            columns: columns.into_iter().map(Memory::Own).collect(),
            ragged: ragged.collect::<Result<_, _>>()?,
        })
    }
}
