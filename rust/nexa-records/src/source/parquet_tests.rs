//! Parquet files of several row groups: order, projection, damage.

use std::fs;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::*;

const ROWS: i64 = 1000;

fn file(folder: &Path, group: usize) -> PathBuf {
    let path = folder.join("a.parquet");
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(|at| format!("text {at}"))));
    let batch = RecordBatch::try_from_iter([("x", numbers), ("t", texts)]).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .build();
    let mut writer =
        ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

fn read(path: &Path, options: &ReadOptions, threads: usize) -> (Vec<i64>, Vec<BadRecord>) {
    let (mut numbers, mut bad) = (Vec::new(), Vec::new());
    for decoded in open(path, options).unwrap().scan(threads) {
        let decoded = decoded.unwrap();
        let column = decoded.batch.column_by_name("x").unwrap();
        numbers.extend_from_slice(column.as_primitive::<Int64Type>().values());
        bad.extend(decoded.bad);
    }
    (numbers, bad)
}

#[test]
fn rows_come_in_order_for_any_threads_groups_and_batches() {
    let folder = tempfile::tempdir().unwrap();
    for group in [1, 7, 300, 1000] {
        let path = file(folder.path(), group);
        assert_eq!(open(&path, &ReadOptions::default()).unwrap().rows, Some(1000));
        for (threads, batch_rows) in [(1, 16), (2, 999), (3, 5)] {
            let options = ReadOptions { batch_rows, ..ReadOptions::default() };
            assert_eq!(read(&path, &options, threads), ((0..ROWS).collect(), vec![]));
        }
    }
}

#[test]
fn columns_come_in_the_order_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), 300);
    let names = |wanted: &[&str]| Some(wanted.iter().map(|&name| name.to_owned()).collect());
    for wanted in [&["t", "x"][..], &["x"], &["t"], &[]] {
        let options = ReadOptions { columns: names(wanted), ..ReadOptions::default() };
        let opened = open(&path, &options).unwrap();
        let schema = Arc::clone(&opened.schema);
        let found: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(found, wanted);
        let batches: Vec<_> = opened.scan(1).map(|decoded| decoded.unwrap().batch).collect();
        assert!(batches.iter().all(|batch| batch.schema() == schema));
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1000);
    }
    let options = ReadOptions { columns: names(&["y"]), ..ReadOptions::default() };
    assert!(matches!(open(&path, &options), Err(RecordError::MissingColumn { .. })));
}

#[test]
fn a_damaged_row_group_is_lost_and_the_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), 250);
    let opened = open(&path, &ReadOptions::default()).unwrap();
    drop(opened);
    let metadata =
        ArrowReaderMetadata::load(&Chunks::open(&path).unwrap(), ArrowReaderOptions::new()).unwrap();
    let (start, len) = metadata.metadata().row_group(2).column(1).byte_range();
    let mut bytes = fs::read(&path).unwrap();
    let (start, end) = (usize::try_from(start).unwrap(), usize::try_from(start + len).unwrap());
    bytes[start..end].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    for threads in [1, 3] {
        let (numbers, bad) = read(&path, &ReadOptions::default(), threads);
        assert_eq!(numbers, (0..500).chain(750..1000).collect::<Vec<_>>());
        assert_eq!(bad.len(), 1);
        assert_eq!((bad[0].record, bad[0].records), (500, 250));
        assert!(bad[0].reason.starts_with("row group 2: "), "{}", bad[0].reason);
    }
}

#[test]
fn a_damaged_footer_says_what_the_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), 250);
    let bytes = fs::read(&path).unwrap();
    for len in [4, 5, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..len]).unwrap();
        assert!(matches!(open(&path, &ReadOptions::default()), Err(RecordError::Truncated { .. })), "{len}");
    }
    for foreign in [b"".as_slice(), b"PA", b"a,b\n1,2\n"] {
        fs::write(&path, foreign).unwrap();
        assert!(matches!(open(&path, &ReadOptions::default()), Err(RecordError::NotOfFormat { .. })));
    }
}

#[test]
fn any_flipped_byte_is_an_error_lost_rows_or_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), 400);
    let bytes = fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(37).chain(bytes.len() - 300..bytes.len()) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x5a;
        fs::write(&path, &damaged).unwrap();
        if let Ok(opened) = open(&path, &ReadOptions { batch_rows: 128, ..ReadOptions::default() }) {
            // Whatever a footer claims is accounted for, as rows or as lost ones.
            let claimed = opened.rows.unwrap();
            let accounted: u64 = opened.scan(1).map(|decoded| decoded.unwrap().records()).sum();
            assert_eq!(accounted, claimed, "byte {at}");
        }
    }
}
