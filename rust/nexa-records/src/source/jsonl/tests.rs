//! What is accepted, refused and said of JSON lines.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

use super::*;
use crate::{BadRecord, Decoded};

fn opened(text: &[u8], options: &ReadOptions) -> Result<Opened, RecordError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    open(file.path(), options)
}

fn read(text: &str, options: &ReadOptions) -> (Vec<RecordBatch>, Vec<BadRecord>) {
    let pieces: Vec<Decoded> =
        opened(text.as_bytes(), options).unwrap().scan(1).collect::<Result<_, _>>().unwrap();
    pieces.into_iter().map(|piece| (piece.batch, piece.bad)).fold(
        (vec![], vec![]),
        |mut all, (batch, bad)| {
            all.0.push(batch);
            all.1.extend(bad);
            all
        },
    )
}

fn one(text: &str) -> RecordBatch {
    let (mut batches, bad) = read(text, &ReadOptions::default());
    assert_eq!((batches.len(), bad), (1, vec![]), "{text}");
    batches.remove(0)
}

fn typed(fields: Vec<Field>) -> ReadOptions {
    ReadOptions { schema: Some(Arc::new(Schema::new(fields))), ..ReadOptions::default() }
}

/// Why the only record of a file is bad, read as one column `x`.
fn flaw(data_type: DataType, record: &str) -> String {
    let (_, bad) = read(&format!("{record}\n"), &typed(vec![Field::new("x", data_type, true)]));
    assert_eq!(bad.len(), 1, "{record} is accepted");
    bad[0].reason.clone()
}

#[test]
fn types_are_found_and_widened() {
    let batch = one(concat!(
        r#"{"i":1,"u":1,"f":1,"b":true,"t":"a","l":[[1],[]],"s":{"x":null},"n":null}"#,
        "\r\n\n  \n",
        r#"{"i":-2,"u":18446744073709551615,"f":0.5,"b":null,"t":null,"l":null,"s":{"y":"z"}}"#,
    ));
    let found: Vec<_> = batch.schema().fields().iter().map(|field| field.data_type().to_string()).collect();
    assert_eq!(found[..5], ["Int64", "UInt64", "Float64", "Boolean", "Utf8"]);
    assert_eq!(batch.schema().field(7).data_type(), &DataType::Null);
    let lists = batch.column(5).as_list::<i32>();
    assert_eq!((lists.value_length(0), lists.is_null(1)), (2, true));
    let structs = batch.column(6).as_struct();
    assert_eq!(
        structs.column_by_name("y").map(|y| y.as_string::<i32>().value(1).to_owned()).as_deref(),
        Some("z")
    );
}

#[test]
fn whole_numbers_beyond_both_64_bit_types_are_floats() {
    let batch = one("{\"x\":-1,\"y\":18446744073709551616}\n{\"x\":9223372036854775808,\"y\":1}\n");
    assert_eq!(batch.column(0).as_primitive::<Float64Type>().values(), &[-1.0, 9_223_372_036_854_775_808.0]);
    assert_eq!(batch.column(1).as_primitive::<Float64Type>().value(0), 18_446_744_073_709_551_616.0);
}

#[test]
fn a_column_of_two_types_is_refused_with_both_records() {
    let error =
        opened(b"{\"a\":{\"b\":1}}\n{}\n{\"a\":{\"b\":\"x\"}}\n", &ReadOptions::default()).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("\"a.b\" is a number in record 0 and a text in record 2")
            && said.contains("data.read.types"),
        "{said}"
    );
}

#[test]
fn keys_come_in_any_order_and_the_last_of_two_counts() {
    let batch = one("{\"a\":1,\"b\":2}\n{\"b\":3,\"a\":4}\n{\"a\":5,\"a\":6}\n{\"\\u0061\":7,\"b\":8}\n");
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 4, 6, 7]);
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().null_count(), 1);
}

