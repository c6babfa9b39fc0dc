//! Lists, text and bytes: rows of different lengths, as one run of items and where each row lies in it.

use std::ops::Range;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::ByteArrayType;
use arrow_array::{Array, BinaryViewArray, GenericByteArray, GenericListArray, OffsetSizeTrait};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use crate::column::{Fault, Window, leaf_values};
use crate::spec::storage;
use crate::{Element, RecordError};

/// What the items of a row make up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RaggedKind {
    /// A list of numbers, or of vectors of one width.
    List,
    /// Text in UTF-8; an item is a byte.
    Text,
    /// Bytes.
    Bytes,
}

impl RaggedKind {
    /// Give the kind's name: `list`, `text` or `bytes`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Text => "text",
            Self::Bytes => "bytes",
        }
    }
}

/// What the rows of a column of lists, text or bytes look like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RaggedSpec {
    /// The column's name.
    pub name: String,
    /// What a row is.
    pub kind: RaggedKind,
    /// Type of one element of an item; `uint8` for text and bytes.
    pub element: Element,
    /// Shape of one item; empty for a number.
    pub item_shape: Vec<usize>,
    /// Bytes of one item; never 0.
    pub item_bytes: usize,
}

/// The rows of one such column of one record batch.
#[derive(Clone, Debug)]
pub struct RaggedColumn {
    rows: usize,
    item_bytes: usize,
    runs: Runs,
}

/// Where the rows' bytes lie.
#[derive(Clone, Debug)]
enum Runs {
    /// Row i is items `offsets[i] - offsets[0] .. offsets[i + 1] - offsets[0]` of the values.
    Short(ScalarBuffer<i32>, Buffer),
    Long(ScalarBuffer<i64>, Buffer),
    Views(BinaryViewArray),
}

impl RaggedColumn {
    /// Give the number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Give the items of a row.
    ///
    /// # Panics
    ///
    /// Beyond the last row.
    #[must_use]
    #[inline]
    pub fn items(&self, row: usize) -> usize {
        match &self.runs {
            Runs::Views(views) => views.value(row).len(),
            Runs::Short(offsets, _) => span(offsets, row).len(),
            Runs::Long(offsets, _) => span(offsets, row).len(),
        }
    }

    /// Give the bytes of a row.
    ///
    /// # Panics
    ///
    /// Beyond the last row.
    #[must_use]
    #[inline]
    pub fn row(&self, row: usize) -> &[u8] {
        let (span, values) = match &self.runs {
            Runs::Views(views) => return views.value(row),
            Runs::Short(offsets, values) => (span(offsets, row), values),
            Runs::Long(offsets, values) => (span(offsets, row), values),
        };
        &values.as_slice()[span.start * self.item_bytes..span.end * self.item_bytes]
    }

    /// Give the memory that says where a row lies, for who wants to ask for it ahead.
    ///
    /// # Panics
    ///
    /// Beyond the last row.
    #[must_use]
    #[inline]
    pub fn place(&self, row: usize) -> &[u8] {
        match &self.runs {
            Runs::Short(offsets, _) => &offsets.inner().as_slice()[row * 4..][..8],
            Runs::Long(offsets, _) => &offsets.inner().as_slice()[row * 8..][..16],
            Runs::Views(views) => &views.views().inner().as_slice()[row * 16..][..16],
        }
    }

    /// Give the bytes of all rows.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        match &self.runs {
            Runs::Short(_, values) | Runs::Long(_, values) => values.len(),
            Runs::Views(views) => (0..views.len()).map(|row| views.value(row).len()).sum(),
        }
    }
}

