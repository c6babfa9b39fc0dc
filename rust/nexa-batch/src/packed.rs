//! An epoch of packed rows, and batches cut from it: ids, labels, positions, and where documents begin.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use nexa_io::{BufferPool, PooledBuf};
use nexa_records::Element;

use crate::assembler::places;
use crate::convert::Target;
use crate::pack::{PackedRows, Piece, pack};
use crate::ragged::{RaggedPlace, RaggedPlan, fill, lengths, pattern};
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

/// The packed rows of one epoch: its windows' numbers of rows, from which any row is found.
#[derive(Clone, Debug)]
pub struct PackedEpoch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    order: Order,
    packing: Packing,
    pad: Vec<u8>,
    ignore: Vec<u8>,
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
/// Pieces whose memory is asked for ahead of the one that is copied.
const AHEAD: usize = 4;

impl PackedEpoch {
    /// Pack an epoch's windows, to know how many rows each has.
    ///
    /// # Errors
    /// The store has not one column of lists of integers alone, or a shard can't be read.
    pub fn new(assembler: &Assembler, order: Order, packing: Packing) -> Result<Self, BatchError> {
        let plan = plan(assembler)?;
        let refuse = |detail: String| BatchError::Form { column: plan.spec.name.clone(), detail };
        if packing.length == 0 || packing.window == 0 {
            return Err(refuse("a row and a window hold one item at least".to_owned()));
        }
        let bytes = |value: f64| {
            pattern(value, plan.target).ok_or_else(|| refuse(format!("{value} is no {}", plan.target)))
        };
        let (pad, ignore) = (bytes(packing.pad_id)?, bytes(packing.ignore_index)?);
        let mut shared = Shared { order, packing, pad, ignore, starts: vec![0], recent: Mutex::default() };
        let windows = shared.order.len().div_ceil(packing.window as u64);
        let mut rows = 0;
        for window in 0..windows {
            rows += shared.pack(assembler, window)?.rows.len() as u64;
            shared.starts.push(rows);
        }
        Ok(Self { shared: Arc::new(shared) })
    }

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
        let (plan, total) = (plan(assembler)?, self.rows());
        if total == 0 && len > 0 {
            return Err(BatchError::OutOfRange { index: start, len: 0 });
        }
        let (mut records, mut pieces, mut ends) = (Vec::new(), Vec::new(), Vec::with_capacity(len));
        let mut last: Option<(u64, Arc<Window>)> = None;
        for row in (0..len as u64).map(|at| (start % total + at) % total) {
            let (number, row) = self.place(row);
            let window = match last.take() {
                Some((same, window)) if same == number => window,
                _ => self.shared.window(assembler, number)?,
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
        Filling { plan, shared: &self.shared, places: &places, pieces: &pieces, ends: &ends }
            .write(assembler.pool())
    }
}

impl Shared {
    /// Give a window that was packed lately, or pack it.
    fn window(&self, assembler: &Assembler, window: u64) -> Result<Arc<Window>, BatchError> {
        let found =
            self.recent().iter().find(|(number, _)| *number == window).map(|(_, kept)| Arc::clone(kept));
        if let Some(kept) = found {
            return Ok(kept);
        }
        // Two threads may pack it at once: both make the same, and nobody waits.
        let packed = Arc::new(self.pack(assembler, window)?);
        let mut recent = self.recent();
        recent.push_front((window, Arc::clone(&packed)));
        recent.truncate(KEPT);
        Ok(packed)
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, VecDeque<(u64, Arc<Window>)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pack(&self, assembler: &Assembler, window: u64) -> Result<Window, BatchError> {
        let start = window * self.packing.window as u64;
        let len = (self.order.len() - start).min(self.packing.window as u64);
        let mut records = Vec::with_capacity(self.packing.window);
        self.order.fill(start, usize::try_from(len).unwrap_or(usize::MAX), &mut records);
        let found = assembler.locate_all(&records)?;
        let held = assembler.store().hold(|| Ok(found.clone()))?;
        let places = places(&found, &held, OpenShard::ragged_place)?;
        let rows = pack(&lengths(0, &places), self.packing.length);
        Ok(Window { records, rows })
    }
}

/// The one column that is packed.
fn plan(assembler: &Assembler) -> Result<&RaggedPlan, BatchError> {
    let forms = assembler.forms();
    let refuse = |column: &str, detail: &str| {
        Err(BatchError::Form { column: column.to_owned(), detail: detail.to_owned() })
    };
    match (&forms.fixed[..], &forms.ragged[..]) {
        ([], [plan]) => {
            let ids = matches!(plan.target, Target::Stored(Element::I32 | Element::I64));
            if !ids || !plan.spec.item_shape.is_empty() {
                return refuse(&plan.spec.name, "what is packed are lists of integers, as int32 or int64");
            }
            Ok(plan)
        }
        ([first, ..], _) => refuse(&first.name, "its rows are of one width: only lists are packed"),
        _ => refuse("", "exactly one column of lists is packed"),
    }
}

/// Rows on their way into buffers.
struct Filling<'a> {
    plan: &'a RaggedPlan,
    shared: &'a Shared,
    /// Where each piece's sequence lies.
    places: &'a [RaggedPlace<'a>],
    pieces: &'a [Piece],
    /// Where each row's pieces end.
    ends: &'a [usize],
}

