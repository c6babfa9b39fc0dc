//! Rows → one buffer a column.

use std::sync::Arc;

use nexa_io::{Alignment, BufferPool, PooledBuf};

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

    #[inline]
    fn record(&self, at: usize) -> u64 {
        match self {
            Self::Ordered { order, start, .. } => {
                let position = start + at as u64;
                // A division for each record would cost as much as its copy.
                order.record(if position < order.len() { position } else { position % order.len() })
            }
            Self::Listed(records) => records[at],
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
}

impl Assembler {
    /// Make an assembler that keeps at most `max_idle_bytes` of buffers for reuse.
    pub fn new(store: Arc<Store>, max_idle_bytes: usize) -> Self {
        Self { store, pool: BufferPool::new(Alignment::PAGE, max_idle_bytes) }
    }

    /// The store that it reads.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The pool that its buffers come from.
    pub fn pool(&self) -> &BufferPool {
        &self.pool
    }

    /// Assemble one batch now, on this thread.
    ///
    /// # Errors
    /// A record out of range, or a shard that can't be read or isn't what the catalog says.
    pub fn assemble(&self, rows: &Rows) -> Result<BatchBuffers, BatchError> {
        let len = rows.len();
        let found = self.find(rows)?;
        let columns = self.store.columns().iter().enumerate().map(|(column, spec)| {
            let width = spec.row_bytes;
            let bytes = width.checked_mul(len).ok_or(BatchError::TooLarge { what: "a batch" })?;
            let mut buffer = self.pool.take(bytes)?;
            for (target, &(shard, row)) in buffer.chunks_exact_mut(width).zip(&found) {
                target.copy_from_slice(shard.row(column, row));
            }
            Ok(buffer)
        });
        Ok(BatchBuffers { rows: len, columns: columns.collect::<Result<_, BatchError>>()? })
    }

    /// Find shard and row of each record, and have the memory system fetch the rows of the first column, the widest
    /// as a rule, while the next records are worked out.
    fn find(&self, rows: &Rows) -> Result<Vec<(&OpenShard, usize)>, BatchError> {
        let mut found = Vec::with_capacity(rows.len());
        let mut last: Option<(usize, &OpenShard)> = None;
        for at in 0..rows.len() {
            let record = rows.record(at);
            if record >= self.store.len() {
                return Err(BatchError::OutOfRange { index: record, len: self.store.len() });
            }
            let (number, row) = self.store.locate(record);
            let shard = match last {
                Some((same, shard)) if same == number => shard,
                _ => self.store.shard(number)?,
            };
            last = Some((number, shard));
            if !self.store.columns().is_empty() {
                nexa_io::prefetch(shard.row(0, row));
            }
            found.push((shard, row));
        }
        Ok(found)
    }
}
