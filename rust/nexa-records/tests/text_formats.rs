//! The text formats beside readers and writers that others wrote, and on what fuzzing once found.

#![expect(clippy::unwrap_used, reason = "a failure is the finding")]

mod oracle;

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_schema::{DataType, Field, Schema};
use nexa_records::{Format, ReadOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        check(&std::fs::read(file.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 0, "the corpus is there");
}

#[test]
fn what_fuzzing_found_in_json_lines_stays_right() {
    replay("jsonl", oracle::jsonl);
}

#[test]
fn what_fuzzing_found_in_csv_stays_right() {
    replay("csv", oracle::csv);
}

#[test]
fn what_fuzzing_found_in_compressed_files_stays_right() {
    replay("unpack", oracle::unpack);
}

/// Values of one type each by key, so that columns have types.
fn records() -> impl Strategy<Value = Vec<Value>> {
    let record = (
        any::<Option<i64>>(),
        prop::option::of(prop::num::f64::NORMAL | prop::num::f64::ZERO),
        any::<Option<String>>(),
        prop::option::of(prop::collection::vec(any::<Option<u32>>(), 0..4)),
        prop::option::of((any::<bool>(), ".{0,3}")),
        any::<[bool; 6]>(),
    );
    let record = record.prop_map(|(i, f, t, l, s, there)| {
        let nested = s.map(|(b, t)| json!({"b": b, "t": [t]}));
        let pairs = [
            ("i", json!(i)),
            ("f", json!(f)),
            ("t", json!(t)),
            ("l", json!(l)),
            ("s", json!(nested)),
            ("\"é\n", json!(1)),
        ];
        Value::Object(
            pairs
                .into_iter()
                .zip(there)
                .filter(|(_, there)| *there)
                .map(|((key, value), _)| (key.into(), value))
                .collect(),
        )
    });
    prop::collection::vec(record, 1..30)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

proptest! {
    #[test]
    fn json_lines_are_read_as_serde_json_reads_them(records in records(), choice in any::<u8>(), ends in "(\n|\r\n|\n \n)") {
        let lines: Vec<_> = records.iter().map(ToString::to_string).collect();
        oracle::jsonl(&[&[choice][..], lines.join(&ends).as_bytes()].concat());
    }

    #[test]
    fn json_lines_with_a_changed_byte_are_refused_where_serde_json_refuses_them(
        records in records(), choice in any::<u8>(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let lines: Vec<_> = records.iter().map(ToString::to_string).collect();
        let mut bytes = lines.join("\n").into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.insert(0, choice);
        oracle::jsonl(&bytes);
    }

    #[test]
    fn any_text_in_csv_comes_back_whoever_quoted_it(
        table in prop::collection::vec(prop::collection::vec("[a\",;\n\r é]{0,6}", 3), 1..20), block in 16usize..200,
    ) {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        table.iter().for_each(|record| writer.write_record(record).unwrap());
        let by_crate = writer.into_inner().unwrap();
        let by_hand = table.iter().map(|record| {
            record.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(",") + "\r\n"
        });
        let fields: Vec<_> = (0..3).map(|at| Field::new(format!("c{at}"), DataType::Utf8, true)).collect();
        let options = ReadOptions {
            schema: Some(Arc::new(Schema::new(fields))), header: false, nulls: vec![], block_bytes: block, delimiter: Some(b','),
            ..ReadOptions::default()
        };
        for (text, threads) in [(by_crate, 1), (by_hand.collect::<String>().into_bytes(), 2)] {
            let reading = oracle::read(&text, Format::Csv, &options, threads).unwrap();
            prop_assert!(reading.bad.is_empty(), "{:?}", reading.bad);
            let read: Vec<Vec<String>> = reading.batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| {
                batch.columns().iter().map(|column| column.as_string::<i32>().value(row).to_owned()).collect()
            })).collect();
            prop_assert_eq!(&read, &table);
        }
    }

    #[test]
    fn any_bytes_are_read_alike_whatever_the_blocks(bytes in prop::collection::vec(prop::sample::select(&b"0a1,\n\r\";[]{}:"[..]), 0..200)) {
        oracle::csv(&bytes);
        oracle::jsonl(&bytes);
    }
}

proptest! {
    // Each case packs, cuts and unpacks with both libraries, which are slow without optimisation.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn compressed_lines_come_up_to_the_cut(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        oracle::unpack(&bytes);
    }
}
