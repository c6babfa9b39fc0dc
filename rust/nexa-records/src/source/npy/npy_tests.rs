//! Arrays that an encoder of the tests' own writes come back, and hostile headers are refused.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float32Type, Int32Type, TimestampMicrosecondType};
use arrow_schema::DataType;
use proptest::prelude::*;

use super::*;
use crate::replay::{Said, check, everything};
use crate::spec::column_spec;

/// Write a file as numpy lays it out.
fn npy(version: u8, dict: &str, data: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY".to_vec();
    file.extend([version, 0]);
    let text = format!("{dict}\n");
    if version == 1 {
        file.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
    } else {
        file.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    }
    file.extend(text.as_bytes());
    file.extend(data);
    file
}

fn dict(descr: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")
}

fn said(bytes: &[u8], options: &ReadOptions) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    std::fs::write(&path, bytes).unwrap();
    check(&path, Format::Npy);
    let mut said = everything(&path, Format::Npy, options, 1);
    said.error = said.error.map(|error| error.replace(path.to_str().unwrap(), "a.npy"));
    said
}

fn read(bytes: &[u8]) -> RecordBatch {
    let said = said(bytes, &ReadOptions::default());
    assert_eq!((&said.bad, &said.error), (&vec![], &None));
    said.batch.unwrap()
}

fn refused(bytes: &[u8]) -> String {
    said(bytes, &ReadOptions::default()).error.unwrap()
}

fn le(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        values in prop::collection::vec(any::<i32>(), 0..200), version in 1u8..4, big in any::<bool>(),
    ) {
        let data: Vec<u8> = values
            .iter()
            .flat_map(|value| if big { value.to_be_bytes() } else { value.to_le_bytes() })
            .collect();
        let descr = if big { "'>i4'" } else { "'<i4'" };
        let batch = read(&npy(version, &dict(descr, &format!("({},)", values.len())), &data));
        let column = batch.column_by_name("value").unwrap();
        prop_assert_eq!(column.as_primitive::<Int32Type>().values().to_vec(), values);
    }

    #[test]
    fn no_bytes_behind_the_magic_are_a_panic(
        version in 0u8..5, dict in "[\\{'a-z:<>0-9\\(\\), ]{0,60}", data in any::<Vec<u8>>(),
    ) {
        let _ = said(&npy(version, &dict, &data), &ReadOptions::default());
    }
}

#[test]
fn more_axes_are_a_tensor_a_row() {
    let data = le(&[0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.]);
    let batch = read(&npy(1, &dict("'<f4'", "(2, 3, 2)"), &data));
    let spec = column_spec(batch.schema_ref().field(0), "a".as_ref()).unwrap();
    assert_eq!((spec.row_shape, spec.row_bytes), (vec![3, 2], 24));
    let second = batch.column(0).as_fixed_size_list().value(1);
    assert_eq!(second.as_primitive::<Float32Type>().values().to_vec(), [6., 7., 8., 9., 10., 11.]);
}

#[test]
fn a_structured_array_is_a_column_a_field() {
    let descr = "[('id', '>i4'), ('', '|V2'), ('v', '<f4', (2,)), (('title', 'name'), '|S3'), ('u', '<U2'), ('b', '|b1')]";
    let mut data = Vec::new();
    for (id, name, text) in [(1i32, b"ab\0", "é"), (-2, b"xyz", "yz")] {
        data.extend(id.to_be_bytes());
        data.extend([9, 9]);
        data.extend(le(&[1.5, 2.5]));
        data.extend(name);
        let mut units: Vec<u32> = text.chars().map(u32::from).collect();
        units.resize(2, 0);
        data.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        data.push(7);
    }
    let batch = read(&npy(3, &dict(descr, "(2,)"), &data));
    let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "v", "name", "u", "b"]);
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().values().to_vec(), [1, -2]);
    assert_eq!(
        batch.column(2).as_binary::<i32>().iter().collect::<Vec<_>>(),
        [Some(&b"ab"[..]), Some(b"xyz")]
    );
    assert_eq!(batch.column(3).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("é"), Some("yz")]);
    assert!(batch.column(4).as_boolean().value(1));
    let some = ReadOptions { columns: Some(vec!["u".into(), "id".into()]), ..ReadOptions::default() };
    let two = said(&npy(3, &dict(descr, "(2,)"), &data), &some).batch.unwrap();
    assert_eq!(two.column(0).as_string::<i32>().value(0), "é");
    assert_eq!(two.column(1).as_primitive::<Int32Type>().value(1), -2);
}

