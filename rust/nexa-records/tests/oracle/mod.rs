//! What must hold for any bytes read as text formats, beside readers that others wrote; for the fuzz targets and the
//! tests that replay what these found.

#![allow(dead_code, reason = "each user takes its own part")]
#![expect(clippy::unwrap_used, reason = "a failure here is the finding")]

use std::io::Write;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use nexa_records::{BadRecord, Format, Infer, ReadOptions, RecordError};
use serde_json::Value;

/// What a file was read as.
pub struct Reading {
    /// Good records' batches.
    pub batches: Vec<RecordBatch>,
    /// Bad ones, numbered within the file.
    pub bad: Vec<BadRecord>,
    /// Records, good, bad and lost.
    pub records: u64,
}

impl Reading {
    /// Give every good record as text, whatever batches it came in.
    fn rows(&self) -> Vec<String> {
        self.batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(|row| format!("{:?}", batch.slice(row, 1))))
            .collect()
    }
}

/// Write `bytes` where nothing is kept, and read them.
pub fn read(
    bytes: &[u8],
    format: Format,
    options: &ReadOptions,
    threads: usize,
) -> Result<Reading, RecordError> {
    let mut file = tempfile::NamedTempFile::new_in(scratch()).unwrap();
    file.write_all(bytes).unwrap();
    read_file(file.path(), format, options, threads)
}

fn scratch() -> &'static Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory } else { Path::new("/tmp") }
}

/// Read a file to its end.
pub fn read_file(
    path: &Path,
    format: Format,
    options: &ReadOptions,
    threads: usize,
) -> Result<Reading, RecordError> {
    let mut scan = nexa_records::open(path, format, options)?.scan(threads);
    let (mut batches, mut bad) = (Vec::new(), Vec::new());
    for piece in &mut scan {
        let piece = piece?;
        batches.push(piece.batch);
        bad.extend(piece.bad);
    }
    Ok(Reading { batches, bad, records: scan.records() })
}

fn options(block_bytes: usize) -> ReadOptions {
    ReadOptions { block_bytes, infer: Infer::Whole, record_bytes: 1 << 16, ..ReadOptions::default() }
}

/// Hold two ways of reading the same bytes against each other; the first byte chooses how.
pub fn same_whatever_the_blocks(choice: u8, bytes: &[u8], format: Format) -> Option<Reading> {
    let one = read(bytes, format, &options(1 << 20), 1);
    let (blocks, threads) = (16 << (choice & 3), 1 + usize::from(choice >> 2 & 1));
    let other = read(bytes, format, &options(blocks), threads);
    match (one, other) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one.rows(), other.rows());
            assert_eq!(one.bad, other.bad.into_iter().map(|bad| BadRecord { ..bad }).collect::<Vec<_>>());
            assert_eq!(one.records, other.records);
            Some(one)
        }
        (Err(one), Err(other)) => {
            assert_eq!(std::mem::discriminant(&one), std::mem::discriminant(&other), "{one} {other}");
            None
        }
        (one, other) => panic!("{:?} {:?}", one.map(|read| read.rows()), other.map(|read| read.rows())),
    }
}

/// Any bytes as JSON lines: `serde_json` accepts what is accepted, refuses what is refused, and reads the same.
pub fn jsonl(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let Some(reading) = same_whatever_the_blocks(*choice, bytes, Format::Jsonl) else { return };
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if text.trim_ascii_start().first() == Some(&b'[') || Compressed::of(bytes) {
        return;
    }
    let mut good =
        reading.batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    for (record, line) in lines.enumerate() {
        let bad = reading.bad.iter().find(|bad| bad.record == record as u64);
        match (serde_json::from_slice::<Value>(line), bad) {
            (Ok(Value::Object(object)), None) => {
                let (batch, row) = good.next().unwrap();
                same_object(batch, row, &Value::Object(object));
            }
            (Ok(Value::Object(_)), Some(bad)) => panic!("{bad:?} is refused"),
            (Ok(_), None) => panic!("{:?} is accepted", String::from_utf8_lossy(line)),
            (Ok(_), Some(_)) | (Err(_), Some(_)) => {}
            (Err(error), None) => {
                good.next().unwrap();
                let words = ["NaN", "Infinity"]
                    .iter()
                    .any(|word| line.windows(word.len()).any(|part| part == word.as_bytes()));
                let said = error.to_string();
                let limits = said.contains("out of range") || said.contains("recursion limit");
                assert!(words || limits, "{said}: {:?}", String::from_utf8_lossy(line));
            }
        }
    }
}

