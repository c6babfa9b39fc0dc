//! What is accepted, refused and said of CSV.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

use super::*;
use crate::BadRecord;

fn opened(text: &[u8], options: &ReadOptions) -> Result<Opened, RecordError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    open(file.path(), options)
}

fn read(text: &str, options: &ReadOptions) -> (RecordBatch, Vec<BadRecord>) {
    let piece = opened(text.as_bytes(), options).unwrap().scan(1).next().unwrap().unwrap();
    (piece.batch, piece.bad)
}

fn one(text: &str) -> RecordBatch {
    let (batch, bad) = read(text, &ReadOptions::default());
    assert_eq!(bad, vec![], "{text}");
    batch
}

fn types(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.data_type().to_string()).collect()
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}

fn texts(batch: &RecordBatch, column: usize) -> Vec<Option<String>> {
    batch.column(column).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn types_are_found_in_the_fields() {
    let batch =
        one("i,u,f,b,t,code,none\r\n1,1,1,true,x,007,\r\n\r\n-2,18446744073709551615,2.5,FALSE,1,010,\r\n");
    assert_eq!(types(&batch), ["Int64", "UInt64", "Float64", "Boolean", "Utf8", "Utf8", "Utf8"]);
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, -2]);
    assert_eq!(batch.column(6).null_count(), 2);
}

#[test]
fn numbers_are_read_as_people_write_them() {
    let batch = one("x,y\n 1 ,+1.5\n-2,.5\n3,nan\n4,-INF\n5,\n");
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, -2, 3, 4, 5]);
    let (batch, bad) = read(
        "y\n+1.5\n.5\n5.\n1e3\n",
        &ReadOptions {
            schema: Some(Arc::new(Schema::new(vec![Field::new("y", DataType::Float64, true)]))),
            ..ReadOptions::default()
        },
    );
    assert_eq!(
        (batch.column(0).as_primitive::<Float64Type>().values().to_vec(), bad),
        (vec![1.5, 0.5, 5.0, 1e3], vec![])
    );
}

#[test]
fn quotes_hold_delimiters_line_ends_and_themselves() {
    let batch = one("a,b\n\"x,\r\ny\",\"say \"\"hi\"\"\"\n 5\" pipe , z \n\"\",\n");
    assert_eq!(texts(&batch, 0), [Some("x,\r\ny".into()), Some(" 5\" pipe ".into()), Some(String::new())]);
    assert_eq!(texts(&batch, 1), [Some("say \"hi\"".into()), Some(" z ".into()), None]);
}

#[test]
fn quotes_that_go_wrong_are_bad_records() {
    let (batch, bad) = read("a,b\n\"x\"y,1\n2,3\n4,\"open\n5,6\n", &ReadOptions::default());
    assert_eq!(batch.num_rows(), 1);
    assert!(bad[0].reason.contains("closing quote") && bad[1].reason.contains("not closed"), "{bad:?}");
    assert_eq!((bad[0].offset, bad[1].offset), (Some(4), Some(15)));
}

#[test]
fn ragged_records_are_bad_and_say_both_counts() {
    let (batch, bad) = read("a,b\n1\n1,2\n1,2,3\n1,\n,\n", &ReadOptions::default());
    assert_eq!((batch.num_rows(), batch.column(1).null_count()), (3, 2));
    assert_eq!(bad.iter().map(|bad| bad.record).collect::<Vec<_>>(), [0, 2]);
    assert!(
        bad[0].reason.contains("1 fields where 2 are expected") && bad[1].reason.contains("3 fields"),
        "{bad:?}"
    );
}

#[test]
fn the_delimiter_is_recognised_outside_quotes() {
    for delimiter in [",", "\t", ";", "|"] {
        let text = format!("a{delimiter}b\n\"1,2;3|4\t5\"{delimiter}x\n\"1,2\"{delimiter}y\n");
        assert_eq!(names(&one(&text)), ["a", "b"], "{delimiter:?}");
    }
    let options = ReadOptions { delimiter: Some(b':'), ..ReadOptions::default() };
    assert_eq!(names(&read("a:b,c\n1:2\n", &options).0), ["a", "b,c"]);
    assert_eq!(names(&one("alone\n1\n")), ["alone"]);
}

