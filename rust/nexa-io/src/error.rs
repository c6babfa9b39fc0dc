//! The one error type of this crate: every failure names the file it happened to.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// Why a byte could not be moved, held or believed.
///
/// The enum is exhaustive on purpose: the bindings map every variant, and a new one has to be mapped too.
#[derive(Debug, thiserror::Error)]
pub enum IoError {
    /// A file could not be opened or created.
    #[error("{}: cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file's or filesystem's facts (size, times, type) could not be read.
    #[error("{}: cannot be inspected: {source}", path.display())]
    Inspect {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Reading failed.
    #[error("{}: cannot be read at byte {offset}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Where the failed read began, in bytes.
        offset: u64,
        /// The system's error.
        source: io::Error,
    },
    /// Writing failed for another reason than a full disk.
    #[error("{}: cannot be written at byte {offset}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Where the failed write began, in bytes.
        offset: u64,
        /// The system's error.
        source: io::Error,
    },
    /// Written bytes could not be made durable; whether they are on disk is unknown.
    #[error("{}: cannot be synced to disk: {source}", path.display())]
    Sync {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A rename failed; both names are as they were.
    #[error("{}: cannot be renamed to {}: {source}", from.display(), to.display())]
    Rename {
        /// The old name.
        from: PathBuf,
        /// The new name.
        to: PathBuf,
        /// The system's error; `AlreadyExists` where nothing may be replaced and something is there.
        source: io::Error,
    },
    /// The kernel or the filesystem cannot rename in the asked way; both names are as they were.
    #[error("{} and {}: {operation} is not supported here: {source}; rename in two steps instead", from.display(), to.display())]
    RenameUnsupported {
        /// What was asked: `an atomic exchange` or `a rename without replacing`.
        operation: &'static str,
        /// The first name.
        from: PathBuf,
        /// The second name.
        to: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The disk or the quota is full.
    #[error("{}: no space for {needed} bytes: {source}; free space or choose another disk", path.display())]
    NoSpace {
        /// The file that was being written.
        path: PathBuf,
        /// The whole file's size, in bytes.
        needed: u64,
        /// The system's error: `ENOSPC` or `EDQUOT`.
        source: io::Error,
    },
    /// The source was written to while it was being copied.
    #[error("{}: changed while it was read: {detail}; copy it again once its writer is done", path.display())]
    SourceChanged {
        /// The source.
        path: PathBuf,
        /// What changed, with both values.
        detail: String,
    },
    /// The file is not as long as its catalog says.
    #[error("{}: has {found} bytes, expected {expected}", path.display())]
    SizeMismatch {
        /// The file.
        path: PathBuf,
        /// The promised size, in bytes.
        expected: u64,
        /// The actual size, in bytes.
        found: u64,
    },
    /// The file's content is not what its catalog says.
    #[error("{}: has the digest {found}, expected {expected}", path.display())]
    DigestMismatch {
        /// The file.
        path: PathBuf,
        /// The promised digest.
        expected: Digest,
        /// The actual digest.
        found: Digest,
    },
    /// A checksum names an algorithm that we do not know.
    #[error("unknown checksum algorithm {name:?}; known are sha256, blake3, xxh3, crc32c")]
    UnknownAlgorithm {
        /// The name as it was given.
        name: String,
    },
    /// A checksum is not written as `algorithm:hexadecimal`.
    #[error("malformed checksum {text:?}: {detail}")]
    MalformedDigest {
        /// The text as it was given.
        text: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A copy engine's name is not one that we know.
    #[error("unknown copy engine {name:?}; known are auto, io_uring, threads")]
    UnknownEngine {
        /// The name as it was given.
        name: String,
    },
    /// The kernel's `io_uring` failed as a whole, not one of its operations.
    #[error("io_uring failed: {source}; copy with the engine \"threads\" instead")]
    Ring {
        /// The system's error.
        source: io::Error,
    },
    /// Something other than a regular file stands where one is needed.
    #[error("{}: is {kind}, not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is, with its article: `a folder`, `a FIFO`, `a symbolic link`.
        kind: &'static str,
    },
    /// Source and destination are one file: copying would destroy it.
    #[error("{} and {} are the same file", from.display(), to.display())]
    SameFile {
        /// The source.
        from: PathBuf,
        /// The destination.
        to: PathBuf,
    },
    /// A name leads out of the folder that it has to stay in.
    #[error("{}: leads out of {}; put the file itself, or a hard link, in that folder", path.display(), root.display())]
    Outside {
        /// The file as it was named.
        path: PathBuf,
        /// The folder.
        root: PathBuf,
    },
    /// Memory could not be had.
    #[error("cannot allocate {bytes} bytes aligned to {alignment}")]
    OutOfMemory {
        /// How many bytes were asked for.
        bytes: usize,
        /// The alignment, in bytes.
        alignment: usize,
    },
    /// The operating system refused to start the pool's threads.
    #[error("cannot start {threads} threads: {detail}; check the limit on processes (ulimit -u, pids.max)")]
    Threads {
        /// How many threads were asked for.
        threads: usize,
        /// The pool's own words.
        detail: String,
    },
    /// The caller asked to stop, through [`Control::cancel`](crate::Control::cancel).
    #[error("cancelled")]
    Cancelled,
}

impl IoError {
    /// Return the file that the error is about, the source's where there are two.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Open { path, .. }
            | Self::Inspect { path, .. }
            | Self::Read { path, .. }
            | Self::Write { path, .. }
            | Self::Sync { path, .. }
            | Self::NoSpace { path, .. }
            | Self::SourceChanged { path, .. }
            | Self::SizeMismatch { path, .. }
            | Self::DigestMismatch { path, .. }
            | Self::Outside { path, .. }
            | Self::NotAFile { path, .. } => Some(path),
            Self::Rename { from, .. }
            | Self::RenameUnsupported { from, .. }
            | Self::SameFile { from, .. } => Some(from),
            Self::UnknownAlgorithm { .. }
            | Self::UnknownEngine { .. }
            | Self::Ring { .. }
            | Self::MalformedDigest { .. }
            | Self::OutOfMemory { .. }
            | Self::Threads { .. }
            | Self::Cancelled => None,
        }
    }

    /// Return the system's error number, where the system said no.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Open { source, .. }
            | Self::Inspect { source, .. }
            | Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::Sync { source, .. }
            | Self::Rename { source, .. }
            | Self::RenameUnsupported { source, .. }
            | Self::Ring { source }
            | Self::NoSpace { source, .. } => source.raw_os_error(),
            Self::SourceChanged { .. }
            | Self::SizeMismatch { .. }
            | Self::DigestMismatch { .. }
            | Self::UnknownAlgorithm { .. }
            | Self::UnknownEngine { .. }
            | Self::MalformedDigest { .. }
            | Self::NotAFile { .. }
            | Self::Outside { .. }
            | Self::SameFile { .. }
            | Self::OutOfMemory { .. }
            | Self::Threads { .. }
            | Self::Cancelled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_file_and_keeps_the_system_number() {
        let source = io::Error::from_raw_os_error(28);
        let error = IoError::NoSpace { path: "/nvme/a.arrow".into(), needed: 7, source };
        assert_eq!(error.path(), Some(Path::new("/nvme/a.arrow")));
        assert_eq!(error.errno(), Some(28));
        assert!(error.to_string().starts_with("/nvme/a.arrow: no space for 7 bytes"));
    }

    #[test]
    fn an_error_without_a_file_says_so() {
        assert_eq!(IoError::Cancelled.path(), None);
        assert_eq!(IoError::Cancelled.errno(), None);
    }
}
