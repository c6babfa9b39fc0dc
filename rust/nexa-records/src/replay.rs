//! What holds for every source file whatever its bytes: run by the fuzz targets, and in tests over the inputs they have
//! found.

use std::num::NonZero;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use crate::{BadRecord, Compression, Format, Infer, ReadOptions, open, recognise};

/// All that reading a file says.
#[derive(Debug, PartialEq)]
pub struct Said {
    /// The good records; `None` where the file can't be opened.
    pub batch: Option<RecordBatch>,
    /// The bad ones, by their number in the file.
    pub bad: Vec<BadRecord>,
    /// What ended the reading.
    pub error: Option<String>,
}

/// Read a file to its end.
///
/// # Panics
/// Where batches contradict their schema, or records their numbers.
#[must_use]
pub fn everything(path: &Path, format: Format, options: &ReadOptions, threads: usize) -> Said {
    let mut said = Said { batch: None, bad: Vec::new(), error: None };
    let opened = match open(path, format, options) {
        Ok(opened) => opened,
        Err(error) => return Said { error: Some(error.to_string()), ..said },
    };
    let schema = opened.schema.clone();
    let mut batches = Vec::new();
    for piece in opened.scan(threads) {
        match piece {
            Ok(decoded) => {
                assert!(
                    has_own_batches(format) || decoded.batch.num_rows() <= options.batch_rows,
                    "a batch has the rows that were asked for"
                );
                said.bad.extend(decoded.bad);
                batches.push(decoded.batch);
            }
            Err(error) => said.error = Some(error.to_string()),
        }
    }
    assert!(said.bad.is_sorted_by_key(|bad| bad.record), "bad records come in order");
    said.batch = Some(concat_batches(&schema, &batches).expect("all batches have the schema"));
    said
}

/// Write bytes to a file of this process's own, in memory where the system has such a folder, and [`check`] it.
///
/// # Panics
/// As [`check`], and where the file can't be written.
pub fn check_bytes(bytes: &[u8], format: &str) {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let path = folder.join(format!("nexa-replay-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("the folder can be written to");
    check(&path, format.parse().expect("the format is known"));
    std::fs::remove_file(&path).expect("nobody else removes it");
}

/// Read a file in several ways and hold the results against each other and against its size.
///
/// # Panics
/// Where they differ, or where more records come out than the file can have.
pub fn check(path: &Path, format: Format) {
    let infer = Infer::Records(NonZero::new(3).expect("3 is not 0"));
    let options = ReadOptions { infer, ..ReadOptions::default() };
    let said = everything(path, format, &options, 1);
    // How much of a damaged row group comes before the damage is found depends on the rows of a batch.
    let batch_rows = if format == Format::Parquet { options.batch_rows } else { 2 };
    let small = ReadOptions { block_bytes: 700, batch_rows, ..options };
    for threads in [1, 3] {
        assert_eq!(everything(path, format, &small, threads), said, "blocks and threads make no difference");
    }
    let bytes = std::fs::metadata(path).map_or(0, |facts| facts.len());
    let rows = said.batch.as_ref().map_or(0, RecordBatch::num_rows) as u64;
    let bad = said.bad.len() as u64;
    let packed = recognise(path).is_ok_and(|recognised| recognised.compression != Compression::None);
    // A batch of Arrow's may have rows without a byte: of type null, or of lists that are empty.
    let free = packed || has_own_batches(format) || format == Format::Parquet;
    assert!(free || rows + bad <= bytes + 2, "{rows} records and {bad} bad ones come out of {bytes} bytes");
}

/// Say whether batches are as the file has them.
fn has_own_batches(format: Format) -> bool {
    matches!(format, Format::Arrow | Format::ArrowStream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fuzzing_has_found_keeps_its_promises() {
        for format in ["tfrecord", "webdataset", "mds", "npy", "arrow", "arrow_stream", "parquet"] {
            let corpus =
                Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fuzz/corpus/source_{format}"));
            let inputs: Vec<_> =
                std::fs::read_dir(corpus).unwrap().map(|input| input.unwrap().path()).collect();
            assert!(!inputs.is_empty(), "{format} has a corpus");
            for input in inputs {
                check(&input, format.parse().unwrap());
            }
        }
    }
}