struct Compressed;

impl Compressed {
    fn of(bytes: &[u8]) -> bool {
        bytes.starts_with(b"\x1f\x8b")
            || bytes.starts_with(b"\x28\xb5\x2f\xfd")
            || bytes.get(1..4) == Some(b"\x2a\x4d\x18")
    }
}

fn same_object(batch: &RecordBatch, row: usize, object: &Value) {
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let value = object.get(field.name()).unwrap_or(&Value::Null);
        assert!(same(column.as_ref(), row, value), "{field:?} of row {row}: {column:?} is not {value}");
    }
}

/// Say whether a row of a column is a JSON value.
fn same(column: &dyn Array, row: usize, value: &Value) -> bool {
    if value.is_null() || column.data_type() == &DataType::Null {
        return value.is_null() && (column.is_null(row) || column.data_type() == &DataType::Null);
    }
    if column.is_null(row) {
        return false;
    }
    match column.data_type() {
        DataType::Boolean => value.as_bool() == Some(column.as_boolean().value(row)),
        DataType::Int64 => value.as_i64() == Some(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => value.as_u64() == Some(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float64 => {
            value.as_f64().is_some_and(|twin| close(twin, column.as_primitive::<Float64Type>().value(row)))
        }
        DataType::Utf8 => value.as_str() == Some(column.as_string::<i32>().value(row)),
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            value.as_array().is_some_and(|values| {
                values.len() == list.len()
                    && values.iter().enumerate().all(|(at, value)| same(list.as_ref(), at, value))
            })
        }
        DataType::Struct(fields) => fields.iter().zip(column.as_struct().columns()).all(|(field, column)| {
            same(column.as_ref(), row, value.get(field.name()).unwrap_or(&Value::Null))
        }),
        _ => false,
    }
}

/// `serde_json` rounds the last digit as it comes, without its feature for that.
fn close(twin: f64, ours: f64) -> bool {
    twin == ours || (twin - ours).abs() <= 1e-14 * twin.abs() || (twin.abs() < 1e-300 && ours.abs() < 1e-300)
}

/// Any bytes as a compressed file: bounded, and what is unpacked is what the unpacking crates give up to the damage.
pub fn unpack(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    same_whatever_the_blocks(*choice, bytes, Format::Jsonl);
    // Packed by us, cut anywhere: the lines before the cut come, and the loss is said.
    let lines: Vec<u8> = bytes.iter().flat_map(|byte| format!("{{\"x\":{byte}}}\n").into_bytes()).collect();
    if lines.is_empty() {
        return;
    }
    for packed in [gzip(&lines), zstd::encode_all(lines.as_slice(), 1).unwrap()] {
        let whole = read(&packed, Format::Jsonl, &options(1 << 12), 1).unwrap();
        assert_eq!((whole.records, whole.bad.len()), (bytes.len() as u64, 0));
        let cut = packed.len() * usize::from(*choice) / 256;
        if let Ok(part) = read(&packed[..cut], Format::Jsonl, &options(1 << 12), 1) {
            assert!(part.records <= whole.records && part.rows() == whole.rows()[..part.rows().len()]);
            assert!(cut == 0 || !part.bad.is_empty(), "the loss is said");
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// Any bytes as CSV: blocks and threads make no difference. That accepted fields are those of the `csv` crate is held by a
/// property of its own, over files that the crate has written.
pub fn csv(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    same_whatever_the_blocks(*choice, bytes, Format::Csv);
}