/// Take rows of lists, text or bytes from what of a file's buffers belongs to them.
///
/// # Args
///
/// - `width`: bytes of an offset, 4 or 8.
/// - `offsets`: one more than there are rows.
/// - `values`: the items from the first row's first to the last row's last, a byte each where they are booleans.
///
/// # Errors
///
/// What is wrong with the offsets or the text, in words.
pub(crate) fn ragged_rows(
    spec: &RaggedSpec,
    width: usize,
    offsets: Buffer,
    values: Buffer,
) -> Result<RaggedColumn, String> {
    // Foreign files may have buffers that aren't aligned to their type.
    let offsets = if offsets.as_ptr().addr().is_multiple_of(width) {
        offsets
    } else {
        Buffer::from(offsets.as_slice())
    };
    let rows = (offsets.len() / width).saturating_sub(1);
    let runs = if width == 4 {
        let offsets = ScalarBuffer::new(offsets, 0, rows + 1);
        check_rows(spec, &offsets, &values)?;
        Runs::Short(offsets, values)
    } else {
        let offsets = ScalarBuffer::new(offsets, 0, rows + 1);
        check_rows(spec, &offsets, &values)?;
        Runs::Long(offsets, values)
    };
    Ok(RaggedColumn { rows, item_bytes: spec.item_bytes, runs })
}

fn check_rows<O: OffsetSizeTrait>(spec: &RaggedSpec, offsets: &[O], values: &[u8]) -> Result<(), String> {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    if first < O::zero() || !offsets.is_sorted() {
        return Err(format!("column {:?} has offsets that don't increase", spec.name));
    }
    if (last - first).as_usize().checked_mul(spec.item_bytes) != Some(values.len()) {
        return Err(format!("column {:?} has rows beyond its values", spec.name));
    }
    if spec.kind == RaggedKind::Text {
        let text = std::str::from_utf8(values)
            .map_err(|error| format!("column {:?} isn't UTF-8 ({error})", spec.name))?;
        if !offsets.iter().all(|offset| text.is_char_boundary((*offset - first).as_usize())) {
            return Err(format!("column {:?} has rows that begin inside of a character", spec.name));
        }
    }
    Ok(())
}

/// Items of a row, counted from the first row's first.
#[inline]
fn span<O: OffsetSizeTrait>(offsets: &[O], row: usize) -> Range<usize> {
    let first = offsets[0];
    (offsets[row] - first).as_usize()..(offsets[row + 1] - first).as_usize()
}

/// Say what a column's rows look like, or `None` where the type isn't one of lists, text and bytes.
///
/// # Args
///
/// - `field`: the column in the shard's schema.
/// - `path`: the shard, for the error's message.
///
/// # Errors
///
/// [`RecordError::UnsupportedColumn`] for lists whose items are neither numbers nor vectors of one width.
pub fn ragged_spec(field: &Field, path: &Path) -> Result<Option<RaggedSpec>, RecordError> {
    let text = |kind| (kind, Element::U8, Vec::new());
    let (kind, element, item_shape) = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => text(RaggedKind::Text),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => text(RaggedKind::Bytes),
        DataType::List(item) | DataType::LargeList(item) => {
            let (element, shape) = storage(item.data_type()).map_err(|_| {
                refused(field, path, "its lists hold neither numbers nor vectors of one width")
            })?;
            (RaggedKind::List, element, shape)
        }
        _ => return Ok(None),
    };
    let item_bytes = item_shape.iter().try_fold(element.bytes(), |bytes, axis| bytes.checked_mul(*axis));
    match item_bytes.filter(|bytes| isize::try_from(*bytes).is_ok()) {
        Some(0) => Err(refused(field, path, "its lists' items hold no elements")),
        Some(item_bytes) => {
            Ok(Some(RaggedSpec { name: field.name().clone(), kind, element, item_shape, item_bytes }))
        }
        None => Err(refused(field, path, "an item of its lists has too many bytes")),
    }
}

fn refused(field: &Field, path: &Path, detail: &str) -> RecordError {
    RecordError::UnsupportedColumn {
        path: path.to_owned(),
        column: field.name().clone(),
        found: field.data_type().to_string(),
        detail: detail.to_owned(),
    }
}

