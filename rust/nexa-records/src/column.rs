//! Batch assembly copies rows of equal width; this takes one column of one batch down to such rows.

use std::path::Path;

use arrow_array::Array;
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field};

use crate::{Element, RecordError, column_spec};

/// The rows of one column of one record batch, as bytes.
#[derive(Clone, Debug)]
pub struct FixedColumn {
    /// `rows * row_bytes` bytes, row 0 first: a view that keeps the shard's memory alive, or a copy for booleans.
    pub values: Buffer,
    /// Number of rows.
    pub rows: usize,
    /// Bytes of one row; never 0.
    pub row_bytes: usize,
    /// Type of one element, in the machine's byte order.
    pub element: Element,
    /// Shape of one row; empty for a scalar.
    pub row_shape: Vec<usize>,
}

impl FixedColumn {
    /// Give rows `first .. first + rows` as a column of their own, without a copy; `None` beyond the last.
    #[must_use]
    pub fn slice(&self, first: usize, rows: usize) -> Option<Self> {
        let start = first.checked_mul(self.row_bytes)?;
        let len = rows.checked_mul(self.row_bytes)?;
        if start.checked_add(len)? > self.values.len() {
            return None;
        }
        Some(Self { values: self.values.slice_with_length(start, len), rows, ..self.clone() })
    }

    /// Give the bytes of one row, or `None` beyond the last.
    #[must_use]
    pub fn row(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_mul(self.row_bytes)?;
        self.values.get(start..start.checked_add(self.row_bytes)?)
    }
}

/// Take a column of a record batch as rows of equal width.
///
/// # Args
///
/// - `array`: the column; slices and offsets are respected.
/// - `field`: the column in the batch's schema, with its metadata.
/// - `path`: the shard, for the error's message.
///
/// # Returns
///
/// A view of the array's own memory; only booleans, which Arrow packs into bits, are copied.
///
/// # Errors
///
/// [`RecordError::UnsupportedColumn`] for a type whose rows are not all of one width, [`RecordError::Nulls`] for
/// missing values in the list or its elements, [`RecordError::SchemaMismatch`] where the array is not of the
/// field's type.
pub fn fixed_column(array: &dyn Array, field: &Field, path: &Path) -> Result<FixedColumn, RecordError> {
    let spec = column_spec(field, path)?;
    if array.data_type() != field.data_type() {
        return Err(RecordError::SchemaMismatch {
            path: path.to_owned(),
            column: spec.name,
            expected: field.data_type().to_string(),
            found: array.data_type().to_string(),
        });
    }
    let data = array.to_data();
    let rows = data.len();
    let values =
        leaf_values(&Window { data: &data, start: 0, len: rows, per_row: 1 }).map_err(
            |fault| match fault {
                Fault::Null { row } => {
                    RecordError::Nulls { path: path.to_owned(), column: spec.name.clone(), row }
                }
                Fault::Short => RecordError::Corrupt {
                    path: path.to_owned(),
                    batch: None,
                    detail: format!("column {:?} has fewer values than rows", spec.name),
                },
            },
        )?;
    if rows.checked_mul(spec.row_bytes) != Some(values.len()) {
        return Err(RecordError::Corrupt {
            path: path.to_owned(),
            batch: None,
            detail: format!("column {:?} has {} bytes in {rows} rows", spec.name, values.len()),
        });
    }
    Ok(FixedColumn {
        values,
        rows,
        row_bytes: spec.row_bytes,
        element: spec.element,
        row_shape: spec.row_shape,
    })
}

/// The part of an array, at one depth of nested lists, that belongs to the column's rows.
pub(crate) struct Window<'a> {
    pub data: &'a ArrayData,
    /// First entry, counted from the array's own offset.
    pub start: usize,
    pub len: usize,
    /// Entries that make up a row of the column.
    pub per_row: usize,
}

pub(crate) enum Fault {
    Null { row: usize },
    Short,
}

pub(crate) fn leaf_values(window: &Window<'_>) -> Result<Buffer, Fault> {
    let Window { data, start, len, per_row } = *window;
    if start.checked_add(len).is_none_or(|end| end > data.len()) {
        return Err(Fault::Short);
    }
    if let Some(entry) = first_null(data, start, len) {
        return Err(Fault::Null { row: entry / per_row.max(1) });
    }
    let first = data.offset().checked_add(start).ok_or(Fault::Short)?;
    let width = match data.data_type() {
        DataType::FixedSizeList(_, size) => {
            let size = usize::try_from(*size).map_err(|_| Fault::Short)?;
            let scale = |count: usize| count.checked_mul(size).ok_or(Fault::Short);
            let child = data.child_data().first().ok_or(Fault::Short)?;
            return leaf_values(&Window {
                data: child,
                start: scale(first)?,
                len: scale(len)?,
                per_row: scale(per_row)?,
            });
        }
        DataType::Boolean => return unpack(data, first, len),
        DataType::FixedSizeBinary(size) => usize::try_from(*size).map_err(|_| Fault::Short)?,
        other => other.primitive_width().ok_or(Fault::Short)?,
    };
    let bytes = len.checked_mul(width).ok_or(Fault::Short)?;
    let begin = first.checked_mul(width).ok_or(Fault::Short)?;
    let buffer = data.buffers().first().ok_or(Fault::Short)?;
    if begin.checked_add(bytes).is_none_or(|end| end > buffer.len()) {
        return Err(Fault::Short);
    }
    Ok(buffer.slice_with_length(begin, bytes))
}

fn first_null(data: &ArrayData, start: usize, len: usize) -> Option<usize> {
    // The count of the whole array is kept, so that a column without nulls costs nothing here.
    let nulls = data.nulls().filter(|nulls| nulls.null_count() > 0)?;
    let nulls = nulls.slice(start, len);
    if nulls.null_count() == 0 { None } else { nulls.iter().position(|valid| !valid) }
}

fn unpack(data: &ArrayData, first: usize, len: usize) -> Result<Buffer, Fault> {
    let bits = data.buffers().first().ok_or(Fault::Short)?;
    if first.checked_add(len).is_none_or(|end| end.div_ceil(8) > bits.len()) {
        return Err(Fault::Short);
    }
    Ok(unpacked(bits.clone(), first, len))
}

/// Give a byte for each of `len` bits from the first on, which the buffer holds.
pub(crate) fn unpacked(bits: Buffer, first: usize, len: usize) -> Buffer {
    let bits = BooleanBuffer::new(bits, first, len);
    Buffer::from_vec(bits.iter().map(u8::from).collect::<Vec<u8>>())
}