#[test]
fn headers_name_columns_once_and_may_be_missing() {
    let error = opened(b"a,b,a\n1,2,3\n", &ReadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("\"a\" twice"), "{error}");
    let options = ReadOptions { header: false, ..ReadOptions::default() };
    let (batch, _) = read("\u{feff}1,x\n2,y", &options);
    assert_eq!((names(&batch), batch.num_rows()), (vec!["column0".into(), "column1".into()], 2));
    assert_eq!(names(&one(",b\n0,1\n")), ["column0", "b"]);
}

#[test]
fn missing_values_are_those_that_the_caller_names() {
    let options = ReadOptions { nulls: vec!["NA".into(), "-999".into()], ..ReadOptions::default() };
    let (batch, bad) = read("x,t\n1,NA\n-999,\n3,\"NA\"\n", &options);
    assert_eq!(bad, vec![]);
    assert_eq!(
        batch.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(1), None, Some(3)]
    );
    assert_eq!(texts(&batch, 1), [None, Some(String::new()), Some("NA".into())]);
}

#[test]
fn a_given_schema_picks_columns_by_name() {
    let fields = vec![
        Field::new("c", DataType::Utf8, true),
        Field::new("a", DataType::Int64, true),
        Field::new("no", DataType::Int64, true),
    ];
    let options = ReadOptions { schema: Some(Arc::new(Schema::new(fields))), ..ReadOptions::default() };
    let (batch, bad) = read("a,b,c\n1,2,3\nx,2,3\n", &options);
    assert_eq!((texts(&batch, 0), batch.column(2).null_count()), (vec![Some("3".into())], 1));
    assert_eq!(bad[0].column.as_deref(), Some("a"));
    assert!(bad[0].reason.contains("\"x\" stands where int64 is expected"), "{}", bad[0].reason);
}

#[test]
fn a_column_without_nulls_must_be_in_the_file() {
    let schema = |name| Some(Arc::new(Schema::new(vec![Field::new(name, DataType::Int64, false)])));
    let error =
        opened(b"a\n1\n", &ReadOptions { schema: schema("b"), ..ReadOptions::default() }).unwrap_err();
    assert!(matches!(error, RecordError::MissingColumn { .. }));
    let (batch, bad) = read("a,b\n1,\n,2\n", &ReadOptions { schema: schema("b"), ..ReadOptions::default() });
    assert_eq!((batch.num_rows(), bad.len()), (1, 1));
}

#[test]
fn bytes_that_are_no_utf8_are_named_and_nul_is_text() {
    let piece =
        opened(b"x\na\0\n\xff\nb\n", &ReadOptions::default()).unwrap().scan(1).next().unwrap().unwrap();
    assert_eq!(piece.batch.num_rows(), 2);
    assert!(piece.bad[0].reason.contains("byte 0 of it, 0xff, is not UTF-8"), "{}", piece.bad[0].reason);
}

#[test]
fn what_only_begins_with_a_number_is_none() {
    let schema = Schema::new(vec![Field::new("x", DataType::Int64, true)]);
    let options = ReadOptions { schema: Some(Arc::new(schema)), ..ReadOptions::default() };
    let (batch, bad) = read("x\n1\n1\0\n2x\n\"3\"\n4 5\n", &options);
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 3]);
    assert_eq!(bad.iter().map(|bad| bad.record).collect::<Vec<_>>(), [1, 2, 4]);
}

#[test]
fn what_stands_in_numbers_is_no_delimiter() {
    for delimiter in *b".-1e\"\n\xff" {
        let options = ReadOptions { delimiter: Some(delimiter), ..ReadOptions::default() };
        assert!(matches!(opened(b"a\n1\n", &options), Err(RecordError::NoSchema { .. })), "{delimiter}");
    }
}

#[test]
fn a_file_without_a_line_has_no_columns_unless_they_are_given() {
    for text in ["", "\n\r\n", "   \n", "\u{feff}"] {
        assert_eq!(
            opened(text.as_bytes(), &ReadOptions::default()).unwrap().schema.fields().len(),
            0,
            "{text:?}"
        );
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let options = ReadOptions { schema: Some(schema), ..ReadOptions::default() };
        assert_eq!(opened(text.as_bytes(), &options).unwrap().schema.fields().len(), 1, "{text:?}");
    }
}
