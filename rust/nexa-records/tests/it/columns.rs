//! Columns come down to rows of equal width, or say why they cannot.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray, Float16Array,
    Float32Array, Int16Array, Int64Array, ListArray, StringArray, UInt8Array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, TimeUnit};
use nexa_records::{Element, FixedColumn, RecordError, Shard, column_spec, fixed_column};
use proptest::prelude::*;

use crate::written::{Folder, one, vectors};

fn column(array: &dyn Array) -> Result<FixedColumn, RecordError> {
    fixed_column(array, &Field::new("x", array.data_type().clone(), true), Path::new("a.arrow"))
}

fn floats(column: &FixedColumn) -> Vec<f32> {
    column.values.typed_data::<f32>().to_vec()
}

fn list(item: Field, size: i32, values: ArrayRef, nulls: Option<NullBuffer>) -> FixedSizeListArray {
    FixedSizeListArray::new(Arc::new(item), size, values, nulls)
}

fn tensor(size: i32, metadata: &str) -> Field {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    Field::new("image", DataType::FixedSizeList(item, size), false).with_metadata(HashMap::from([
        ("ARROW:extension:name".to_owned(), "arrow.fixed_shape_tensor".to_owned()),
        ("ARROW:extension:metadata".to_owned(), metadata.to_owned()),
    ]))
}

#[test]
fn scalars_have_no_row_shape() {
    let got = column(&Int64Array::from(vec![7, -1])).unwrap();
    assert_eq!(
        (got.rows, got.row_bytes, got.element, got.row_shape.as_slice()),
        (2, 8, Element::I64, &[][..])
    );
    assert_eq!(got.row(1), Some((-1i64).to_le_bytes().as_slice()));
    assert_eq!(got.row(2), None);
    assert_eq!(column(&Float16Array::from_iter_values([])).unwrap().element, Element::F16);
    assert_eq!(column(&Int16Array::from(vec![1])).unwrap().values.as_slice(), [1, 0]);
}

#[test]
fn booleans_become_a_byte_each_also_behind_an_offset() {
    let bits = BooleanArray::from((0..20).map(|i| i % 3 == 0).collect::<Vec<_>>());
    let got = column(&bits.slice(5, 9)).unwrap();
    assert_eq!(got.element, Element::Bool);
    assert_eq!(got.values.as_slice(), [0, 1, 0, 0, 1, 0, 0, 1, 0]);
}

#[test]
fn lists_of_booleans_become_a_byte_each_too() {
    let bits = BooleanArray::from(vec![true, false, false, true, true, true]);
    let lists = list(Field::new("item", DataType::Boolean, false), 2, Arc::new(bits), None);
    let got = column(&lists.slice(1, 2)).unwrap();
    assert_eq!(
        (got.row_bytes, got.row_shape.as_slice(), got.values.as_slice()),
        (2, &[2][..], &[0, 1, 1, 1][..])
    );
}

#[test]
fn nested_lists_give_one_axis_a_level_also_behind_offsets() {
    let inner = vectors((0..24).map(|i| i as f32).collect(), 3).slice(2, 6);
    let outer = list(Field::new("item", inner.data_type().clone(), false), 2, inner, None).slice(1, 2);
    let got = column(&outer).unwrap();
    assert_eq!((got.rows, got.row_bytes, got.row_shape.as_slice()), (2, 24, &[2, 3][..]));
    assert_eq!(floats(&got), (12..24).map(|i| i as f32).collect::<Vec<_>>());
}

#[test]
fn fixed_size_binary_is_a_vector_of_bytes() {
    let bytes = FixedSizeBinaryArray::try_from_iter([b"abc", b"def", b"ghi"].into_iter()).unwrap();
    let got = column(&bytes.slice(1, 2)).unwrap();
    assert_eq!(
        (got.element, got.row_shape.as_slice(), got.values.as_slice()),
        (Element::U8, &[3][..], &b"defghi"[..])
    );
}

#[test]
fn a_tensor_has_the_shape_of_its_metadata() {
    for metadata in [r#"{"shape":[2,3]}"#, r#"{"shape":[2,3],"dim_names":["h","w"],"permutation":[0,1]}"#] {
        let field = tensor(6, metadata);
        let array = vectors((0..12).map(|i| i as f32).collect(), 6);
        let batch = one(field.clone(), array);
        let folder = Folder::new();
        let shard = Shard::open(&folder.shard(&[batch])).unwrap();
        let read = shard.batch(0).unwrap();
        let got = fixed_column(read.column(0), shard.schema().field(0), shard.path()).unwrap();
        assert_eq!((got.rows, got.row_shape.as_slice()), (2, &[2, 3][..]));
        assert_eq!(column_spec(&field, shard.path()).unwrap().row_shape, [2, 3]);
    }
}

