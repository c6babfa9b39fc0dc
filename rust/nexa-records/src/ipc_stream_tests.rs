//! Streams as the Arrow library writes them, whole, cut and damaged.

use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int64Type};
use arrow_array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;

use crate::{RecordError, Shard};

/// A batch of numbers and of words by dictionary; each has words of its own.
fn batch(number: i64) -> RecordBatch {
    let words: DictionaryArray<Int8Type> =
        ["a", &format!("b{number}"), "a"].into_iter().map(Some).collect::<DictionaryArray<Int8Type>>();
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![number, number + 1, number + 2]));
    let schema = Schema::new(vec![
        Field::new("x", DataType::Int64, false),
        Field::new_dictionary("w", DataType::Int8, DataType::Utf8, true),
    ]);
    RecordBatch::try_new(Arc::new(schema), vec![numbers, Arc::new(words)]).unwrap()
}

fn stream(batches: i64) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch(0).schema()).unwrap();
    for number in 0..batches {
        writer.write(&batch(number)).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

fn open(bytes: &[u8]) -> Result<Shard, RecordError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    Shard::open_stream(file.path())
}

/// Numbers and words of all batches.
fn rows(shard: &Shard) -> Result<Vec<(i64, String)>, RecordError> {
    let mut rows = Vec::new();
    for index in 0..shard.num_batches() {
        let batch = shard.batch(index)?;
        let numbers = batch.column(0).as_primitive::<Int64Type>().clone();
        let words = batch.column(1).as_dictionary::<Int8Type>().clone();
        let words = words.downcast_dict::<StringArray>().unwrap();
        rows.extend(numbers.values().iter().copied().zip(words.into_iter().map(|w| w.unwrap().to_owned())));
    }
    Ok(rows)
}

fn expected(batches: i64) -> Vec<(i64, String)> {
    (0..batches)
        .flat_map(|n| [(n, "a".to_owned()), (n + 1, format!("b{n}")), (n + 2, "a".to_owned())])
        .collect()
}

#[test]
fn each_batch_has_the_dictionary_that_held_when_it_was_written() {
    let shard = open(&stream(4)).unwrap();
    assert_eq!((shard.num_rows(), shard.torn()), (12, None));
    assert_eq!(rows(&shard).unwrap(), expected(4));
    // Out of order too: no batch depends on which was read before.
    assert_eq!(shard.batch(2).unwrap(), shard.batch_projected(2, &[0, 1]).unwrap());
    assert_eq!(shard.batch(0).unwrap().column(1).as_dictionary::<Int8Type>().values().len(), 2);
}

#[test]
fn a_stream_without_its_end_mark_is_whole() {
    let bytes = stream(2);
    let shard = open(&bytes[..bytes.len() - 8]).unwrap();
    assert_eq!((rows(&shard).unwrap(), shard.torn()), (expected(2), None));
}

#[test]
fn a_stream_that_ends_early_gives_what_came_before() {
    let bytes = stream(3);
    let mut torn = 0;
    for len in 0..bytes.len() {
        match open(&bytes[..len]) {
            Ok(shard) => {
                let found = rows(&shard).unwrap();
                assert_eq!(found, expected(3)[..found.len()], "{len} bytes");
                torn += usize::from(shard.torn().is_some());
            }
            Err(RecordError::Truncated { .. }) => assert!(len < 600, "{len} bytes hold a schema"),
            Err(error) => panic!("{len} bytes: {error}"),
        }
    }
    assert!(torn > bytes.len() / 2);
}

#[test]
fn what_is_no_stream_is_called_so() {
    for bytes in [
        b"ARROW1\0\0 and so on".as_slice(),
        b"{\"a\": 1}\n{\"a\": 2}\n",
        b"\xff\xff\xff\xff\x10\0\0\0 no flatbuffer   ",
    ] {
        assert!(matches!(open(bytes), Err(RecordError::NotOfFormat { .. } | RecordError::Truncated { .. })));
    }
    assert!(matches!(open(b""), Err(RecordError::Truncated { .. })));
}

proptest! {
    #[test]
    fn a_damaged_stream_is_an_error_or_rows(
        flips in prop::collection::vec((0usize..2000, any::<u8>()), 1..5),
        len in prop::option::of(0usize..2000),
    ) {
        let mut bytes = stream(3);
        bytes.truncate(len.unwrap_or(usize::MAX));
        for (at, by) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= by;
            }
        }
        if let Ok(shard) = open(&bytes) {
            for index in 0..shard.num_batches() {
                let _ = shard.batch(index);
            }
        }
    }
}
