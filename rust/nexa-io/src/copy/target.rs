//! The file that a copy writes: its space reserved, its name taken away again unless the copy is kept.
//!
//! 1. Space is reserved before the first byte, so a full disk says so at once and not after an hour. The reservation is
//!    the file's size too: writes that lengthen a file wait for one another, those within it run side by side. A partial
//!    file therefore shows its final size, which is why nobody takes a size for a proof.
//! 2. A direct write moves whole pages, so the last one is padded and cut off at the end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use super::blocks::{Block, Blocks};
use super::side::Side;
use super::source::SourceFacts;
use super::transfer::End;
use crate::error::IoError;
use crate::regular::{Facts, create_anew};
#[cfg(target_os = "linux")]
use crate::writeback::{start_writeback, wait_writeback};

/// The destination of one copy while it is written; dropped before [`keep`](Self::keep), it removes the file.
#[derive(Debug)]
pub(crate) struct Target {
    side: Side,
    total: u64,
    unfinished: AtomicBool,
}

impl Target {
    /// Create the file and reserve its space.
    pub(crate) fn create(
        path: &Path,
        source: &SourceFacts,
        blocks: &Blocks,
        want_direct: bool,
        source_path: &Path,
    ) -> Result<Self, IoError> {
        let total = blocks.total();
        refuse_same_file(path, source, source_path)?;
        let (file, _) = create_anew(path).map_err(|error| name_full_disk(error, path, total))?;
        let side = Side::new(file, path.to_owned(), want_direct);
        let target = Self { side, total, unfinished: AtomicBool::new(true) };
        reserve(target.side.file(), blocks.padded_total()).map_err(|source| target.write_error(0, source))?;
        Ok(target)
    }

    pub(crate) const fn side(&self) -> &Side {
        &self.side
    }

    /// Let the kernel write out a block that went through the page cache, and drop the one before it, which it has
    /// written meanwhile: so two blocks of a file are in the page cache, not all of them.
    pub(crate) fn clean_behind(&self, block: Block) {
        #[cfg(target_os = "linux")]
        if !self.side.is_direct() {
            let start = block.offset.saturating_sub(block.len as u64);
            start_writeback(self.side.file(), block.offset, block.len as u64);
            if start < block.offset {
                wait_writeback(self.side.file(), start, block.offset - start);
                self.side.drop_pages(start, block.offset - start);
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = block;
    }

    /// Cut off the padding and keep the file; its facts no longer change by our doing.
    pub(crate) fn keep(&self) -> Result<Kept, IoError> {
        let facts = Facts::of(self.side.file(), self.side.path())?;
        if facts.bytes != self.total {
            self.side.file().set_len(self.total).map_err(|source| self.write_error(self.total, source))?;
        }
        let facts = Facts::of(self.side.file(), self.side.path())?;
        let file = self
            .side
            .file()
            .try_clone()
            .map_err(|source| IoError::Inspect { path: self.side.path().to_owned(), source })?;
        self.unfinished.store(false, Ordering::Relaxed);
        Ok(Kept { file, path: self.side.path().to_owned(), facts, direct: self.side.is_direct() })
    }

    /// Remove the file, unless it is kept already.
    pub(crate) fn discard(&self) {
        if self.unfinished.swap(false, Ordering::Relaxed) {
            // The error that brought us here is the one to report.
            let _ = std::fs::remove_file(self.side.path());
        }
    }

    /// Say "no space" for what the filesystem calls so, at whichever call it did.
    pub(crate) fn name_full_disk(&self, error: IoError) -> IoError {
        name_full_disk(error, self.side.path(), self.total)
    }

    fn write_error(&self, offset: u64, source: io::Error) -> IoError {
        self.name_full_disk(IoError::Write { path: self.side.path().to_owned(), offset, source })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.discard();
    }
}

/// A file that was written to its end, on its way to being durable.
#[derive(Debug)]
pub(crate) struct Kept {
    pub file: File,
    pub path: PathBuf,
    pub facts: Facts,
    pub direct: bool,
}

fn refuse_same_file(path: &Path, source: &SourceFacts, source_path: &Path) -> Result<(), IoError> {
    let there = std::fs::symlink_metadata(path).ok().map(|metadata| Facts::from(&metadata));
    match there {
        Some(there) if source.inode != 0 && there.same_file(source.device, source.inode) => {
            Err(IoError::SameFile { from: source_path.to_owned(), to: path.to_owned() })
        }
        _ => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    if bytes == 0 {
        return Ok(()); // Reserving nothing is EINVAL.
    }
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::INTR) => {}
            // Filesystems that cannot reserve still write.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _bytes: u64) -> io::Result<()> {
    Ok(())
}

/// Say "no space" for what the destination's filesystem calls so.
pub(crate) fn name_full_disk(error: IoError, destination: &Path, needed: u64) -> IoError {
    let full = [Errno::NOSPC.raw_os_error(), Errno::DQUOT.raw_os_error()];
    let is_full = |source: &io::Error| source.raw_os_error().is_some_and(|code| full.contains(&code));
    match error {
        IoError::Open { path, source }
        | IoError::Write { path, source, .. }
        | IoError::Sync { path, source }
            if path == destination && is_full(&source) =>
        {
            IoError::NoSpace { path, needed, source }
        }
        other => other,
    }
}