#[test]
fn tensors_that_contradict_themselves_are_refused_with_the_reason() {
    for (metadata, reason) in [
        (r#"{"shape":[2,2]}"#, "[2, 2], its storage has 6"),
        (r#"{"shape":[2,3],"permutation":[1,0]}"#, "permuted"),
        (r#"{"shape":[2,-3]}"#, "no list of sizes"),
        (r#"{"shape":[4294967296,4294967296,4294967296]}"#, "its storage has 6"),
        (r#"{"dim_names":["h"]}"#, "no shape"),
        ("", "not JSON"),
    ] {
        let error = column_spec(&tensor(6, metadata), Path::new("a.arrow")).unwrap_err();
        assert!(
            matches!(error, RecordError::UnsupportedColumn { .. }) && error.to_string().contains(reason),
            "{error}"
        );
    }
}

#[test]
fn the_first_null_row_is_named_wherever_the_null_is() {
    let null_row = |array: &dyn Array| match column(array).unwrap_err() {
        RecordError::Nulls { row, column, .. } if column == "x" => row,
        other => panic!("{other}"),
    };
    assert_eq!(null_row(&Float32Array::from(vec![Some(1.0), None, None])), 1);
    assert_eq!(null_row(&BooleanArray::from(vec![None, Some(true)])), 0);
    let item = Field::new("item", DataType::UInt8, true);
    let child = UInt8Array::from(vec![Some(1), Some(2), Some(3), Some(4), None, Some(6)]);
    assert_eq!(null_row(&list(item.clone(), 2, Arc::new(child), None)), 2);
    let lists = NullBuffer::from(vec![true, true, false]);
    assert_eq!(null_row(&list(item, 2, Arc::new(UInt8Array::from(vec![0; 6])), Some(lists))), 2);
}

#[test]
fn nulls_outside_a_slice_do_not_count() {
    let array = Float32Array::from(vec![None, Some(1.0), Some(2.0), None]);
    assert_eq!(floats(&column(&array.slice(1, 2)).unwrap()), [1.0, 2.0]);
    let item = Field::new("item", DataType::UInt8, true);
    let child = UInt8Array::from(vec![None, Some(2), Some(3), Some(4)]);
    let lists = list(item, 2, Arc::new(child), None);
    assert_eq!(column(&lists.slice(1, 1)).unwrap().values.as_slice(), [3, 4]);
}

#[test]
fn rows_without_one_width_are_refused_by_name_and_type() {
    let empty = list(
        Field::new("item", DataType::UInt8, false),
        0,
        Arc::new(UInt8Array::from(Vec::<u8>::new())),
        None,
    );
    let arrays: [&dyn Array; 4] = [
        &StringArray::from(vec!["a"]),
        &DictionaryArray::<Int32Type>::from_iter(["a"]),
        &ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]),
        &empty,
    ];
    for array in arrays {
        let error = column(array).unwrap_err();
        assert!(matches!(&error, RecordError::UnsupportedColumn { column, .. } if column == "x"), "{error}");
        assert!(error.to_string().contains(&array.data_type().to_string()), "{error}");
    }
    let time = Field::new("t", DataType::Timestamp(TimeUnit::Second, None), false);
    assert!(matches!(column_spec(&time, Path::new("a")), Err(RecordError::UnsupportedColumn { .. })));
}

#[test]
fn an_array_of_another_type_than_its_field_is_refused() {
    let field = Field::new("x", DataType::Int32, false);
    let error = fixed_column(&Int64Array::from(vec![1]), &field, Path::new("a.arrow")).unwrap_err();
    assert!(matches!(error, RecordError::SchemaMismatch { .. }), "{error}");
}

#[test]
fn columns_stay_views_of_the_file() {
    let folder = Folder::new();
    let field = Field::new("v", vectors(vec![], 4).data_type().clone(), false);
    let shard = Shard::open(&folder.shard(&[one(field, vectors(vec![1.0; 4000], 4))])).unwrap();
    let address = || {
        let batch = shard.batch(0).unwrap();
        fixed_column(batch.column(0), batch.schema_ref().field(0), shard.path()).unwrap().values.as_ptr()
    };
    assert_eq!(address(), address());
}

proptest! {
    #[test]
    fn any_slice_of_a_nested_list_gives_the_rows_that_a_naive_walk_gives(
        (outer, inner) in (1usize..4, 1usize..5),
        rows in 0usize..9,
        (from, to) in (0usize..9, 0usize..9),
    ) {
        let values: Vec<f32> = (0..rows * outer * inner).map(|i| i as f32).collect();
        let child = vectors(values.clone(), inner as i32);
        let lists = list(Field::new("item", child.data_type().clone(), false), outer as i32, child, None);
        let (from, to) = (from.min(to).min(rows), from.max(to).min(rows));
        let got = column(&lists.slice(from, to - from)).unwrap();
        let naive: Vec<f32> = values[from * outer * inner..to * outer * inner].to_vec();
        prop_assert_eq!(floats(&got), naive);
        prop_assert_eq!(got.rows, to - from);
    }
}
