//! An epoch of packed rows, and batches cut from it.
//!
//! ```text
//! once:           the length of every sequence                                     (lengths.rs)
//! for an epoch:   for each window of the order, in parallel: how many rows it has  (pack.rs)
//! for a batch:    the windows that its rows lie in, packed; their pieces copied     (packed_rows.rs)
//! ```
//!
//! Only counting goes over the whole epoch, and it touches no shard: a few nanoseconds a sequence.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use nexa_io::threads;
use rayon::prelude::*;

use crate::assembler::places;
use crate::lengths::read_lengths;
use crate::pack::{PackedRows, RowCounter, pack};
use crate::packed_rows::{Filling, Spread, sources, spread};
use crate::ragged::{RaggedPlan, pattern};
use crate::store::OpenShard;
use crate::{Assembler, BatchError, Memory, Order};

/// How sequences are packed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packing {
    /// Items of a row.
    pub length: usize,
    /// Consecutive positions that are packed together.
    pub window: usize,
    /// What fills up the ids of a row.
    pub pad_id: f64,
    /// What fills up its labels.
    pub ignore_index: f64,
}

/// The sequences of a dataset, whose lengths are known, ready to be packed in any order.
#[derive(Clone, Debug)]
pub struct Packer {
    sequences: Arc<Sequences>,
}

#[derive(Debug)]
struct Sequences {
    packing: Packing,
    pad: Vec<u8>,
    ignore: Vec<u8>,
    /// Items of each; four bytes a record, so that no epoch reads the shards' offsets again.
    lengths: Vec<u32>,
}

/// The packed rows of one epoch: its windows' numbers of rows, from which any row is found.
#[derive(Clone, Debug)]
pub struct PackedEpoch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sequences: Arc<Sequences>,
    order: Order,
    /// First row of each window, and the number of rows at the end.
    starts: Vec<u64>,
    /// The windows that were packed last: batches follow each other.
    recent: Mutex<VecDeque<(u64, Arc<Window>)>>,
}

#[derive(Debug)]
struct Window {
    records: Vec<u64>,
    rows: PackedRows,
}

/// Windows that are kept: those that the batches under way touch.
const KEPT: usize = 4;

impl Packer {
    /// Read the length of every sequence.
    ///
    /// # Errors
    /// The store has not one column of lists of integers alone, or a shard can't be read.
    pub fn new(assembler: &Assembler, packing: Packing) -> Result<Self, BatchError> {
        let (plan, _) = plan(assembler)?;
        let refuse = |detail: String| BatchError::Form { column: plan.spec.name.clone(), detail };
        if packing.length == 0 || packing.window == 0 {
            return Err(refuse("a row and a window hold one item at least".to_owned()));
        }
        let bytes = |value: f64| {
            pattern(value, plan.target).ok_or_else(|| refuse(format!("{value} is no {}", plan.target)))
        };
        let (pad, ignore) = (bytes(packing.pad_id)?, bytes(packing.ignore_index)?);
        let sequences = Sequences { packing, pad, ignore, lengths: read_lengths(assembler)? };
        Ok(Self { sequences: Arc::new(sequences) })
    }

    /// Sequences that there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.sequences.lengths.len() as u64
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sequences.lengths.is_empty()
    }

    /// Count the rows of each window of an order.
    ///
    /// # Errors
    /// The order is of more records than there are, or the pool's threads can't be started.
    pub fn epoch(&self, order: Order) -> Result<PackedEpoch, BatchError> {
        if order.bound() > self.len() {
            return Err(BatchError::OutOfRange { index: order.bound() - 1, len: self.len() });
        }
        let sequences = &*self.sequences;
        let windows = usize::try_from(order.len().div_ceil(sequences.packing.window as u64))
            .map_err(|_| BatchError::TooLarge { what: "the epoch" })?;
        let counts: Vec<u64> = threads::pool()?.install(|| {
            let scratch = || (RowCounter::new(sequences.packing.length), Vec::new());
            let count = |(counter, records): &mut (RowCounter, Vec<u64>), window: usize| {
                sequences.window(&order, window as u64, records);
                counter.count(records.iter().map(|&record| sequences.length(record)))
            };
            (0..windows).into_par_iter().map_init(scratch, count).collect()
        });
        let mut starts = Vec::with_capacity(windows + 1);
        starts.push(0);
        starts.extend(counts.iter().scan(0, |rows, count| {
            *rows += count;
            Some(*rows)
        }));
        let sequences = Arc::clone(&self.sequences);
        Ok(PackedEpoch { shared: Arc::new(Shared { sequences, order, starts, recent: Mutex::default() }) })
    }
}

