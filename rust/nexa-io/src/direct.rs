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
//! 3. Giving up is one-way and said in the report.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::io::Errno;

use crate::align::Alignment;
use crate::control::Control;
use crate::error::IoError;

/// An open file, how it is accessed now, and why not directly.
#[derive(Debug)]
pub(crate) struct Side<'a> {
    pub file: File,
    pub path: &'a Path,
    direct: bool,
    reason: Option<String>,
}

impl<'a> Side<'a> {
    /// Take a file, direct where that is wanted and the kernel accepts it.
    pub(crate) fn new(file: File, path: &'a Path, want_direct: bool) -> Self {
        let mut side = Self { file, path, direct: false, reason: None };
        if !want_direct {
            side.reason = Some("direct I/O was not asked for".to_owned());
        } else if let Err(refusal) = set_direct(&side.file, true) {
            side.reason = Some(format!("O_DIRECT is refused: {refusal}"));
        } else {
            side.direct = true;
        }
        side
    }

    pub(crate) const fn is_direct(&self) -> bool {
        self.direct
    }

    /// Return why the access is not direct; `None` while it is.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Go on through the page cache, for good.
    pub(crate) fn leave_direct(&mut self, offset: u64, why: &str) -> Result<(), IoError> {
        set_direct(&self.file, false)
            .map_err(|source| IoError::Inspect { path: self.path.to_owned(), source })?;
        self.direct = false;
        self.reason = Some(format!("direct I/O gave up at byte {offset}: {why}"));
        Ok(())
    }

    /// Fill `block` from `offset` until `wanted` bytes are there; returns how many came, more than wanted if the file
    /// has grown, fewer if it ended early.
    ///
    /// `block` and `offset` are aligned to a page, `block` is at least as long as `wanted`.
    pub(crate) fn fill(
        &mut self,
        block: &mut [u8],
        wanted: usize,
        offset: u64,
        control: &Control,
    ) -> Result<usize, IoError> {
        let mut filled = 0;
        while filled < wanted {
            let at = offset + filled as u64;
            if self.direct && !Alignment::PAGE.divides(at) {
                // Direct reads end off a page only at the end of the file; the cache settles whether this is it.
                self.leave_direct(at, "a read ended off a page")?;
            }
            match self.file.read_at(&mut block[filled..], at) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) => self.recover(error, at, control, |path, offset, source| IoError::Read {
                    path,
                    offset,
                    source,
                })?,
            }
        }
        Ok(filled)
    }

    /// Write the first `len` bytes of `block` at `offset`; a direct write pads them to a page, for the caller to cut off.
    ///
    /// `block` and `offset` are aligned to a page; `block` has room for `len` rounded up to a page, and its bytes from
    /// `len` on are zeroed before they are written.
    pub(crate) fn write(
        &mut self,
        block: &mut [u8],
        len: usize,
        offset: u64,
        control: &Control,
    ) -> Result<(), IoError> {
        let padded = Alignment::PAGE.round_up_len(len).map_or(len, |up| up.min(block.len()));
        block[len..padded].fill(0);
        let mut written = 0;
        loop {
            let end = if self.direct { padded } else { len };
            if written >= end {
                return Ok(());
            }
            let at = offset + written as u64;
            if self.direct && !Alignment::PAGE.divides(at) {
                self.leave_direct(at, "a write ended off a page")?;
                continue;
            }
            match self.file.write_at(&block[written..end], at) {
                Ok(0) => {
                    let source = io::ErrorKind::WriteZero.into();
                    return Err(IoError::Write { path: self.path.to_owned(), offset: at, source });
                }
                Ok(n) => written += n,
                Err(error) => self.recover(error, at, control, |path, offset, source| IoError::Write {
                    path,
                    offset,
                    source,
                })?,
            }
        }
    }

    /// Let the caller repeat a call that was interrupted or that only direct access failed; pass on the rest.
    fn recover(
        &mut self,
        error: io::Error,
        offset: u64,
        control: &Control,
        failed: impl FnOnce(std::path::PathBuf, u64, io::Error) -> IoError,
    ) -> Result<(), IoError> {
        match error.kind() {
            io::ErrorKind::Interrupted => control.check(),
            io::ErrorKind::WouldBlock => {
                std::thread::yield_now();
                control.check()
            }
            _ if self.direct && refuses_direct(&error) => self.leave_direct(offset, &error.to_string()),
            _ => Err(failed(self.path.to_owned(), offset, error)),
        }
    }

    /// Give back the page cache that buffered access has filled; whoever needs the file next is not this process.
    pub(crate) fn drop_pages(&self) {
        #[cfg(target_os = "linux")]
        if !self.direct {
            // Advice: a refusal costs memory for a while, nothing else.
            let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
        }
    }
}

fn refuses_direct(error: &io::Error) -> bool {
    let refusals = [Errno::INVAL, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::NOSYS];
    error.raw_os_error().is_some_and(|code| refusals.iter().any(|errno| errno.raw_os_error() == code))
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

#[cfg(test)]
#[path = "direct_tests.rs"]
mod tests;
