//! Records that an encoder of the tests' own writes come back, and damage is a record's or the rest's.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;
use std::io::Write as _;

use super::*;
use crate::replay::{Said, check, everything};

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push((value % 128) as u8 + 128);
        value /= 128;
    }
    bytes.push(value as u8);
    bytes
}

fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number * 8 + 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

#[derive(Clone, Debug)]
enum List {
    Bytes(Vec<Vec<u8>>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

fn feature(list: &List, packed: bool) -> Vec<u8> {
    match list {
        List::Bytes(all) => field(1, &all.iter().flat_map(|one| field(1, one)).collect::<Vec<_>>()),
        List::Floats(all) if packed => {
            field(2, &field(1, &all.iter().flat_map(|one| one.to_le_bytes()).collect::<Vec<_>>()))
        }
        List::Floats(all) => field(
            2,
            &all.iter().flat_map(|one| [vec![13], one.to_le_bytes().to_vec()].concat()).collect::<Vec<_>>(),
        ),
        List::Ints(all) if packed => {
            field(3, &field(1, &all.iter().flat_map(|one| varint(*one as u64)).collect::<Vec<_>>()))
        }
        List::Ints(all) => {
            field(3, &all.iter().flat_map(|one| [vec![8], varint(*one as u64)].concat()).collect::<Vec<_>>())
        }
    }
}

fn example(features: &[(&str, List)], packed: bool) -> Vec<u8> {
    let entry = |(name, list): &(&str, List)| {
        field(1, &[field(1, name.as_bytes()), field(2, &feature(list, packed))].concat())
    };
    field(1, &features.iter().flat_map(entry).collect::<Vec<_>>())
}

/// The checksum bit by bit, by its polynomial.
fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        }
    }
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &crc(&length), data, &crc(data)].concat()
}

fn said(bytes: &[u8], options: &ReadOptions) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tfrecord");
    std::fs::write(&path, bytes).unwrap();
    check(&path, Format::Tfrecord);
    everything(&path, Format::Tfrecord, options, 2)
}

fn read(records: &[Vec<u8>]) -> RecordBatch {
    let file: Vec<u8> = records.iter().flat_map(|record| framed(record)).collect();
    let said = said(&file, &ReadOptions::default());
    assert_eq!((&said.bad, &said.error), (&vec![], &None));
    said.batch.unwrap()
}

fn ints(values: &[i64]) -> (&'static str, List) {
    ("i", List::Ints(values.to_vec()))
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        rows in prop::collection::vec(
            (prop::collection::vec(any::<i64>(), 0..4), any::<f32>(), prop::collection::vec(any::<Vec<u8>>(), 2)), 1..30,
        ),
        packed in any::<bool>(),
    ) {
        let records: Vec<_> = rows
            .iter()
            .map(|(i, f, b)| {
                let features = [ints(i), ("f", List::Floats(vec![*f])), ("b", List::Bytes(b.clone()))];
                example(&features, packed)
            })
            .collect();
        let file: Vec<u8> = records.iter().flat_map(|record| framed(record)).collect();
        let whole = ReadOptions { infer: crate::Infer::Whole, ..ReadOptions::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tfrecord");
        std::fs::write(&path, file).unwrap();
        let batch = everything(&path, Format::Tfrecord, &whole, 2).batch.unwrap();
        let floats = batch.column_by_name("f").unwrap().as_primitive::<Float32Type>();
        let bytes = batch.column_by_name("b").unwrap().as_fixed_size_list();
        for (row, (i, f, b)) in rows.iter().enumerate() {
            prop_assert_eq!(floats.value(row).to_bits(), f.to_bits());
            let list: Vec<_> = bytes.value(row).as_binary::<i32>().iter().map(|b| b.unwrap().to_vec()).collect();
            prop_assert_eq!(&list, b);
            let column = batch.column_by_name("i").unwrap();
            let values = match column.data_type() {
                DataType::Int64 => column.slice(row, 1),
                DataType::List(_) => column.as_list::<i32>().value(row),
                _ => column.as_fixed_size_list().value(row),
            };
            prop_assert_eq!(&values.as_primitive::<Int64Type>().values().to_vec(), i);
        }
    }

    #[test]
    fn no_bytes_in_a_sound_frame_are_a_panic(data in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
        let _ = said(&data.iter().flat_map(|data| framed(data)).collect::<Vec<_>>(), &ReadOptions::default());
    }
}