#[test]
fn times_are_times_and_not_a_time_is_null() {
    let micros: Vec<u8> = [5i64, i64::MIN].iter().flat_map(|time| time.to_le_bytes()).collect();
    let batch = read(&npy(1, &dict("'<M8[us]'", "(2,)"), &micros));
    let column = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    assert_eq!((column.value(0), column.is_null(1)), (5, true));
    let days: Vec<u8> = [19_000i64, i64::MAX].iter().flat_map(|time| time.to_le_bytes()).collect();
    let said = said(&npy(1, &dict("'<M8[D]'", "(2,)"), &days), &ReadOptions::default());
    assert_eq!(said.batch.unwrap().column(0).as_primitive::<Date32Type>().values().to_vec(), [19_000]);
    assert_eq!((said.bad[0].record, said.bad[0].column.as_deref()), (1, Some("value")));
}

#[test]
fn text_that_is_none_is_a_bad_record_with_its_place() {
    let units: Vec<u8> = [0x61u32, 0x11_0000, 0x62].iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let file = npy(1, &dict("'<U1'", "(3,)"), &units);
    let said = said(&file, &ReadOptions::default());
    assert_eq!(
        said.batch.unwrap().column(0).as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("a"), Some("b")]
    );
    let place = file.len() as u64 - 8;
    assert_eq!((said.bad[0].record, said.bad[0].offset), (1, Some(place)));
    assert!(said.bad[0].reason.contains("0x110000"), "{:?}", said.bad);
}

#[test]
fn rows_that_are_missing_are_counted_and_what_follows_is_not_passed_over() {
    let data = le(&[1., 2., 3.]);
    let short = said(&npy(1, &dict("'<f4'", "(1000000000,)"), &data), &ReadOptions::default());
    assert_eq!(short.batch.unwrap().num_rows(), 3);
    assert_eq!((short.bad[0].record, short.bad[0].records), (3, 999_999_997));
    let long = said(&npy(1, &dict("'<f4'", "(2,)"), &data), &ReadOptions::default());
    assert_eq!(long.batch.unwrap().num_rows(), 2);
    assert!(long.bad[0].reason.contains("4 bytes follow"), "{:?}", long.bad);
}

#[test]
fn fortran_order_is_read_where_it_says_the_same_and_refused_where_not() {
    let dict = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': True, 'shape': {shape}}}");
    assert_eq!(read(&npy(1, &dict("(2, 1)"), &le(&[1., 2.]))).num_rows(), 2);
    let error = refused(&npy(1, &dict("(2, 2)"), &le(&[1., 2., 3., 4.])));
    assert!(error.contains("numpy.ascontiguousarray"), "{error}");
}

#[test]
fn what_has_no_columns_is_refused_by_name() {
    for (descr, shape, says) in [
        ("'|O'", "(3,)", "never unpickled"),
        ("[('a', '|O')]", "(3,)", "never unpickled"),
        ("'<c8'", "(3,)", "complex"),
        ("'<f4'", "()", "no rows"),
        ("'<f4'", "(3, 0)", "holds nothing"),
        ("'<f4'", "(3, 4294967296, 4294967296)", "too large"),
        ("'<f4'", "(3, -1)", "no tuple of sizes"),
        ("'<M8[h]'", "(3,)", "unit"),
        ("'|V8'", "(3,)", "without a meaning"),
        ("'<U3'", "(3, 2)", "one axis"),
        ("[('a', [('b', '<i4')])]", "(3,)", "fields of its own"),
        ("'<x9'", "(3,)", "unknown type"),
        ("3", "(3,)", "neither a type"),
    ] {
        let error = refused(&npy(1, &dict(descr, shape), &[0; 64]));
        assert!(error.contains(says), "{descr} {shape}: {error}");
    }
    assert!(refused(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").contains("4294967295 bytes"));
    assert!(refused(b"\x93NUMPY\x07\x00").contains("7.0"));
    assert!(refused(b"no array").contains("set data.format"));
}

#[test]
fn booleans_are_bits() {
    let batch = read(&npy(1, &dict("'|b1'", "(3,)"), &[1, 0, 2]));
    assert_eq!(batch.column(0).data_type(), &DataType::Boolean);
    assert_eq!(
        batch.column(0).as_boolean().iter().collect::<Vec<_>>(),
        [Some(true), Some(false), Some(true)]
    );
}
