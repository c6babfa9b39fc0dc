//! How much memory a row takes at least, so that short records of wide schemas don't become batches of gigabytes.

use arrow_schema::{DataType, Schema};

/// Bytes that the rows of a batch take, at most, of what they take without any content.
const BATCH_BYTES: usize = 64 << 20;

/// Return how many rows a batch may have, `batch_rows` at most.
pub(super) fn rows_within(schema: &Schema, batch_rows: usize) -> usize {
    let row =
        schema.fields().iter().fold(0, |sum, field| usize::saturating_add(sum, bytes(field.data_type())));
    batch_rows.min(BATCH_BYTES / row.max(1)).max(1)
}

/// Bytes of a value that is missing.
fn bytes(data_type: &DataType) -> usize {
    match data_type {
        DataType::FixedSizeList(item, size) => {
            bytes(item.data_type()).saturating_mul(usize::try_from(*size).unwrap_or(0)).max(1)
        }
        DataType::Struct(fields) => {
            fields.iter().fold(1, |sum, field| usize::saturating_add(sum, bytes(field.data_type())))
        }
        // The widest number, or an offset.
        _ => 8,
    }
}
