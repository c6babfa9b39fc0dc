//! Opening of regular files only, so that a FIFO in a catalog cannot hang a run nor a folder confuse it.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::error::IoError;

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Refuse,
}

/// What identifies a file's content from outside: if any of it differs, the content may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub bytes: u64,
    /// Nanoseconds since the epoch; negative before 1970.
    pub modified_ns: i128,
    pub device: u64,
    pub inode: u64,
}

impl Facts {
    pub(crate) fn of(file: &File, path: &Path) -> Result<Self, IoError> {
        Ok(Self::from(&inspect(file, path)?))
    }

    pub(crate) fn same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl From<&Metadata> for Facts {
    fn from(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// Open a regular file for reading.
pub(crate) fn open_to_read(path: &Path, links: Links) -> Result<(File, Facts), IoError> {
    let mut options = OpenOptions::new();
    options.read(true);
    open(&options, path, links)
}

/// Create a regular file, or open the one that is there without emptying it, for writing.
pub(crate) fn open_to_write(path: &Path) -> Result<(File, Facts), IoError> {
    let mut options = OpenOptions::new();
    // Emptying is left to the caller, who first has to know that this is not its own source.
    options.write(true).create(true).truncate(false).mode(0o644);
    open(&options, path, Links::Refuse)
}

fn open(options: &OpenOptions, path: &Path, links: Links) -> Result<(File, Facts), IoError> {
    // Without O_NONBLOCK, opening a FIFO waits for its other end.
    let mut flags = OFlags::NONBLOCK;
    if links == Links::Refuse {
        flags |= OFlags::NOFOLLOW;
    }
    let file = options
        .clone()
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|source| not_opened(path, source))?;
    let metadata = inspect(&file, path)?;
    if !metadata.is_file() {
        return Err(IoError::NotAFile { path: path.to_owned(), kind: kind_of(metadata.file_type()) });
    }
    // On a regular file it has done its work; some network filesystems would answer EAGAIN.
    let status = fcntl_getfl(&file).map_err(|error| inspect_error(path, error.into()))?;
    fcntl_setfl(&file, status & !OFlags::NONBLOCK).map_err(|error| inspect_error(path, error.into()))?;
    Ok((file, Facts::from(&metadata)))
}

/// Turn an open error that only means "not a regular file" into that: the system has several words for it.
fn not_opened(path: &Path, source: io::Error) -> IoError {
    // A folder opened for writing, a link, a socket or a FIFO without a reader, a device without a driver.
    let kinds = [Errno::ISDIR, Errno::LOOP, Errno::NXIO, Errno::OPNOTSUPP, Errno::NODEV];
    let about_kind = kinds.iter().any(|kind| source.raw_os_error() == Some(kind.raw_os_error()));
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if about_kind && !metadata.is_file() => {
            IoError::NotAFile { path: path.to_owned(), kind: kind_of(metadata.file_type()) }
        }
        _ => IoError::Open { path: path.to_owned(), source },
    }
}

fn inspect(file: &File, path: &Path) -> Result<Metadata, IoError> {
    file.metadata().map_err(|source| inspect_error(path, source))
}

fn inspect_error(path: &Path, source: io::Error) -> IoError {
    IoError::Inspect { path: path.to_owned(), source }
}

fn kind_of(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else {
        "something special"
    }
}
