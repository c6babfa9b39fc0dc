//! Opens a source file of any format.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::format::Format;
use super::options::ReadOptions;
use super::scan::Scan;
use super::unit::{Cut, Decode};
use super::{csv, ipc, jsonl, mds, npy, parquet, tfrecord, webdataset};
use crate::RecordError;

/// A source file, opened: what its records are, and how to get at them.
pub struct Opened {
    /// The file.
    pub path: PathBuf,
    /// What it is read as.
    pub format: Format,
    /// Columns of every batch.
    pub schema: SchemaRef,
    /// Its records, where the format says how many without decoding them.
    pub rows: Option<u64>,
    /// Cuts it into units.
    pub cutter: Box<dyn Cut>,
    /// Decodes those.
    pub decoder: Arc<dyn Decode>,
}

impl Opened {
    /// Read all batches in order, on up to `threads` threads of the process's pool, or with 1 on the caller's.
    #[must_use]
    pub fn scan(self, threads: usize) -> Scan {
        Scan::new(self, threads)
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("path", &self.path)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// Open a file of `format`.
///
/// # Errors
///
/// [`RecordError::Io`] where it can't be read, [`RecordError::NotOfFormat`] where it is of another format,
/// [`RecordError::Truncated`] and [`RecordError::Corrupt`] where it is damaged so that nothing of it can be read,
/// [`RecordError::MissingColumn`] for a column that it doesn't have.
pub fn open(path: &Path, format: Format, options: &ReadOptions) -> Result<Opened, RecordError> {
    match format {
        Format::Arrow => ipc::open_file(path, options),
        Format::ArrowStream => ipc::open_stream(path, options),
        Format::Parquet => parquet::open(path, options),
        Format::Jsonl => jsonl::open(path, options),
        Format::Csv => csv::open(path, options),
        Format::Tfrecord => tfrecord::open(path, options),
        Format::Webdataset => webdataset::open(path, options),
        Format::Mds => mds::open(path, options),
        Format::Npy => npy::open(path, options),
    }
}
