//! Opening of regular files only, so that a FIFO in a catalog cannot hang a run nor a folder confuse it.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::copy::SourceFacts;
use crate::error::IoError;

/// Permissions of what a copy writes: readers can't spoil it by accident.
const READ_ONLY: u32 = 0o444;

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

    pub(crate) fn same_file(&self, device: u64, inode: u64) -> bool {
        (self.device, self.inode) == (device, inode)
    }
}

impl From<Facts> for SourceFacts {
    fn from(Facts { bytes, modified_ns, device, inode }: Facts) -> Self {
        Self { bytes, modified_ns, inode, device }
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

/// A folder that names must not lead out of; clones are the same folder.
#[derive(Clone, Debug)]
pub(crate) struct Root(Arc<(File, PathBuf)>);

impl Root {
    pub(crate) fn open(path: &Path) -> Result<Self, IoError> {
        let file = File::open(path).map_err(|source| IoError::Open { path: path.to_owned(), source })?;
        Ok(Self(Arc::new((file, path.to_owned()))))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.1
    }

    /// Open a regular file by a name relative to the root; links are followed as long as they stay inside.
    ///
    /// The kernel resolves the name in one step, so nothing that is exchanged meanwhile leads out. Where it cannot
    /// (an old one, not Linux, or a link with an absolute path), the resolved path is compared instead.
    pub(crate) fn open_beneath(&self, name: &Path) -> Result<(File, Facts), IoError> {
        let full = self.path().join(name);
        match resolve_beneath(&self.0.0, name) {
            Some(Ok(file)) => settle(file, &full),
            Some(Err(source)) => Err(not_opened(&full, source)),
            None => {
                let unopened = |source| IoError::Open { path: full.clone(), source };
                let resolved = full.canonicalize().map_err(unopened)?;
                let root = self.path().canonicalize().map_err(unopened)?;
                if !resolved.starts_with(&root) {
                    return Err(IoError::Outside { path: full, root });
                }
                let (file, facts) = open_to_read(&resolved, Links::Refuse)?;
                Ok((file, facts))
            }
        }
    }
}

/// Let the kernel resolve a name without leaving a folder; `None` where it cannot say.
#[cfg(target_os = "linux")]
fn resolve_beneath(root: &File, name: &Path) -> Option<io::Result<File>> {
    use rustix::fs::{Mode, ResolveFlags, openat2};

    const RACES: usize = 8;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..RACES {
        match openat2(root, name, flags, Mode::empty(), how) {
            Ok(file) => return Some(Ok(File::from(file))),
            // A folder on the way was renamed at that very moment, or a signal came.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOSYS | Errno::INVAL | Errno::TOOBIG | Errno::PERM | Errno::XDEV) => return None,
            Err(error) => return Some(Err(error.into())),
        }
    }
    None
}

#[cfg(not(target_os = "linux"))]
fn resolve_beneath(_root: &File, _name: &Path) -> Option<io::Result<File>> {
    None
}

/// Create a regular file for writing in place of what has its name, unless that is no regular file.
///
/// A file that is there is taken away, never emptied: it may be a link to what another artifact still needs.
pub(crate) fn create_anew(path: &Path) -> Result<(File, Facts), IoError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(READ_ONLY);
    match open(&options, path, Links::Refuse) {
        Err(IoError::Open { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
            let there = std::fs::symlink_metadata(path).map_err(|source| inspect_error(path, source))?;
            if !there.is_file() {
                return Err(IoError::NotAFile { path: path.to_owned(), kind: kind_of(there.file_type()) });
            }
            std::fs::remove_file(path).map_err(|source| IoError::Open { path: path.to_owned(), source })?;
            open(&options, path, Links::Refuse)
        }
        other => other,
    }
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
    settle(file, path)
}

/// Check that what was opened without waiting is a regular file, and let it wait from now on.
fn settle(file: File, path: &Path) -> Result<(File, Facts), IoError> {
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