#[test]
fn escapes_stand_for_characters_and_halves_of_pairs_for_none() {
    let batch = one(r#"{"x":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é"}"#);
    assert_eq!(batch.column(0).as_string::<i32>().value(0), "\"\\/\u{8}\u{c}\n\r\té😀é");
    for bad in [
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\ud83d\u0041""#,
        r#""\u12g4""#,
        r#""\x""#,
        r#""\"#,
        "\"a\tb\"",
        "\"a\0\"",
    ] {
        flaw(DataType::Utf8, &format!("{{\"x\":{bad}}}"));
    }
}

#[test]
fn what_is_no_json_is_a_bad_record_that_says_where() {
    let columns = || DataType::Float64;
    for bad in [
        "{",
        "{\"x\"",
        "{\"x\":1",
        "{\"x\":1,}",
        "{x:1}",
        "{\"x\" 1}",
        "{\"x\":01}",
        "{\"x\":+1}",
        "{\"x\":.5}",
        "{\"x\":1.}",
    ] {
        assert!(flaw(columns(), bad).contains("byte"), "{bad}");
    }
    for bad in [
        "{\"x\":1}{}",
        "{\"x\":1} x",
        "[1]",
        "1",
        "null",
        "{\"x\":nul}",
        "{\"y\":tru}",
        "{\"y\":[1,]}",
        "{\"y\":\"\u{1}\"}",
    ] {
        flaw(columns(), bad);
    }
    assert!(flaw(columns(), "7").contains("a number (7) stands where an object is expected"));
}

#[test]
fn floats_may_be_words_as_python_writes_them() {
    let batch = one("{\"x\":NaN}\n{\"x\":-Infinity}\n{\"x\":Infinity}\n");
    let values = batch.column(0).as_primitive::<Float64Type>().values().to_vec();
    assert!(values[0].is_nan() && values[1..] == [f64::NEG_INFINITY, f64::INFINITY]);
    assert!(flaw(DataType::Int64, "{\"x\":NaN}").contains("int64"));
}

#[test]
fn nesting_is_bounded() {
    let deep = |n: usize| format!("{{\"y\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(flaw(DataType::Int64, &deep(100_000)).contains("deeper than 128"));
    assert_eq!(read(&deep(127), &typed(vec![Field::new("x", DataType::Int64, true)])).1, vec![]);
    assert!(opened(deep(100_000).as_bytes(), &ReadOptions::default()).is_err());
}

#[test]
fn a_given_schema_says_widths_and_bounds() {
    let item = || Arc::new(Field::new_list_field(DataType::Float32, true));
    let options = typed(vec![
        Field::new("b", DataType::Int8, true),
        Field::new("v", DataType::FixedSizeList(item(), 2), true),
        Field::new("t", DataType::LargeUtf8, true),
    ]);
    let text = "{\"b\":127,\"v\":[1,2.5],\"t\":\"é\",\"more\":[1]}\n{\"b\":128}\n{\"v\":[1]}\n{\"v\":null}\n";
    let (batches, bad) = read(text, &options);
    let batch = &batches[0];
    assert_eq!(batch.column(0).as_primitive::<Int8Type>().iter().collect::<Vec<_>>(), [Some(127), None]);
    assert_eq!(
        batch.column(1).as_fixed_size_list().value(0).as_primitive::<Float32Type>().values(),
        &[1.0, 2.5]
    );
    let said: Vec<_> = bad.iter().map(|bad| (bad.record, bad.offset, bad.column.as_deref())).collect();
    assert_eq!(said, [(1, Some(42), Some("b")), (2, Some(52), Some("v"))]);
    assert!(bad[1].reason.contains("a list of 1 stands where one of 2"), "{}", bad[1].reason);
    assert_eq!(bad[0].raw, b"{\"b\":128}");
}

#[test]
fn null_is_refused_where_the_schema_has_none() {
    let options = typed(vec![Field::new("x", DataType::Int64, false)]);
    let (batches, bad) = read("{\"x\":1}\n{\"x\":null}\n{}\n", &options);
    assert_eq!((batches[0].num_rows(), bad.len()), (1, 2));
}

#[test]
fn a_type_that_json_has_not_is_refused_at_once() {
    let error = opened(b"{}\n", &typed(vec![Field::new("when", DataType::Date32, true)])).unwrap_err();
    assert!(error.to_string().contains("\"when\" as Date32"), "{error}");
}

#[test]
fn wanted_columns_come_in_the_wanted_order_and_bad_records_stay_bad() {
    let options = ReadOptions { columns: Some(vec!["c".into(), "a".into()]), ..ReadOptions::default() };
    let (batches, bad) = read("{\"a\":1,\"b\":\"x\",\"c\":2}\n{\"a\":1,\"b\":\"\\q\",\"c\":2}\n", &options);
    assert_eq!(
        batches[0].schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
        ["c", "a"]
    );
    assert_eq!((batches[0].num_rows(), bad.len()), (1, 1));
}

#[test]
fn a_key_that_the_looked_at_records_lack_is_not_dropped_in_silence() {
    let options =
        ReadOptions { infer: Infer::Records(std::num::NonZero::<u64>::MIN), ..ReadOptions::default() };
    let (_, bad) = read("{\"a\":1}\n{\"a\":1,\"b\":2}\n", &options);
    assert!(
        bad[0].reason.contains("\"b\"") && bad[0].reason.contains("data.read.types"),
        "{}",
        bad[0].reason
    );
}

#[test]
fn bytes_that_are_no_utf8_are_named() {
    let text = b"{\"x\":\"a\"}\n{\"x\":\"\xff\"}\n{\"x\":\"b\"}\n";
    let piece = opened(text, &ReadOptions::default()).unwrap().scan(1).next().unwrap().unwrap();
    assert_eq!((piece.batch.num_rows(), piece.bad[0].record), (2, 1));
    assert!(piece.bad[0].reason.contains("0xff is not UTF-8 here (byte 6"), "{}", piece.bad[0].reason);
}

#[test]
fn a_comma_without_an_element_before_it_is_a_bad_record() {
    let bad =
        |text: &str| read(text, &ReadOptions::default()).1.iter().map(|bad| bad.record).collect::<Vec<_>>();
    assert_eq!(bad("[\n{\"a\":1},\n,{\"a\":2}]"), [1]);
    assert_eq!(bad("[\n{\"a\":1}, {\"a\":2}\n]\n"), [0u64; 0]);
    assert_eq!(bad("[\n{\"a\":1},\r\n\r\n, ,{\"a\":2}\r\n]"), [1, 2]);
}

#[test]
fn an_array_of_objects_is_read_and_one_cut_short_is_said() {
    let text = "\u{feff} [\n {\"a\": 1, \"t\": \"],{\\\"\"},\n {\"a\":\n 2}, {\"a\": true},\n{\"a\":4}\n]\n";
    let options = typed(vec![Field::new("a", DataType::Int64, true)]);
    let (batches, bad) = read(text, &options);
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().values(), &[1, 2, 4]);
    assert_eq!(bad.iter().map(|bad| bad.record).collect::<Vec<_>>(), [2]);
    let (batches, bad) = read("[{\"a\":1},\n{\"a\":2}", &options);
    assert_eq!(batches[0].num_rows(), 2);
    assert!(bad[0].reason.contains("ends before its array does"), "{}", bad[0].reason);
}

#[test]
fn an_object_over_several_lines_is_named_as_what_it_is() {
    let error = opened(b"{\n  \"a\": 1\n}\n", &ReadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("goes on over several lines"), "{error}");
}

#[test]
fn a_file_without_records_has_no_columns() {
    for text in ["", "\n\n", " \n", "[]"] {
        let columns = opened(text.as_bytes(), &ReadOptions::default()).unwrap().schema.fields().len();
        let (batches, bad) = read(text, &ReadOptions::default());
        assert_eq!((columns, batches.len(), bad.len()), (0, 0, 0), "{text:?}");
    }
    assert!(matches!(opened(b"x\n", &ReadOptions::default()), Err(RecordError::NoSchema { .. })));
}

#[test]
fn a_record_beyond_the_bound_is_bad_and_those_around_it_are_not() {
    let text = format!("{{\"x\":1}}\n{{\"x\":{}}}\n{{\"x\":3}}\n", "1".repeat(5000));
    for block_bytes in [16, 100, 1 << 20] {
        let options = ReadOptions {
            record_bytes: 1000,
            block_bytes,
            ..typed(vec![Field::new("x", DataType::Int64, true)])
        };
        let (batches, bad) = read(&text, &options);
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
        assert_eq!((bad[0].record, bad[0].offset, bad[0].raw.len()), (1, Some(8), 4096));
        assert!(bad[0].reason.contains("longer than 1000 bytes"), "{}", bad[0].reason);
    }
}
