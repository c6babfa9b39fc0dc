//! Why a journal can't be used, as one enum for the binding to map.

use std::io;
use std::path::PathBuf;

/// What is wrong with a journal's file, or with its disk.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file can't be opened or read.
    #[error("{}: the journal can't be read: {source}; check the disk and the file's permissions", path.display())]
    Read {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file can't be written: what was durable stays.
    #[error("{}: answers can't be kept: {source}; make room or name another folder, then run again: what was answered is kept", path.display())]
    Write {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is no journal of a collection; name another folder, or move that file away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is of a later version.
    #[error("{} is a journal of version {version}, which this build doesn't know; use a newer nexa-data", path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// So much of the file is damaged that the search for what is sound was given up.
    #[error("{} is damaged from byte {end} on; keep a copy of what is before it, or move the file away", path.display())]
    Ruined {
        /// The journal.
        path: PathBuf,
        /// Where its sound part ends.
        end: u64,
    },
    /// An earlier write failed, so nothing is taken in any more.
    #[error("{}: an earlier write failed; run again: what was answered is kept", path.display())]
    Failed {
        /// The journal.
        path: PathBuf,
    },
    /// The journal was opened for reading, or closed.
    #[error("{} isn't open for writing; open it again", path.display())]
    ReadOnly {
        /// The journal.
        path: PathBuf,
    },
    /// A record that was sound when the journal was opened isn't any more.
    #[error("{}: the record at byte {offset} was damaged while the journal was open; run again: its request counts as lost", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the record lies.
        offset: u64,
    },
    /// The thread pool can't be made.
    #[error(transparent)]
    Threads(#[from] nexa_io::IoError),
}
