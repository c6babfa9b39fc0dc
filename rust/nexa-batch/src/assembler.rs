//! Rows → one buffer a column.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use nexa_io::{Alignment, BufferPool, PooledBuf};

use crate::counters::Counters;
use crate::gather::gather;
use crate::store::OpenShard;
use crate::{BatchError, Order, Store};

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
}

impl Rows {
    /// Records in the batch.
    pub fn len(&self) -> usize {
        match self {
            Self::Ordered { len, .. } => *len,
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
        }
    }
}

/// A batch: for each column of the store a buffer of `rows × row` bytes.
#[derive(Debug)]
pub struct BatchBuffers {
    /// Records in the batch.
    pub rows: usize,
    /// A buffer a column, in the store's order; each goes back to the pool when it is dropped.
    pub columns: Vec<PooledBuf>,
}

/// Assembles batches of one store in buffers of one pool.
#[derive(Debug, Clone)]
pub struct Assembler {
    store: Arc<Store>,
    pool: BufferPool,
    counters: Arc<Counters>,
}

impl Assembler {
    /// Make an assembler that keeps at most `max_idle_bytes` of buffers for reuse.
    pub fn new(store: Arc<Store>, max_idle_bytes: usize) -> Self {
        let pool = BufferPool::new(Alignment::PAGE, max_idle_bytes);
        Self { store, pool, counters: Arc::default() }
    }

    /// The store that it reads.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
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
        let len = rows.len();
        let widths: Vec<usize> = self.store.columns().iter().map(|spec| spec.row_bytes).collect();
        let buffers = widths.iter().map(|width| {
            let bytes = width.checked_mul(len).ok_or(BatchError::TooLarge { what: "a batch" })?;
            Ok(self.pool.take(bytes)?)
        });
        let mut columns = buffers.collect::<Result<Vec<PooledBuf>, BatchError>>()?;
        let mut targets: Vec<&mut [u8]> = columns.iter_mut().map(|buffer| &mut **buffer).collect();
        let held = self.store.hold(|| self.locate(rows, 0..len))?;
        let (mut records, mut last) = (Vec::new(), None);
        gather(len, &widths, &mut targets, |range, places| {
            records.clear();
            rows.fill(range, &mut records);
            for &record in &records {
                let (number, row) = self.checked(record)?;
                // Rows as stored mostly lie in the shard of the row before.
                let shard: &OpenShard = match last {
                    Some((same, shard)) if same == number => shard,
                    _ => held.shard(number)?,
                };
                last = Some((number, shard));
                places.push(shard.place(row));
            }
            Ok::<_, BatchError>(())
        })?;
        self.counters.assembled(started.elapsed());
        Ok(BatchBuffers { rows: len, columns })
    }

    /// Find shard and row of some records.
    fn locate(&self, rows: &Rows, range: Range<usize>) -> Result<Vec<(usize, usize)>, BatchError> {
        let mut records = Vec::with_capacity(range.len());
        rows.fill(range, &mut records);
        records.into_iter().map(|record| self.checked(record)).collect()
    }

    #[inline]
    fn checked(&self, record: u64) -> Result<(usize, usize), BatchError> {
        if record < self.store.len() {
            return Ok(self.store.locate(record));
        }
        Err(BatchError::OutOfRange { index: record, len: self.store.len() })
    }
}
