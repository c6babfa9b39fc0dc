//! Lists, text and bytes come down to runs of items, or say why they cannot.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, LargeListBuilder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Int32Array, Int64Array, LargeBinaryArray,
    LargeListArray, LargeStringArray, ListArray, StringArray, StringViewArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use nexa_records::{Element, RaggedColumn, RaggedKind, RecordError, Shard, ragged_column, ragged_spec};
use proptest::prelude::*;

use crate::written::{Folder, one, vectors};

fn field(array: &dyn Array) -> Field {
    Field::new("x", array.data_type().clone(), true)
}

fn column(array: &dyn Array) -> Result<RaggedColumn, RecordError> {
    ragged_column(array, &field(array), Path::new("a.arrow"))
}

fn rows(array: &dyn Array) -> Vec<Vec<u8>> {
    let column = column(array).unwrap();
    (0..column.rows()).map(|row| column.row(row).to_vec()).collect()
}

#[test]
fn text_and_bytes_of_every_layout_give_the_same_rows() {
    let texts = ["", "a", "a text that is longer than twelve bytes", "ü"];
    let arrays: [ArrayRef; 6] = [
        Arc::new(StringArray::from(texts.to_vec())),
        Arc::new(LargeStringArray::from(texts.to_vec())),
        Arc::new(StringViewArray::from(texts.to_vec())),
        Arc::new(BinaryArray::from_iter_values(texts)),
        Arc::new(LargeBinaryArray::from_iter_values(texts)),
        Arc::new(BinaryViewArray::from_iter_values(texts)),
    ];
    for (number, array) in arrays.iter().enumerate() {
        assert_eq!(rows(array), texts.map(|text| text.as_bytes().to_vec()), "{}", array.data_type());
        assert_eq!(rows(&array.slice(1, 2)), [texts[1].as_bytes(), texts[2].as_bytes()]);
        let kind = if number < 3 { RaggedKind::Text } else { RaggedKind::Bytes };
        let spec = ragged_spec(&field(array), Path::new("a")).unwrap().unwrap();
        assert_eq!((spec.kind, spec.element, spec.item_bytes), (kind, Element::U8, 1));
        assert_eq!(column(array).unwrap().items(3), 2);
    }
}

#[test]
fn text_of_every_layout_survives_a_file() {
    let folder = Folder::new();
    let views: ArrayRef =
        Arc::new(StringViewArray::from(vec!["b", "a text that is longer than twelve bytes"]));
    for array in [views, Arc::new(LargeStringArray::from(vec!["b", "c"]))] {
        let shard = Shard::open(&folder.shard(&[one(field(&array), Arc::clone(&array))])).unwrap();
        let batch = shard.batch(0).unwrap();
        assert_eq!(rows(batch.column(0)), rows(&array));
    }
}

#[test]
fn lists_of_booleans_become_a_byte_each() {
    let values = BooleanArray::from(vec![true, false, true, true]);
    let item = Arc::new(Field::new("item", DataType::Boolean, false));
    let lists = ListArray::new(item, OffsetBuffer::from_lengths([1, 0, 3]), Arc::new(values), None);
    assert_eq!(rows(&lists), [vec![1], vec![], vec![0, 1, 1]]);
    assert_eq!(rows(&lists.slice(2, 1)), [vec![0, 1, 1]]);
}

#[test]
fn lists_of_vectors_have_items_with_a_shape() {
    let values = vectors((0..12).map(|value| value as f32).collect(), 3);
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    let lists = LargeListArray::new(item, OffsetBuffer::from_lengths([1, 3]), values, None);
    let spec = ragged_spec(&field(&lists), Path::new("a")).unwrap().unwrap();
    assert_eq!((spec.element, spec.item_shape.as_slice(), spec.item_bytes), (Element::F32, &[3][..], 12));
    let last = column(&lists).unwrap();
    assert_eq!((last.items(0), last.items(1), last.row(1).len()), (1, 3, 36));
}

#[test]
fn the_first_null_row_is_named_whether_the_row_or_an_item_is_null() {
    let null_row = |array: &dyn Array| match column(array).unwrap_err() {
        RecordError::Nulls { row, column, .. } if column == "x" => row,
        other => panic!("{other}"),
    };
    assert_eq!(null_row(&StringArray::from(vec![Some("a"), None, None])), 1);
    assert_eq!(null_row(&BinaryViewArray::from_iter([Some(b"a"), None])), 1);
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![]),
        Some(vec![Some(1), Some(2)]),
        Some(vec![]),
        Some(vec![Some(3), None]),
        None,
    ]);
    assert_eq!(null_row(&lists), 4);
    assert_eq!(null_row(&lists.slice(0, 4)), 3);
    assert_eq!(null_row(&lists.slice(3, 1)), 0);
}

#[test]
fn nulls_outside_a_slice_do_not_count() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
        None,
        Some(vec![Some(1), Some(2)]),
        Some(vec![None]),
    ]);
    let bytes: Vec<u8> = [1_i32, 2].iter().flat_map(|value| value.to_ne_bytes()).collect();
    assert_eq!(rows(&lists.slice(1, 1)), [bytes]);
}

#[test]
fn other_types_are_none_or_refused_by_name() {
    let path = Path::new("a.arrow");
    assert!(ragged_spec(&Field::new("x", DataType::Int32, false), path).unwrap().is_none());
    let of_text = DataType::List(Arc::new(Field::new("item", DataType::Utf8, false)));
    let error = ragged_spec(&Field::new("x", of_text, false), path).unwrap_err();
    assert!(matches!(&error, RecordError::UnsupportedColumn { column, .. } if column == "x"), "{error}");
    assert!(matches!(column(&Int32Array::from(vec![1])), Err(RecordError::UnsupportedColumn { .. })));
    let field = Field::new("x", DataType::Utf8, false);
    let error = ragged_column(&Int64Array::from(vec![1]), &field, path).unwrap_err();
    assert!(matches!(error, RecordError::SchemaMismatch { .. }), "{error}");
}

proptest! {
    #[test]
    fn any_slice_of_lists_gives_the_rows_that_were_put_in(
        values in prop::collection::vec(prop::collection::vec(any::<i32>(), 0..6), 0..20),
        (from, to) in (0_usize..20, 0_usize..20),
    ) {
        let (mut short, mut long) =
            (ListBuilder::new(Int32Builder::new()), LargeListBuilder::new(Int32Builder::new()));
        for row in &values {
            short.values().append_slice(row);
            short.append(true);
            long.values().append_slice(row);
            long.append(true);
        }
        let (from, to) = (from.min(to).min(values.len()), from.max(to).min(values.len()));
        let naive: Vec<Vec<u8>> = values[from..to]
            .iter()
            .map(|row| row.iter().flat_map(|value| value.to_ne_bytes()).collect())
            .collect();
        prop_assert_eq!(rows(&short.finish().slice(from, to - from)), naive.clone());
        prop_assert_eq!(rows(&long.finish().slice(from, to - from)), naive);
    }
}
