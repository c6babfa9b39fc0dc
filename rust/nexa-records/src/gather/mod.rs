//! Batches of rows to the shards of several splits: each row is copied once, to where its shard is written from.
//!
//! ```text
//! add(batch, split of each row):  per split, the numbers of its rows
//! next_full():                    split by split: as many rows as its shard still takes, column by column;
//!                                 a shard that is full is handed over
//! finish():                       what is left of each split
//! ```
//!
//! 1. A shard is closed by the bound on its rows or on its bytes that is reached first. What rows take depends on the batches
//!    that they came in, and on nothing else.
//! 2. The memory of a shard that was written takes in the next one: at most one shard a split is held, and one that is
//!    being written.

mod column;
mod rows;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};

use self::column::GrowingColumn;
use self::rows::Rows;
use crate::{RecordError, check_schema};

/// How large a shard may grow; an empty one takes a row of any size.
#[derive(Clone, Copy, Debug)]
pub struct ShardBound {
    /// Rows, if they are bounded.
    pub rows: Option<usize>,
    /// Bytes of all columns.
    pub bytes: usize,
}

/// Gathers rows into the shards of several splits.
///
/// ```
/// use std::sync::Arc;
/// use arrow_array::{Int64Array, RecordBatch};
/// use nexa_records::{ShardBound, SplitGather};
///
/// let column = Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as arrow_array::ArrayRef;
/// let batch = RecordBatch::try_from_iter_with_nullable([("x", column, false)])?;
/// let mut gather = SplitGather::new(2, ShardBound { rows: Some(2), bytes: 1 << 20 });
/// gather.add(&batch, &[0, 1, 0, 0])?;
/// let (split, shard) = gather.next_full()?.unwrap();
/// assert_eq!((split, shard.num_rows()), (0, 2));
/// assert!(gather.next_full()?.is_none());
/// assert_eq!(gather.finish()?.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SplitGather {
    bound: ShardBound,
    schema: Option<SchemaRef>,
    splits: Vec<Split>,
    /// What was added last.
    batch: Vec<Rows>,
}

/// The shard of one split that isn't full.
#[derive(Debug, Default)]
struct Split {
    columns: Vec<GrowingColumn>,
    rows: usize,
    bytes: usize,
    /// Rows of the batch that belong to it, ascending, and how many of them it has taken.
    numbers: Vec<u64>,
    taken: usize,
}

impl SplitGather {
    /// Make one for so many splits.
    #[must_use]
    pub fn new(splits: usize, bound: ShardBound) -> Self {
        let splits = (0..splits).map(|_| Split::default()).collect();
        Self { bound, schema: None, splits, batch: Vec::new() }
    }

    /// Take in a batch; `split_of` gives the split of each row, and a number beyond the last where it is left out.
    ///
    /// [`next_full`](Self::next_full) is called until it gives nothing before the next batch comes.
    ///
    /// # Errors
    /// [`RecordError::SchemaMismatch`] if its columns aren't those of the first batch; [`RecordError::RowCount`] if there
    /// aren't as many splits as rows.
    pub fn add(&mut self, batch: &RecordBatch, split_of: &[u8]) -> Result<(), RecordError> {
        if batch.num_rows() != split_of.len() {
            return Err(wrong(format!("{} rows, and splits of {}", batch.num_rows(), split_of.len())));
        }
        let schema = self.schema_of(batch)?;
        let columns = schema.fields().iter().zip(batch.columns());
        self.batch = columns.map(|(field, array)| Rows::of(array, field)).collect();
        for split in &mut self.splits {
            split.numbers.clear();
            split.taken = 0;
        }
        for (row, &split) in (0..).zip(split_of) {
            if let Some(split) = self.splits.get_mut(usize::from(split)) {
                split.numbers.push(row);
            }
        }
        Ok(())
    }

    /// Return the numbers of the last batch's rows that belong to a split, ascending.
    ///
    /// # Panics
    /// If there is no such split.
    #[must_use]
    pub fn numbers(&self, split: usize) -> &[u64] {
        &self.splits[split].numbers
    }