/// Take a column of lists, text or bytes of a record batch.
///
/// # Args
///
/// - `array`: the column; slices and offsets are respected.
/// - `field`: the column in the batch's schema.
/// - `path`: the shard, for the error's message.
///
/// # Returns
///
/// Views of the array's own memory; only booleans, which Arrow packs into bits, are copied.
///
/// # Errors
///
/// [`RecordError::UnsupportedColumn`] for another type, [`RecordError::Nulls`] for missing rows or items,
/// [`RecordError::SchemaMismatch`] where the array is not of the field's type.
pub fn ragged_column(array: &dyn Array, field: &Field, path: &Path) -> Result<RaggedColumn, RecordError> {
    let spec = ragged_spec(field, path)?
        .ok_or_else(|| refused(field, path, "its rows are neither lists nor text nor bytes"))?;
    if array.data_type() != field.data_type() {
        return Err(RecordError::SchemaMismatch {
            path: path.to_owned(),
            column: spec.name,
            expected: field.data_type().to_string(),
            found: array.data_type().to_string(),
        });
    }
    let null = |row| RecordError::Nulls { path: path.to_owned(), column: spec.name.clone(), row };
    if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
        return Err(null(nulls.iter().position(|valid| !valid).unwrap_or(0)));
    }
    let runs = match field.data_type() {
        DataType::List(_) => list(array.as_list::<i32>()).map(|(starts, values)| Runs::Short(starts, values)),
        DataType::LargeList(_) => {
            list(array.as_list::<i64>()).map(|(starts, values)| Runs::Long(starts, values))
        }
        DataType::Utf8 => bytes(array.as_string::<i32>()).map(|(starts, values)| Runs::Short(starts, values)),
        DataType::LargeUtf8 => {
            bytes(array.as_string::<i64>()).map(|(starts, values)| Runs::Long(starts, values))
        }
        DataType::Binary => {
            bytes(array.as_binary::<i32>()).map(|(starts, values)| Runs::Short(starts, values))
        }
        DataType::LargeBinary => {
            bytes(array.as_binary::<i64>()).map(|(starts, values)| Runs::Long(starts, values))
        }
        DataType::Utf8View => Ok(Runs::Views(array.as_string_view().clone().to_binary_view())),
        _ => Ok(Runs::Views(array.as_binary_view().clone())),
    };
    let runs = runs.map_err(|fault| match fault {
        Fault::Null { row } => null(row),
        Fault::Short => RecordError::Corrupt {
            path: path.to_owned(),
            batch: None,
            detail: format!("column {:?} has rows beyond its values", spec.name),
        },
    })?;
    Ok(RaggedColumn { rows: array.len(), item_bytes: spec.item_bytes, runs })
}

/// First and last item that the rows use.
fn used<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> Range<usize> {
    // An offset buffer has one entry at least.
    offsets[0].as_usize()..offsets[offsets.len() - 1].as_usize()
}

fn list<O: OffsetSizeTrait>(array: &GenericListArray<O>) -> Result<(ScalarBuffer<O>, Buffer), Fault> {
    let used = used(array.offsets());
    let window = Window { data: &array.values().to_data(), start: used.start, len: used.len(), per_row: 1 };
    let values = leaf_values(&window).map_err(|fault| match fault {
        // A null item is reported by the row that holds it.
        Fault::Null { row: item } => {
            let row = array.offsets().partition_point(|offset| offset.as_usize() <= used.start + item);
            Fault::Null { row: row.saturating_sub(1) }
        }
        Fault::Short => Fault::Short,
    })?;
    Ok((array.offsets().inner().clone(), values))
}

fn bytes<T: ByteArrayType>(array: &GenericByteArray<T>) -> Result<(ScalarBuffer<T::Offset>, Buffer), Fault> {
    let used = used(array.offsets());
    if used.end > array.values().len() {
        return Err(Fault::Short);
    }
    Ok((array.offsets().inner().clone(), array.values().slice_with_length(used.start, used.len())))
}
