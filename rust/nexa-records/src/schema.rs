//! Shards of one catalog must agree in their columns; this says where they do not.

use std::path::Path;

use arrow_schema::{Field, Schema};

use crate::{RecordError, column_spec};

/// Check that a shard has the columns of another one.
///
/// Columns are compared by name, so their order may differ. Fixed-width columns are compared as the batch sees
/// them (element type and row shape): a list's inner field name, nullability flags and the metadata of writers are
/// no difference. Other columns are compared by Arrow type.
///
/// # Args
///
/// - `expected`: the schema to agree with, such as the first shard's.
/// - `found`: the schema of the shard at `path`.
///
/// # Errors
///
/// [`RecordError::SchemaMismatch`] for the first column that is missing, unexpected or of another type.
pub fn check_schema(expected: &Schema, found: &Schema, path: &Path) -> Result<(), RecordError> {
    let mismatch = |column: &str, expected: String, found: String| RecordError::SchemaMismatch {
        path: path.to_owned(),
        column: column.to_owned(),
        expected,
        found,
    };
    for field in expected.fields() {
        match found.column_with_name(field.name()) {
            None => return Err(mismatch(field.name(), describe(field), "absent".to_owned())),
            Some((_, other)) if !same_rows(field, other) => {
                return Err(mismatch(field.name(), describe(field), describe(other)));
            }
            Some(_) => {}
        }
    }
    match found.fields().iter().find(|field| expected.column_with_name(field.name()).is_none()) {
        Some(extra) => Err(mismatch(extra.name(), "no such column".to_owned(), describe(extra))),
        None => Ok(()),
    }
}

fn same_rows(left: &Field, right: &Field) -> bool {
    let path = Path::new("");
    match (column_spec(left, path), column_spec(right, path)) {
        (Ok(left), Ok(right)) => left.element == right.element && left.row_shape == right.row_shape,
        (Err(_), Err(_)) => left.data_type().equals_datatype(right.data_type()),
        _ => false,
    }
}

fn describe(field: &Field) -> String {
    match column_spec(field, Path::new("")) {
        Ok(spec) if spec.row_shape.is_empty() => spec.element.to_string(),
        Ok(spec) => format!("{}{:?}", spec.element, spec.row_shape),
        Err(_) => field.data_type().to_string(),
    }
}