    fn schema_of(&mut self, batch: &RecordBatch) -> Result<SchemaRef, RecordError> {
        if let Some(schema) = &self.schema {
            if schema.fields() != batch.schema_ref().fields() {
                check_schema(schema, batch.schema_ref(), Path::new("batch"))?;
                return Err(wrong("a batch has its columns in another order".to_owned()));
            }
            return Ok(Arc::clone(schema));
        }
        let schema = batch.schema();
        let columns: Vec<GrowingColumn> = schema
            .fields()
            .iter()
            .map(|field| GrowingColumn::new(field.data_type().clone(), self.bound.bytes))
            .collect();
        for split in &mut self.splits {
            split.columns = columns.iter().map(GrowingColumn::another).collect();
        }
        Ok(Arc::clone(self.schema.insert(schema)))
    }

    /// Return the next shard that the last batch fills, with its split; `None` once all rows are taken.
    ///
    /// # Errors
    /// [`RecordError::Io`] where there is no memory; [`RecordError::Corrupt`] if a column would be larger than its type can say.
    pub fn next_full(&mut self) -> Result<Option<(usize, RecordBatch)>, RecordError> {
        for at in 0..self.splits.len() {
            while self.splits[at].taken < self.splits[at].numbers.len() {
                let split = &mut self.splits[at];
                split.take(&self.batch, self.bound)?;
                if split.taken < split.numbers.len() || split.is_full(self.bound) {
                    return self.close(at).map(|shard| Some((at, shard)));
                }
            }
        }
        self.batch.clear();
        Ok(None)
    }

    /// Return what is held of each split that holds something.
    ///
    /// # Errors
    /// As [`next_full`](Self::next_full).
    pub fn finish(&mut self) -> Result<Vec<(usize, RecordBatch)>, RecordError> {
        let held: Vec<usize> = (0..self.splits.len()).filter(|&at| self.splits[at].rows > 0).collect();
        held.into_iter().map(|at| Ok((at, self.close(at)?))).collect()
    }

    fn close(&mut self, at: usize) -> Result<RecordBatch, RecordError> {
        let split = &mut self.splits[at];
        (split.rows, split.bytes) = (0, 0);
        let arrays: Result<Vec<ArrayRef>, _> = split.columns.iter_mut().map(GrowingColumn::finish).collect();
        let schema = self.schema.clone().unwrap_or_else(|| Arc::new(arrow_schema::Schema::empty()));
        RecordBatch::try_new(schema, arrays?).map_err(|error| arrow(&error))
    }
}

impl Split {
    /// Take as many of its rows of the batch as the shard still takes.
    fn take(&mut self, batch: &[Rows], bound: ShardBound) -> Result<(), RecordError> {
        let left = self.numbers.len() - self.taken;
        let by_rows = bound.rows.map_or(left, |rows| left.min(rows.saturating_sub(self.rows)));
        let by_bytes = self.rows_within(batch, bound.bytes.saturating_sub(self.bytes));
        let n = by_rows.min(by_bytes).max(usize::from(self.rows == 0));
        let numbers = self.taken..self.taken + n;
        self.bytes += self.bytes_of(batch, numbers.clone());
        for (column, rows) in self.columns.iter_mut().zip(batch) {
            column.append(rows, &self.numbers[numbers.clone()])?;
        }
        self.rows += n;
        self.taken += n;
        Ok(())
    }

    fn is_full(&self, bound: ShardBound) -> bool {
        bound.rows == Some(self.rows) || self.bytes >= bound.bytes
    }

    /// Return how many of the rows that are left take at most `bytes`.
    fn rows_within(&self, batch: &[Rows], bytes: usize) -> usize {
        let (mut low, mut high) = (0, self.numbers.len() - self.taken);
        if self.bytes_of(batch, self.taken..self.numbers.len()) <= bytes {
            return high;
        }
        while low < high {
            let middle = (low + high).div_ceil(2);
            if self.bytes_of(batch, self.taken..self.taken + middle) <= bytes {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    fn bytes_of(&self, batch: &[Rows], numbers: Range<usize>) -> usize {
        batch.iter().map(|rows| rows.bytes(&self.numbers, &numbers)).sum()
    }
}

fn wrong(detail: String) -> RecordError {
    RecordError::Corrupt { path: Path::new("batch").to_owned(), batch: None, detail }
}

fn arrow(error: &ArrowError) -> RecordError {
    wrong(error.to_string())
}

#[cfg(test)]
mod tests;
