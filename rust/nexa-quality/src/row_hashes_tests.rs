use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder};
use arrow_array::types::Int32Type;
use arrow_array::{Float32Array, Int64Array, ListArray, StringArray};

use super::*;

fn batch(columns: Vec<(&str, Arc<dyn Array>)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

#[test]
fn zeros_of_both_signs_and_nans_of_all_bits_are_equal() {
    let odd = f32::from_bits(0x7FC0_0001);
    let values = Float32Array::from(vec![Some(0.0), Some(-0.0), Some(f32::NAN), Some(odd), None, Some(1.0)]);
    let found = row_hashes(&batch(vec![("x", Arc::new(values))]), &[0]).unwrap();
    assert_eq!(found[0], found[1]);
    assert_eq!(found[2], found[3]);
    let distinct: std::collections::HashSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), 4);
}

#[test]
fn texts_that_join_to_the_same_are_not_equal() {
    let (a, b) = (StringArray::from(vec!["ab", "a", ""]), StringArray::from(vec!["c", "bc", "abc"]));
    let found = row_hashes(&batch(vec![("a", Arc::new(a)), ("b", Arc::new(b))]), &[0, 1]).unwrap();
    assert!(found[0] != found[1] && found[1] != found[2] && found[0] != found[2]);
}

#[test]
fn lists_are_told_apart_by_where_they_end() {
    let lists = |rows: Vec<Option<Vec<Option<i32>>>>| {
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows)) as Arc<dyn Array>
    };
    let a = lists(vec![Some(vec![Some(1), Some(2)]), Some(vec![Some(1)]), None, Some(vec![])]);
    let b = lists(vec![Some(vec![]), Some(vec![Some(2)]), Some(vec![None]), Some(vec![Some(0)])]);
    let found = row_hashes(&batch(vec![("a", a), ("b", b)]), &[0, 1]).unwrap();
    let distinct: std::collections::HashSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), 4);
}

#[test]
fn a_slice_has_the_hashes_of_its_rows() {
    let mut vectors = FixedSizeListBuilder::new(Float32Builder::new(), 3);
    for row in 0..9000_u16 {
        for at in 0..3_u8 {
            vectors.values().append_value(f32::from(row) + f32::from(at));
        }
        vectors.append(true);
    }
    let whole = batch(vec![("x", Arc::new(vectors.finish()))]);
    let all = row_hashes(&whole, &[0]).unwrap();
    assert_eq!(all[5000..5003], row_hashes(&whole.slice(5000, 3), &[0]).unwrap());
}

#[test]
fn integer_labels_are_themselves() {
    let labels = batch(vec![("label", Arc::new(Int64Array::from(vec![3, -1])))]);
    assert_eq!(label_keys(&labels, 0).unwrap(), [3, u64::MAX]);
}
