//! Where a shard's bytes come from: local files, and the one trait through which other stores are read.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::blocks::Block;
use super::residency::Residency;
use super::side::Side;
use super::transfer::End;
use crate::error::IoError;
use crate::regular::{Facts, Links, Root, open_to_read};

/// A shard in a store that is no mounted filesystem, opened for reading.
///
/// Reads come from many threads at once and in any order, each within one block of the copy.
pub trait ShardSource: Send + Sync + std::fmt::Debug {
    /// Return the name that errors shall give it.
    fn name(&self) -> &Path;

    /// Return what identifies the content as it was when the source was opened.
    fn facts(&self) -> SourceFacts;

    /// Read into `into` from `offset`: the number of bytes that came, 0 at the end.
    ///
    /// # Errors
    /// What the store's failure is nearest to: `EIO` and `ETIMEDOUT` are tried again after a pause, `EINTR` and `EAGAIN`
    /// at once, anything else ends the shard's copy.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Compare the source with itself: an error says what has changed since it was opened.
    ///
    /// # Errors
    /// [`IoError::SourceChanged`], or what kept it from being looked at.
    fn check_unchanged(&self) -> Result<(), IoError>;
}

/// What identifies a source's content from outside: if any of it differs, the content may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SourceFacts {
    /// Size in bytes.
    pub bytes: u64,
    /// Time of modification, in nanoseconds since the epoch.
    pub modified_ns: i128,
    /// Inode number, 0 where there is none.
    pub inode: u64,
    /// Device number, 0 where there is none.
    pub device: u64,
}

impl SourceFacts {
    /// Compare what may show that a file's content has changed.
    ///
    /// # Errors
    /// [`IoError::SourceChanged`].
    pub(crate) fn check_same_content(&self, after: &Self, path: &Path) -> Result<(), IoError> {
        let detail = if self.bytes != after.bytes {
            format!("it had {} bytes, now {}", self.bytes, after.bytes)
        } else if self.modified_ns != after.modified_ns {
            format!("it was modified at {} ns, now at {} ns", self.modified_ns, after.modified_ns)
        } else {
            return Ok(());
        };
        Err(IoError::SourceChanged { path: path.to_owned(), detail })
    }
}

/// An opened source of a copy.
#[derive(Debug)]
pub(crate) enum Source {
    Local(LocalSource),
    Store(Arc<dyn ShardSource>),
}

/// What a block is to be read through.
#[derive(Clone, Copy)]
pub(crate) enum Channel<'a> {
    Descriptor(BorrowedFd<'a>),
    Store(&'a dyn ShardSource),
}

impl Source {
    /// Say whether a block is to be read through the page cache because all of it is there already: that is cheaper
    /// than the disk and adds nothing to the cache. Asked once a block.
    pub(crate) fn is_cached(&self, block: Block) -> bool {
        matches!(self, Self::Local(local) if local.is_cached(block))
    }

    /// Return what to read a block through, `cached` or not.
    pub(crate) fn channel(&self, cached: bool) -> Channel<'_> {
        match self {
            Self::Local(local) => {
                let there = if cached { local.without_direct() } else { None };
                Channel::Descriptor(there.unwrap_or_else(|| local.side.file()).as_fd())
            }
            Self::Store(store) => Channel::Store(store.as_ref()),
        }
    }

    pub(crate) fn facts(&self) -> SourceFacts {
        match self {
            Self::Local(local) => local.facts,
            Self::Store(store) => store.facts(),
        }
    }

    pub(crate) fn check_unchanged(&self) -> Result<(), IoError> {
        match self {
            Self::Local(local) => local.check_unchanged(),
            Self::Store(store) => store.check_unchanged(),
        }
    }

    /// Give back what reading the block has brought into the page cache.
    pub(crate) fn drop_pages(&self, block: Block) {
        if let Self::Local(local) = self {
            local.side.drop_pages(block.offset, block.len as u64);
        }
    }

    /// Return how many blocks were found in the page cache and read from there.
    pub(crate) fn cached_blocks(&self) -> u64 {
        match self {
            Self::Local(local) => local.cached_blocks.load(Ordering::Relaxed),
            Self::Store(_) => 0,
        }
    }

    /// Return why the source is not read directly; `None` while it is.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Local(local) => local.side.reason(),
            Self::Store(_) => Some("it is in a store"),
        }
    }
}

impl End for Source {
    fn path(&self) -> &Path {
        match self {
            Self::Local(local) => local.side.path(),
            Self::Store(store) => store.name(),
        }
    }

    fn is_direct(&self) -> bool {
        matches!(self, Self::Local(local) if local.side.is_direct())
    }

    fn leave_direct(&self, offset: u64, why: &str) -> Result<(), IoError> {
        match self {
            Self::Local(local) => local.side.leave_direct(offset, why),
            Self::Store(_) => Ok(()),
        }
    }
}

/// A regular file on a mounted filesystem.
#[derive(Debug)]
pub(crate) struct LocalSource {
    side: Side,
    facts: SourceFacts,
    residency: Option<Residency>,
    /// The same file without `O_DIRECT`, opened when the first block is found in the page cache.
    cached: OnceLock<Option<File>>,
    cached_blocks: AtomicU64,
    place: Place,
}

/// By what name the file was opened, and so can be opened again.
#[derive(Debug)]
enum Place {
    Path,
    Beneath(Root, PathBuf),
}

impl LocalSource {
    /// Open a regular file; with a root, `path` is a name relative to it that must not lead out of it.
    pub(crate) fn open(path: &Path, root: Option<&Root>, want_direct: bool) -> Result<Self, IoError> {
        let (full, place) = match root {
            None => (path.to_owned(), Place::Path),
            Some(root) => (root.path().join(path), Place::Beneath(root.clone(), path.to_owned())),
        };
        let (file, facts) = place.open(&full)?;
        let residency = Residency::of(&file, facts.bytes);
        let side = Side::new(file, full, want_direct);
        let facts = facts.into();
        Ok(Self { side, facts, residency, cached: OnceLock::new(), cached_blocks: AtomicU64::new(0), place })
    }

    fn is_cached(&self, block: Block) -> bool {
        let resident = self.residency.as_ref().is_some_and(|pages| pages.holds(block.offset, block.len));
        let cached = resident && self.without_direct().is_some();
        self.cached_blocks.fetch_add(u64::from(cached), Ordering::Relaxed);
        cached
    }

    fn without_direct(&self) -> Option<&File> {
        if !self.side.is_direct() {
            return Some(self.side.file());
        }
        let opened = self.cached.get_or_init(|| {
            let (file, facts) = self.place.open(self.side.path()).ok()?;
            // Another file may have the name by now: then the first one goes on alone.
            facts.same_file(self.facts.device, self.facts.inode).then_some(file)
        });
        opened.as_ref()
    }

    fn check_unchanged(&self) -> Result<(), IoError> {
        let after = Facts::of(self.side.file(), self.side.path())?;
        self.facts.check_same_content(&after.into(), self.side.path())
    }
}

impl Place {
    fn open(&self, full: &Path) -> Result<(File, Facts), IoError> {
        match self {
            Self::Path => open_to_read(full, Links::Refuse),
            Self::Beneath(root, name) => root.open_beneath(name),
        }
    }
}
