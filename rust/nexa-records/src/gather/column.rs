//! A column of a shard that is being gathered: its bytes as they will be written.

use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat;
use bytes::Bytes;
use nexa_filter::copy_rows;
use nexa_io::{IoError, Reserve, ReservedBuf};

use super::rows::{Rows, by_number, number};
use super::{arrow, wrong};
use crate::{RaggedColumn, RecordError};

/// A column that grows, and begins anew once it was finished.
#[derive(Debug)]
pub(super) struct GrowingColumn {
    kind: DataType,
    /// Memory of values and of offsets, shared with the same column of other splits.
    reserves: [Reserve; 2],
    /// Rows in front that Arrow had to take.
    parts: Vec<ArrayRef>,
    values: ReservedBuf,
    offsets: ReservedBuf,
    /// Rows behind those.
    rows: usize,
    /// Items behind those, where rows are runs.
    items: usize,
}

impl GrowingColumn {
    /// Make an empty one of a type, of shards of about so many bytes.
    pub(super) fn new(kind: DataType, shard_bytes: usize) -> Self {
        Self::with(kind, [Reserve::new(shard_bytes), Reserve::new(shard_bytes)])
    }

    /// Make an empty one of the same memory.
    pub(super) fn another(&self) -> Self {
        Self::with(self.kind.clone(), self.reserves.clone())
    }

    fn with(kind: DataType, reserves: [Reserve; 2]) -> Self {
        let [values, offsets] = [reserves[0].buffer(), reserves[1].buffer()];
        Self { kind, reserves, parts: Vec::new(), values, offsets, rows: 0, items: 0 }
    }

    /// Append some rows.
    pub(super) fn append(&mut self, rows: &Rows, numbers: &[u64]) -> Result<(), RecordError> {
        match rows {
            Rows::Fixed(rows) => {
                let target = self.values.append(numbers.len() * rows.row_bytes).map_err(memory)?;
                copy_rows(&rows.values, rows.row_bytes, numbers, target);
            }
            Rows::Runs { rows, item_bytes, offset_bytes: 4 } => {
                self.append_runs(rows, *item_bytes, numbers, |items| {
                    i32::try_from(items).map(i32::to_ne_bytes)
                })?;
            }
            Rows::Runs { rows, item_bytes, .. } => {
                self.append_runs(rows, *item_bytes, numbers, |items| {
                    i64::try_from(items).map(i64::to_ne_bytes)
                })?;
            }
            Rows::Other(array) => {
                self.part()?;
                self.parts.push(by_number(array, numbers).map_err(|error| arrow(&error))?);
                return Ok(());
            }
        }
        self.rows += numbers.len();
        Ok(())
    }

    fn append_runs<const N: usize, E>(
        &mut self,
        rows: &RaggedColumn,
        item_bytes: usize,
        numbers: &[u64],
        offset: impl Fn(usize) -> Result<[u8; N], E>,
    ) -> Result<(), RecordError> {
        let items: usize = numbers.iter().map(|&row| rows.items(number(row))).sum();
        let end = self.items + items;
        if offset(end).is_err() {
            return Err(wrong(format!(
                "{end} items are more than a shard's {} can hold: choose smaller shards (data.shards.bytes)",
                self.kind
            )));
        }
        let first = usize::from(self.rows == 0);
        let (starts, _) =
            self.offsets.append((numbers.len() + first) * N).map_err(memory)?.as_chunks_mut::<N>();
        let mut values = self.values.append(items * item_bytes).map_err(memory)?;
        let mut at = self.items;
        if first == 1 {
            starts[0] = [0; N];
        }
        for (&row, start) in numbers.iter().zip(&mut starts[first..]) {
            let run = rows.row(number(row));
            let to;
            (to, values) = values.split_at_mut(run.len());
            to.copy_from_slice(run);
            at += run.len() / item_bytes;
            // All are within the last, which fits.
            *start = offset(at).unwrap_or([0; N]);
        }
        self.items = end;
        Ok(())
    }

    /// Return all rows, and begin anew.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, RecordError> {
        self.part()?;
        let parts = std::mem::take(&mut self.parts);
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        // One part stays as it is.
        concat(&parts).map_err(|error| arrow(&error))
    }

    /// Make a part of what lies in memory.
    fn part(&mut self) -> Result<(), RecordError> {
        if self.rows == 0 {
            return Ok(());
        }
        let next = Self { parts: std::mem::take(&mut self.parts), ..self.another() };
        let done = std::mem::replace(self, next);
        let [values, offsets] = [done.values, done.offsets].map(buffer);
        let data = match &done.kind {
            kind @ (DataType::List(item) | DataType::LargeList(item)) => {
                let items = fixed(item.data_type(), done.items, values).map_err(|error| arrow(&error))?;
                ArrayData::builder(kind.clone())
                    .len(done.rows)
                    .add_buffer(offsets)
                    .add_child_data(items)
                    .build()
            }
            kind @ (DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary) => {
                let data = ArrayData::builder(kind.clone()).len(done.rows);
                data.add_buffer(offsets).add_buffer(values).build()
            }
            kind => fixed(kind, done.rows, values),
        };
        self.parts.push(make_array(data.map_err(|error| arrow(&error))?));
        Ok(())
    }
}

/// Return numbers, or nested lists of one size of them, over their bytes.
fn fixed(kind: &DataType, len: usize, values: Buffer) -> Result<ArrayData, ArrowError> {
    let data = ArrayData::builder(kind.clone()).len(len);
    match kind {
        DataType::FixedSizeList(item, size) => {
            let items = len * usize::try_from(*size).unwrap_or(0);
            data.add_child_data(fixed(item.data_type(), items, values)?).build()
        }
        _ => data.add_buffer(values).build(),
    }
}

fn buffer(memory: ReservedBuf) -> Buffer {
    // Nothing lies nowhere, and Arrow wants it aligned even so.
    if memory.as_ref().is_empty() { Buffer::default() } else { Buffer::from(Bytes::from_owner(memory)) }
}

fn memory(source: IoError) -> RecordError {
    RecordError::Io { path: "batch".into(), source }
}
