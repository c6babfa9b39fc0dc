//! Rows → one buffer a column.

use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Instant;

use nexa_io::{Alignment, BufferPool, PooledBuf};
use nexa_records::FixedColumn;

use crate::borrow::borrow;
use crate::counters::Counters;
use crate::gather::gather;
use crate::store::{Held, OpenShard};
use crate::{BatchError, Forms, Order, PackedEpoch, RaggedBatch, RaggedPlan, Selection, Store};

/// Which records a batch holds, in which order.
#[derive(Debug, Clone)]
pub enum Rows {
    /// Positions `start..start + len` of an epoch; beyond its end they begin again at the first.
    Ordered {
        /// The epoch's order.
        order: Order,
        /// First position.
        start: u64,
        /// Number of positions.
        len: usize,
    },
    /// These records.
    Listed(Vec<u64>),
    /// Rows `start..start + len` of an epoch whose sequences are packed; beyond its end they begin again at the first.
    Packed {
        /// The epoch's rows.
        epoch: PackedEpoch,
        /// First row.
        start: u64,
        /// Number of rows.
        len: usize,
    },
}

impl Rows {
    /// Records, or packed rows, in the batch.
    pub fn len(&self) -> usize {
        match self {
            Self::Ordered { len, .. } | Self::Packed { len, .. } => *len,
            Self::Listed(records) => records.len(),
        }
    }

    /// Whether the batch has no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Append the numbers of some of the records to `found`.
    fn fill(&self, range: Range<usize>, found: &mut Vec<u64>) {
        match self {
            Self::Ordered { order, start, .. } => order.fill(start + range.start as u64, range.len(), found),
            Self::Listed(records) => found.extend_from_slice(&records[range]),
            // A row is pieces of several records.
            Self::Packed { .. } => {}
        }
    }
}

/// A batch: for each column of the store a buffer of `rows × row` bytes, or what ragged rows become.
#[derive(Debug)]
pub struct BatchBuffers {
    /// Records in the batch.
    pub rows: usize,
    /// The memory of each column of equal rows, in the store's order.
    pub columns: Vec<Memory>,
    /// What each column of lists, text or bytes has become, in the store's order.
    pub ragged: Vec<RaggedBatch>,
}

impl BatchBuffers {
    /// Bytes of all columns.
    pub fn bytes(&self) -> usize {
        let ragged = self.ragged.iter().map(|column| column.values.len() + column.index.len());
        self.columns.iter().map(|memory| memory.len()).chain(ragged).sum()
    }
}

/// The memory of one column of a batch.
#[derive(Debug)]
pub enum Memory {
    /// A buffer of its own, which goes back to the pool when it is dropped.
    Own(PooledBuf),
    /// Rows where they lie in the shard.
    Borrowed(FixedColumn),
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(buffer) => buffer,
            Self::Borrowed(column) => column.values.as_slice(),
        }
    }
}

/// Assembles batches of one store in buffers of one pool.
#[derive(Debug, Clone)]
pub struct Assembler {
    store: Arc<Store>,
    forms: Arc<Forms>,
    selection: Option<Arc<Selection>>,
    pool: BufferPool,
    counters: Arc<Counters>,
}

impl Assembler {
    /// Make an assembler of columns as they are stored, that keeps at most `max_idle_bytes` of buffers for reuse.
    pub fn new(store: Arc<Store>, max_idle_bytes: usize) -> Self {
        let forms = Forms::stored(&store);
        Self::with_forms(store, forms, max_idle_bytes)
    }

    /// Make an assembler of columns in these forms.
    pub fn with_forms(store: Arc<Store>, forms: Forms, max_idle_bytes: usize) -> Self {
        let pool = BufferPool::new(Alignment::PAGE, max_idle_bytes);
        Self { store, forms: Arc::new(forms), selection: None, pool, counters: Arc::default() }
    }

    /// Serve only these records of the store, numbered by their places in the selection.
    #[must_use]
    pub fn selecting(self, selection: Arc<Selection>) -> Self {
        Self { selection: Some(selection), ..self }
    }

    /// Records that it serves.
    pub fn len(&self) -> u64 {
        self.selection.as_ref().map_or_else(|| self.store.len(), |selection| selection.len())
    }

    /// Whether it has no record to serve.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The store that it reads.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Bytes that a record has in a batch's ragged columns, on the average of the first shard.
    ///
    /// # Errors
    /// The shard can't be read.
    pub fn mean_ragged_bytes(&self) -> Result<usize, BatchError> {
        let stored = self.store.mean_ragged_bytes()?;
        let grown = |(bytes, plan): (&usize, &RaggedPlan)| bytes / plan.spec.item_bytes * plan.item_bytes;
        Ok(stored.iter().zip(&self.forms.ragged).map(grown).sum())
    }

    /// What becomes of the store's columns.
    pub fn forms(&self) -> &Forms {
        &self.forms
    }

    /// The pool that its buffers come from.
    pub fn pool(&self) -> &BufferPool {
        &self.pool
    }

