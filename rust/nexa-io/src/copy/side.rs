//! One side of a copy: a file read or written past the page cache for as long as its filesystem plays along.
//!
//! ```text
//! begin:  ask the kernel to set O_DIRECT on the open file; a refusal means buffered, with the reason
//! each call: direct and refused (EINVAL, EOPNOTSUPP)?  clear O_DIRECT, keep the reason, repeat at the same offset
//! ```
//!
//! 1. The first block is the trial: filesystems that accept the flag may still refuse the I/O, so asking the flag alone
//!    proves nothing, and a trial in another file proves nothing about this one.
//! 2. The flag is switched on the open descriptor, never by opening again: another file could have the name by then.
//! 3. Giving up is one-way and said in the report. Calls that are under way on other threads meanwhile either succeed
//!    directly or are refused and repeated, so they need no lock.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::transfer::End;
use crate::error::IoError;

/// An open file, how it is accessed now, and why not directly.
#[derive(Debug)]
pub(crate) struct Side {
    file: File,
    path: PathBuf,
    direct: AtomicBool,
    reason: OnceLock<String>,
}

impl Side {
    /// Take a file, direct where that is wanted and the kernel accepts it.
    pub(crate) fn new(file: File, path: PathBuf, want_direct: bool) -> Self {
        let refusal = if want_direct {
            set_direct(&file, true).err().map(|refusal| format!("O_DIRECT is refused: {refusal}"))
        } else {
            Some("direct I/O was not asked for".to_owned())
        };
        let direct = AtomicBool::new(refusal.is_none());
        Self { file, path, direct, reason: refusal.map_or_else(OnceLock::new, OnceLock::from) }
    }

    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Return why the access is not direct; `None` while it is.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// Give back a range of the page cache that buffered access has filled; 0 bytes mean up to the end.
    ///
    /// Only clean pages go: written ones have to be on disk first.
    pub(crate) fn drop_pages(&self, offset: u64, len: u64) {
        #[cfg(target_os = "linux")]
        if !self.is_direct() {
            // Advice: a refusal costs memory for a while, nothing else.
            let _ = rustix::fs::fadvise(
                &self.file,
                offset,
                std::num::NonZero::new(len),
                rustix::fs::Advice::DontNeed,
            );
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, len);
    }
}

impl End for Side {
    fn path(&self) -> &Path {
        &self.path
    }

    // Relaxed: the flag decides how a call is made, and a call made the wrong way is refused and repeated.
    fn is_direct(&self) -> bool {
        self.direct.load(Ordering::Relaxed)
    }

    fn leave_direct(&self, offset: u64, why: &str) -> Result<(), IoError> {
        set_direct(&self.file, false)
            .map_err(|source| IoError::Inspect { path: self.path.clone(), source })?;
        // The first reason stays.
        self.reason.get_or_init(|| format!("direct I/O gave up at byte {offset}: {why}"));
        self.direct.store(false, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn set_direct(file: &File, on: bool) -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, on);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(not(target_os = "linux"))]
fn set_direct(_file: &File, on: bool) -> io::Result<()> {
    if on { Err(io::Error::new(io::ErrorKind::Unsupported, "it exists on Linux only")) } else { Ok(()) }
}
