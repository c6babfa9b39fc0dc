//! What can be wrong with a shard exists as one enum, so that the binding maps each case exactly once.

use std::path::{Path, PathBuf};

use nexa_io::IoError;

/// What is wrong with a shard, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file could not be opened or read.
    #[error("{source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: IoError,
    },
    /// The file is of another format.
    #[error(
        "{}: not an Arrow IPC file: {detail}; convert it to Arrow IPC files (`nexa-data prepare` writes them)",
        path.display()
    )]
    NotArrow {
        /// The file.
        path: PathBuf,
        /// What its first bytes are, and what they look like.
        detail: String,
    },
    /// The file is not of the format that it was opened as.
    #[error("{}: not a {format} file: {detail}; set data.format, or convert it", path.display())]
    NotOfFormat {
        /// The file.
        path: PathBuf,
        /// The format, as configs name it.
        format: &'static str,
        /// What speaks against it.
        detail: String,
    },
    /// The file is of a format that doesn't say what its columns are, and they can't be found in its records.
    #[error("{}: {detail}", path.display())]
    NoSchema {
        /// The file.
        path: PathBuf,
        /// Why, and what to say instead.
        detail: String,
    },
    /// The file holds Python objects that only unpickling would bring back, which runs whatever code is in them.
    #[error(
        "{}: column {column:?} is {found}, which is never unpickled: it could run any code; write it as numbers, text \
         or bytes, or leave it out by naming the columns to read",
        path.display()
    )]
    Pickled {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it is, `pkl` say.
        found: String,
    },
    /// The file begins as an Arrow IPC file and does not end as one.
    #[error("{}: cut short: {detail}; copy it again from its source, or write it anew", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where it ends.
        detail: String,
    },
    /// The file contradicts itself.
    #[error(
        "{}{}: corrupt: {detail}; copy it again from its source, or write it anew",
        path.display(),
        batch.map_or_else(String::new, |index| format!(": batch {index}"))
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The record batch, counted from 0, or `None` for what belongs to the whole file.
        batch: Option<usize>,
        /// The contradiction.
        detail: String,
    },
    /// A batch was asked for that the file does not have.
    #[error("{}: has no batch {batch}: it has {batches}, counted from 0", path.display())]
    MissingBatch {
        /// The file.
        path: PathBuf,
        /// The index that was asked for.
        batch: usize,
        /// How many batches there are.
        batches: usize,
    },
    /// A column was asked for that the file does not have.
    #[error("{}: has no column {column:?}; it has {}", path.display(), name_list(known))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column that was asked for.
        column: String,
        /// The columns that there are, in the file's order.
        known: Vec<String>,
    },
    /// A column's rows cannot become rows of equal width.
    #[error(
        "{}: column {column:?} of type {found} cannot become part of a batch: {detail}; store it as a \
         number, a list of numbers, arrow.fixed_shape_tensor, text or bytes, or leave it out of the batch",
        path.display()
    )]
    UnsupportedColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its Arrow type.
        found: String,
        /// Why it does not fit.
        detail: String,
    },
    /// A column has missing values where a tensor can have none.
    #[error(
        "{}: column {column:?} is null in row {row} of its batch; fill or drop such rows before sharding",
        path.display()
    )]
    Nulls {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The first such row, counted from 0 within its batch.
        row: usize,
    },
    /// A column is not what the first shard, or the caller, says that it is.
    #[error(
        "{}: column {column:?} is {found} where {expected} is expected; write all shards with one schema",
        path.display()
    )]
    SchemaMismatch {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What the column should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The file has another number of rows than it should.
    #[error(
        "{}: has {found} rows where {expected} are expected; write the catalog anew, or restore the file",
        path.display()
    )]
    RowCount {
        /// The file.
        path: PathBuf,
        /// The rows that it should have.
        expected: u64,
        /// The rows that it has.
        found: u64,
    },
}

impl RecordError {
    /// Give the file that the error is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::NotArrow { path, .. }
            | Self::NotOfFormat { path, .. }
            | Self::NoSchema { path, .. }
            | Self::Pickled { path, .. }
            | Self::Truncated { path, .. }
            | Self::Corrupt { path, .. }
            | Self::MissingBatch { path, .. }
            | Self::MissingColumn { path, .. }
            | Self::UnsupportedColumn { path, .. }
            | Self::Nulls { path, .. }
            | Self::SchemaMismatch { path, .. }
            | Self::RowCount { path, .. } => path,
        }
    }
}

/// A shard may have thousands of columns, and an error should fit on a screen.
const NAMES_SHOWN: usize = 20;

fn name_list(names: &[String]) -> String {
    if names.is_empty() {
        return "no columns".to_owned();
    }
    let mut list =
        names.iter().take(NAMES_SHOWN).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_SHOWN {
        list.push_str(&format!(" and {} more", names.len() - NAMES_SHOWN));
    }
    list
}