impl Sequences {
    fn length(&self, record: u64) -> u32 {
        self.lengths[usize::try_from(record).unwrap_or(usize::MAX)]
    }

    /// Put the records of a window into `records`.
    fn window(&self, order: &Order, window: u64, records: &mut Vec<u64>) {
        let start = window * self.packing.window as u64;
        let len = (order.len() - start).min(self.packing.window as u64);
        records.clear();
        order.fill(start, usize::try_from(len).unwrap_or(usize::MAX), records);
    }
}

impl PackedEpoch {
    /// Rows of the epoch.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.shared.starts.last().copied().unwrap_or(0)
    }

    /// The window that holds a row, and the row's number in it.
    #[must_use]
    pub fn place(&self, row: u64) -> (u64, u64) {
        let window = self.shared.starts.partition_point(|&start| start <= row) - 1;
        (window as u64, row - self.shared.starts[window])
    }

    /// Make rows `start .. start + len`; beyond the end they begin again at the first.
    pub(crate) fn assemble(
        &self,
        assembler: &Assembler,
        start: u64,
        len: usize,
    ) -> Result<Vec<Memory>, BatchError> {
        let ((plan, spread), total) = (plan(assembler)?, self.rows());
        if total == 0 && len > 0 {
            return Err(BatchError::OutOfRange { index: start, len: 0 });
        }
        let (mut records, mut pieces, mut ends) = (Vec::new(), Vec::new(), Vec::with_capacity(len));
        let mut last: Option<(u64, Arc<Window>)> = None;
        for row in (0..len as u64).map(|at| (start % total + at) % total) {
            let (number, row) = self.place(row);
            let window = match last.take() {
                Some((same, window)) if same == number => window,
                _ => self.shared.window(number),
            };
            let row = window.rows.row(usize::try_from(row).unwrap_or(usize::MAX));
            records.extend(row.iter().map(|piece| window.records[piece.position]));
            pieces.extend_from_slice(row);
            ends.push(pieces.len());
            last = Some((number, window));
        }
        let found = assembler.locate_all(&records)?;
        let held = assembler.store().hold(|| Ok(found.clone()))?;
        let places = places(&found, &held, OpenShard::ragged_place)?;
        let sources = sources(&places, &pieces, plan.spec.item_bytes);
        let Sequences { packing, pad, ignore, .. } = &*self.shared.sequences;
        Filling { plan, spread, length: packing.length, pad, ignore, sources: &sources, ends: &ends }
            .write(assembler.pool())
    }
}

impl Shared {
    /// Give a window that was packed lately, or pack it.
    fn window(&self, window: u64) -> Arc<Window> {
        let found =
            self.recent().iter().find(|(number, _)| *number == window).map(|(_, kept)| Arc::clone(kept));
        if let Some(kept) = found {
            return kept;
        }
        // Two threads may pack it at once: both make the same, and nobody waits.
        let packed = Arc::new(self.pack(window));
        let mut recent = self.recent();
        recent.push_front((window, Arc::clone(&packed)));
        recent.truncate(KEPT);
        packed
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, VecDeque<(u64, Arc<Window>)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pack(&self, window: u64) -> Window {
        let mut records = Vec::with_capacity(self.sequences.packing.window);
        self.sequences.window(&self.order, window, &mut records);
        let lengths: Vec<usize> =
            records.iter().map(|&record| self.sequences.length(record) as usize).collect();
        Window { rows: pack(&lengths, self.sequences.packing.length), records }
    }
}

/// The one column that is packed, and the loop that writes its tokens.
fn plan(assembler: &Assembler) -> Result<(&RaggedPlan, Spread), BatchError> {
    let forms = assembler.forms();
    let refuse = |column: &str, detail: &str| {
        Err(BatchError::Form { column: column.to_owned(), detail: detail.to_owned() })
    };
    match (&forms.fixed[..], &forms.ragged[..]) {
        ([], [plan]) => match spread(plan.spec.element, plan.target) {
            Some(spread) if plan.spec.item_shape.is_empty() => Ok((plan, spread)),
            _ => refuse(&plan.spec.name, "what is packed are lists of integers, as int32 or int64"),
        },
        ([first, ..], _) => refuse(&first.name, "its rows are of one width: only lists are packed"),
        _ => refuse("", "exactly one column of lists is packed"),
    }
}
