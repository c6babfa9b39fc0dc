//! Why rows can't be looked at, as one enum for the binding to map.

use std::io;
use std::path::PathBuf;

/// What is wrong with the rows, or with the machine.
#[derive(Debug, thiserror::Error)]
pub enum QualityError {
    /// A batch has other columns than those before.
    #[error("the columns changed: first they were {known}; then {found}; give rows of one schema")]
    Schema {
        /// The columns of the first batch.
        known: String,
        /// Those of the batch at hand.
        found: String,
    },
    /// There is no such column.
    #[error("there is no column {column:?}; known: {known}")]
    Missing {
        /// The column that was asked for.
        column: String,
        /// The columns that there are.
        known: String,
    },
    /// A column is of a type that has no values to compare.
    #[error("column {column:?} of {found} can't be compared; leave it out, or cast it")]
    Unsupported {
        /// The column.
        column: String,
        /// Its type.
        found: String,
    },
    /// Hashes of rows can't be put aside.
    #[error("{}: hashes of rows can't be put aside: {source}; make room there", path.display())]
    Spill {
        /// Folder of the files.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The threads can't be had.
    #[error(transparent)]
    Io(nexa_io::IoError),
}