#[test]
fn a_feature_that_is_missing_or_empty_of_kind_is_null() {
    let empty = field(1, &field(1, &[field(1, b"i"), field(2, b"")].concat()));
    let batch = read(&[example(&[ints(&[7])], true), example(&[], true), empty]);
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(7), None, None]);
}

#[test]
fn what_comes_twice_is_merged_as_protocol_buffers_say() {
    let twice = [example(&[ints(&[1])], true), example(&[ints(&[2])], true)].concat();
    let one = |value| feature(&List::Ints(vec![value]), true);
    let joined = field(1, &field(1, &[field(1, b"i"), field(2, &one(3)), field(2, &one(4))].concat()));
    let floats = feature(&List::Floats(vec![1.]), true);
    let value = [one(5), floats, one(6)].concat();
    let last = field(1, &field(1, &[field(2, &value), field(1, b"i"), field(9, b"unknown")].concat()));
    let batch = read(&[twice, joined, last]);
    let lists = batch.column(0).as_list::<i32>();
    let row = |row| lists.value(row).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!((row(0), row(1), row(2)), (vec![2], vec![3, 4], vec![6]));
}

#[test]
fn damaged_data_is_a_bad_record_and_a_damaged_length_loses_the_rest() {
    let record = framed(&example(&[ints(&[7])], true));
    let mut file = record.repeat(4);
    file[record.len() + 14] ^= 1;
    file[3 * record.len()] ^= 1;
    let said = said(&file, &ReadOptions::default());
    assert_eq!(said.batch.unwrap().num_rows(), 2);
    let places: Vec<_> = said.bad.iter().map(|bad| (bad.record, bad.records, bad.offset)).collect();
    assert_eq!(places, [(1, 1, Some(record.len() as u64)), (3, 0, Some(3 * record.len() as u64))]);
    assert_eq!(said.bad[0].raw, file[record.len()..2 * record.len()]);
}

#[test]
fn lengths_that_lie_cost_no_memory() {
    for claim in [u64::MAX, 1 << 40, 200 << 20] {
        let good = framed(&example(&[ints(&[7])], true));
        let length = claim.to_le_bytes();
        let said = said(&[&good[..], &length, &crc(&length), b"abc"].concat(), &ReadOptions::default());
        assert_eq!(said.batch.unwrap().num_rows(), 1);
        assert!(said.bad.last().unwrap().reason.contains("cut short"), "{:?}", said.bad);
    }
}

#[test]
fn a_record_longer_than_allowed_is_bad_and_the_next_one_is_read() {
    let long = framed(&example(&[("b", List::Bytes(vec![vec![0; 5000]]))], true));
    let short = framed(&example(&[("b", List::Bytes(vec![vec![1]]))], true));
    let options = ReadOptions { record_bytes: 1000, block_bytes: 64, ..ReadOptions::default() };
    let said = said(&[short.clone(), long, short].concat(), &options);
    assert_eq!((said.batch.unwrap().num_rows(), said.bad.len(), said.bad[0].record), (2, 1, 1));
    assert!(said.bad[0].reason.contains("record_bytes"), "{:?}", said.bad);
}

#[test]
fn columns_that_contradict_the_sample_are_bad_records() {
    let two = example(&[ints(&[1, 2])], true);
    let other = example(&[("i", List::Floats(vec![1.]))], true);
    let new = example(&[ints(&[5]), ("new", List::Ints(vec![1]))], true);
    let one = example(&[ints(&[1])], true);
    let file: Vec<u8> =
        [&one, &one, &one, &two, &other, &new].into_iter().flat_map(|data| framed(data)).collect();
    let infer = crate::Infer::Records(3.try_into().unwrap());
    let said = said(&file, &ReadOptions { infer, ..ReadOptions::default() });
    assert_eq!(said.batch.unwrap().num_rows(), 3);
    let reasons: Vec<_> = said.bad.iter().map(|bad| bad.reason.as_str()).collect();
    assert!(reasons[0].contains("2 values") && reasons[1].contains("fractions"), "{reasons:?}");
    assert!(reasons[2].contains("infer from the whole file"), "{reasons:?}");
}

