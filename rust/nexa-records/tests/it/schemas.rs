//! Shards agree where batches would, and disagree with the column's name.

use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use nexa_records::{RecordError, check_schema};

fn list(inner: &str, nullable: bool, size: i32) -> DataType {
    DataType::FixedSizeList(Arc::new(Field::new(inner, DataType::Float32, nullable)), size)
}

fn check(left: Vec<Field>, right: Vec<Field>) -> Result<(), RecordError> {
    check_schema(&Schema::new(left), &Schema::new(right), Path::new("b.arrow"))
}

#[test]
fn writers_habits_are_no_difference() {
    let left = vec![Field::new("x", list("item", true, 3), true), Field::new("s", DataType::Utf8, false)];
    let right =
        vec![Field::new("s", DataType::Utf8, true), Field::new("x", list("element", false, 3), false)];
    check(left, right).unwrap();
}

#[test]
fn a_difference_names_the_column_and_both_sides() {
    let x = |size| vec![Field::new("x", list("item", true, size), true)];
    let error = check(x(3), x(4)).unwrap_err().to_string();
    assert!(error.contains("b.arrow: column \"x\" is float32[4] where float32[3] is expected"), "{error}");
    let error = check(x(3), vec![]).unwrap_err().to_string();
    assert!(error.contains("column \"x\" is absent"), "{error}");
    let error = check(vec![], x(3)).unwrap_err().to_string();
    assert!(error.contains("column \"x\" is float32[3] where no such column is expected"), "{error}");
}
