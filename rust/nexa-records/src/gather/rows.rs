//! A column of a batch, by rows: as bytes side by side or as runs of them where it can be, else as Arrow has it.

use std::ops::Range;
use std::path::Path;

use arrow_array::{Array, ArrayRef, UInt64Array};
use arrow_schema::{ArrowError, DataType, Field};
use arrow_select::take::take;

use crate::{Element, FixedColumn, RaggedColumn, fixed_column, ragged_column, ragged_spec};

/// The rows of a column.
#[derive(Debug)]
pub(super) enum Rows {
    /// All of one width.
    Fixed(FixedColumn),
    /// Items of `item_bytes`, and offsets of `offset_bytes`.
    Runs { rows: RaggedColumn, item_bytes: usize, offset_bytes: usize },
    /// Of another type, or with values that are missing within.
    Other(ArrayRef),
}

impl Rows {
    /// Look at a column.
    pub(super) fn of(array: &ArrayRef, field: &Field) -> Self {
        let path = Path::new("batch");
        if let Some(offset_bytes) = offset_bytes(field.data_type()) {
            // What is refused (nulls within, lists of lists) Arrow takes by itself.
            if let (Ok(Some(spec)), Ok(rows)) = (ragged_spec(field, path), ragged_column(array, field, path))
                && spec.element != Element::Bool
            {
                return Self::Runs { rows, item_bytes: spec.item_bytes, offset_bytes };
            }
        } else if let Ok(rows) = fixed_column(array, field, path)
            && rows.element != Element::Bool
        {
            return Self::Fixed(rows);
        }
        Self::Other(ArrayRef::clone(array))
    }

    /// Return the bytes that the rows `numbers[range]` take: a run's offset and the bit that says that it is there count too.
    pub(super) fn bytes(&self, numbers: &[u64], range: &Range<usize>) -> usize {
        let bits = range.end.div_ceil(8) - range.start / 8;
        let numbers = &numbers[range.clone()];
        match self {
            Self::Fixed(rows) => rows.row_bytes * numbers.len(),
            Self::Runs { rows, item_bytes, offset_bytes } => {
                let items: usize = numbers.iter().map(|&row| rows.items(number(row))).sum();
                items * item_bytes + offset_bytes * numbers.len() + bits
            }
            // What can't be taken is refused where it is taken in.
            Self::Other(array) => by_number(array, numbers)
                .and_then(|array| array.to_data().get_slice_memory_size())
                .unwrap_or_default(),
        }
    }
}

/// Return some rows as an array of their own.
pub(super) fn by_number(array: &ArrayRef, numbers: &[u64]) -> Result<ArrayRef, ArrowError> {
    take(array, &UInt64Array::from(numbers.to_vec()), None)
}

/// Return the width of a type's offsets, `None` for one whose rows are all of one width.
fn offset_bytes(kind: &DataType) -> Option<usize> {
    match kind {
        DataType::Utf8 | DataType::Binary | DataType::List(_) => Some(4),
        DataType::LargeUtf8 | DataType::LargeBinary | DataType::LargeList(_) => Some(8),
        _ => None,
    }
}

/// A row's number as an index: it came from one.
#[expect(clippy::cast_possible_truncation, reason = "rows of a batch in memory")]
pub(super) const fn number(row: u64) -> usize {
    row as usize
}