    /// What was done so far; clones of an assembler share it.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Assemble one batch now, on this thread.
    ///
    /// # Errors
    /// A record out of range, or a shard that can't be read or isn't what the catalog says.
    pub fn assemble(&self, rows: &Rows) -> Result<BatchBuffers, BatchError> {
        let started = Instant::now();
        let batch = self.put_together(rows)?;
        self.counters.assembled(started.elapsed());
        Ok(batch)
    }

    fn put_together(&self, rows: &Rows) -> Result<BatchBuffers, BatchError> {
        let len = rows.len();
        if let Rows::Packed { epoch, start, len } = rows {
            let columns = epoch.assemble(self, *start, *len)?;
            return Ok(BatchBuffers { rows: *len, columns, ragged: Vec::new() });
        }
        let held = self.store.hold(|| self.locate(rows, 0..len))?;
        let columns = self.fixed(rows, &held)?;
        let ragged = if self.forms.ragged.is_empty() {
            Vec::new()
        } else {
            self.ragged(&self.locate(rows, 0..len)?, &held)?
        };
        Ok(BatchBuffers { rows: len, columns, ragged })
    }

    fn fixed(&self, rows: &Rows, held: &Held<'_>) -> Result<Vec<Memory>, BatchError> {
        let (plans, len) = (&self.forms.fixed, rows.len());
        if self.store.is_private()
            && let Some(columns) = self.borrowed(rows, held)?
        {
            return Ok(columns);
        }
        let buffers = plans.iter().map(|plan| {
            let bytes = plan.row_bytes.checked_mul(len).ok_or(BatchError::TooLarge { what: "a batch" })?;
            Ok(self.pool.take(bytes)?)
        });
        let mut columns = buffers.collect::<Result<Vec<PooledBuf>, BatchError>>()?;
        let mut targets: Vec<&mut [u8]> = columns.iter_mut().map(|buffer| &mut **buffer).collect();
        let mut records = Vec::new();
        gather(len, plans, &mut targets, |range, places| {
            records.clear();
            self.fill(rows, range, &mut records)?;
            held.places(&records, places)
        })?;
        Ok(columns.into_iter().map(Memory::Own).collect())
    }

    fn borrowed(&self, rows: &Rows, held: &Held<'_>) -> Result<Option<Vec<Memory>>, BatchError> {
        let found = self.locate(rows, 0..rows.len())?;
        let Some(&(first, _)) = found.first() else { return Ok(None) };
        let places = places(&found, held, OpenShard::place)?;
        Ok(borrow(&self.forms.fixed, &places, held.shard(first)?.addresses()))
    }

    fn ragged(&self, found: &[(usize, usize)], held: &Held<'_>) -> Result<Vec<RaggedBatch>, BatchError> {
        let places = places(found, held, OpenShard::ragged_place)?;
        let record = |row: usize| self.store.record(found[row]);
        let plans = self.forms.ragged.iter().enumerate();
        plans.map(|(column, plan)| plan.assemble(column, &places, record, &self.pool)).collect()
    }

    /// Find shard and row of some of a batch's records.
    fn locate(&self, rows: &Rows, range: Range<usize>) -> Result<Vec<(usize, usize)>, BatchError> {
        let mut records = Vec::with_capacity(range.len());
        self.fill(rows, range, &mut records)?;
        records.into_iter().map(|record| self.checked(record)).collect()
    }

    /// Find shard and row of each of these records.
    pub(crate) fn locate_all(&self, records: &[u64]) -> Result<Vec<(usize, usize)>, BatchError> {
        let mut records = records.to_vec();
        self.chosen(&mut records)?;
        records.into_iter().map(|record| self.checked(record)).collect()
    }

    /// Write the store's numbers of some records to `found`, which is empty.
    fn fill(&self, rows: &Rows, range: Range<usize>, found: &mut Vec<u64>) -> Result<(), BatchError> {
        rows.fill(range, found);
        self.chosen(found)
    }

    /// Turn numbers among the records that are served into the store's.
    fn chosen(&self, found: &mut [u64]) -> Result<(), BatchError> {
        if let Some(selection) = &self.selection {
            for record in found {
                let (index, len) = (*record, selection.len());
                *record = selection.get(index).ok_or(BatchError::OutOfRange { index, len })?;
            }
        }
        Ok(())
    }

    #[inline]
    fn checked(&self, record: u64) -> Result<(usize, usize), BatchError> {
        if record < self.store.len() {
            return Ok(self.store.locate(record));
        }
        Err(BatchError::OutOfRange { index: record, len: self.store.len() })
    }
}

/// Find the memory of each row; shards that no batch has needed before are opened.
pub(crate) fn places<'a, P>(
    found: &[(usize, usize)],
    held: &'a Held<'_>,
    place: impl Fn(&'a OpenShard, usize) -> P,
) -> Result<Vec<P>, BatchError> {
    let mut last: Option<(usize, &OpenShard)> = None;
    let place = |&(number, row): &(usize, usize)| {
        let shard = match last {
            Some((same, shard)) if same == number => shard,
            _ => held.shard(number)?,
        };
        last = Some((number, shard));
        Ok(place(shard, row))
    };
    found.iter().map(place).collect()
}