#[test]
fn kinds_that_contradict_each_other_in_the_sample_are_named() {
    let file = [ints(&[1]), ("i", List::Floats(vec![1.]))]
        .map(|feature| framed(&example(&[feature], true)))
        .concat();
    let error = said(&file, &ReadOptions::default()).error.unwrap();
    assert!(error.contains("int64_list in record 0 and a float_list in record 1"), "{error}");
}

#[test]
fn a_given_schema_says_types_and_columns() {
    let schema = Schema::new(vec![
        Field::new("b", DataType::Utf8, false),
        Field::new("i", DataType::Int8, true),
        Field::new("none", DataType::Float64, true),
    ]);
    let record = |text: &[u8], value| {
        framed(&example(&[ints(&[value]), ("b", List::Bytes(vec![text.to_vec()]))], true))
    };
    let file =
        [record(b"ok", 1), record(b"\xff", 1), record(b"ok", 300), framed(&example(&[], true))].concat();
    let said = said(&file, &ReadOptions { schema: Some(Arc::new(schema)), ..ReadOptions::default() });
    let batch = said.batch.unwrap();
    assert_eq!((batch.num_rows(), batch.column(2).null_count()), (1, 1));
    let columns: Vec<_> = said.bad.iter().map(|bad| bad.column.as_deref().unwrap()).collect();
    assert_eq!(columns, ["b", "i", "b"]);
}

#[test]
fn packed_files_are_unpacked_and_cut_ones_say_so() {
    let record = framed(&example(&[ints(&[7])], true));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&record.repeat(1000)).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&record.repeat(1000)[..], 1).unwrap();
    for packed in [[gzip.clone(), gzip].concat(), [zstd.clone(), zstd].concat()] {
        let whole = said(&packed, &ReadOptions::default());
        assert_eq!((whole.batch.unwrap().num_rows(), whole.bad.len()), (2000, 0));
        let cut = said(&packed[..packed.len() - 9], &ReadOptions::default());
        assert!(cut.batch.unwrap().num_rows() >= 1000);
        assert_eq!((cut.bad.len(), cut.bad[0].records), (1, 0));
    }
}

#[test]
fn a_bomb_is_stopped_at_the_ratio() {
    let length = (1u64 << 30).to_le_bytes();
    let head = [&length[..], &crc(&length)].concat();
    let packed = zstd::encode_all(
        std::io::Read::chain(&head[..], std::io::Read::take(std::io::repeat(0), 1 << 28)),
        1,
    );
    let options =
        ReadOptions { unpack_ratio: 10, schema: Some(Arc::new(Schema::empty())), ..ReadOptions::default() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tfrecord.zst");
    std::fs::write(&path, packed.unwrap()).unwrap();
    let said = everything(&path, Format::Tfrecord, &options, 1);
    assert!(said.bad.last().unwrap().reason.contains("more than 10 times its size"), "{:?}", said.bad);
}

#[test]
fn what_begins_otherwise_is_no_tfrecord_and_sequences_are_named() {
    assert!(
        said(b"not a record at all", &ReadOptions::default()).error.unwrap().contains("not a tfrecord file")
    );
    let sequence = framed(&[example(&[], true), field(2, b"")].concat());
    assert!(said(&sequence, &ReadOptions::default()).error.unwrap().contains("SequenceExample"));
}

#[test]
fn a_file_without_records_has_no_columns() {
    let said = said(b"", &ReadOptions::default());
    assert_eq!((said.error, said.bad.len()), (None, 0));
    assert!(said.batch.is_some_and(|batch| batch.num_columns() == 0 && batch.num_rows() == 0));
}

#[test]
fn a_type_that_is_given_makes_what_does_not_fit_a_bad_record() {
    let bytes: Vec<u8> = [List::Ints(vec![1]), List::Floats(vec![0.5]), List::Ints(vec![3])]
        .iter()
        .flat_map(|list| framed(&example(&[("x", list.clone())], true)))
        .collect();
    assert!(said(&bytes, &ReadOptions::default()).error.unwrap().contains("is a"));
    let types = Schema::new(vec![Field::new("x", DataType::Int64, true)]);
    let options = ReadOptions { types: Some(Arc::new(types)), ..ReadOptions::default() };
    let said = said(&bytes, &options);
    assert_eq!((said.error, said.bad.len()), (None, 1));
}