impl Filling<'_> {
    fn write(&self, pool: &BufferPool) -> Result<Vec<Memory>, BatchError> {
        let length = self.shared.packing.length;
        let too_large = || BatchError::TooLarge { what: "a batch" };
        let items = length.checked_mul(self.ends.len()).ok_or_else(too_large)?;
        // Positions of documents are int32, as attention kernels want them.
        i32::try_from(items).map_err(|_| too_large())?;
        let row_bytes = length * self.plan.item_bytes;
        let take = || pool.take(items * self.plan.item_bytes);
        let (mut ids, mut labels, mut positions) = (take()?, take()?, take()?);
        let mut bounds = vec![0_i32];
        let mut next = 0;
        for (row, &end) in self.ends.iter().enumerate() {
            let bytes = row * row_bytes..(row + 1) * row_bytes;
            let targets = [&mut ids[bytes.clone()], &mut labels[bytes.clone()], &mut positions[bytes]];
            self.row(next..end, row * length, targets, &mut bounds);
            next = end;
        }
        let bounds = bounds_buffer(pool, &bounds)?;
        Ok([ids, labels, positions, bounds].into_iter().map(Memory::Own).collect())
    }

    /// Write one row's pieces, and its padding as a document of its own.
    fn row(
        &self,
        pieces: std::ops::Range<usize>,
        first: usize,
        [ids, labels, positions]: [&mut [u8]; 3],
        bounds: &mut Vec<i32>,
    ) {
        let (stored, item, length) =
            (self.plan.spec.item_bytes, self.plan.item_bytes, self.shared.packing.length);
        let mut filled = 0;
        let bound = |at: usize| i32::try_from(first + at).unwrap_or(i32::MAX);
        for number in pieces {
            if let (Some(&(columns, row)), Some(piece)) =
                (self.places.get(number + AHEAD), self.pieces.get(number + AHEAD))
            {
                nexa_io::prefetch(&columns[0].row(row)[piece.start * stored..]);
            }
            let ((columns, row), piece) = (self.places[number], self.pieces[number]);
            let source = &columns[0].row(row)[piece.start * stored..][..piece.len * stored];
            let here = filled * item..(filled + piece.len) * item;
            self.plan.put(source, &mut ids[here.clone()]);
            labels[here.clone()].copy_from_slice(&ids[here.clone()]);
            count(&mut positions[here], item);
            filled += piece.len;
            bounds.push(bound(filled));
        }
        if filled < length {
            fill(&mut ids[filled * item..], &self.shared.pad);
            fill(&mut labels[filled * item..], &self.shared.ignore);
            count(&mut positions[filled * item..], item);
            bounds.push(bound(length));
        }
    }
}

/// Write 0, 1, 2, … as int32 or int64.
fn count(target: &mut [u8], item: usize) {
    if item == 4 {
        for (at, to) in target.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *to = (at as i32).to_ne_bytes();
        }
    } else {
        for (at, to) in target.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *to = (at as i64).to_ne_bytes();
        }
    }
}

fn bounds_buffer(pool: &BufferPool, bounds: &[i32]) -> Result<PooledBuf, BatchError> {
    let mut buffer = pool.take(bounds.len() * 4)?;
    for (to, bound) in buffer.as_chunks_mut::<4>().0.iter_mut().zip(bounds) {
        *to = bound.to_ne_bytes();
    }
    Ok(buffer)
}
