//! One block on one side, read or written in as many calls as it takes: what a call's result means.
//!
//! ```text
//! span:  a direct call moves whole units of alignment, a buffered one the bytes themselves
//! took n > 0:       go on behind them; off alignment and not at the end: buffered from here
//! took 0:           a source that ends early has changed; a write of nothing is an error
//! EINTR, EAGAIN:    again
//! refused (EINVAL, EOPNOTSUPP) while direct:  buffered from here, again
//! EIO, ETIMEDOUT:   again after a pause that grows, a few times
//! else:             the error, with file and offset
//! ```
//!
//! 1. Threads and the ring share it, so that they cannot disagree about a short or a failed call.
//! 2. Direct reads end off a page only at the end of the file; the page cache settles whether this is it.
//! 3. A disk's or a cable's error often passes; that of a bad sector doesn't. Three more tries over about a second tell
//!    them apart without hanging on a dead disk.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::blocks::Block;
use crate::align::Alignment;
use crate::control::{Control, Event};
use crate::error::IoError;

/// What stands at one end of a transfer.
pub(crate) trait End {
    /// The name that errors give it.
    fn path(&self) -> &Path;
    /// Whether calls go past the page cache now.
    fn is_direct(&self) -> bool;
    /// Go on through the page cache, for good.
    fn leave_direct(&self, offset: u64, why: &str) -> Result<(), IoError>;
}

/// The direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Read,
    Write,
}

/// Whether a transfer needs another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Again,
    Complete,
}

/// A block on its way.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub way: Way,
    pub block: Block,
    done: usize,
    tries: u32,
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Pauses end early when the work is cancelled; this is how soon that is noticed.
const NAP: Duration = Duration::from_millis(20);

impl Transfer {
    pub(crate) const fn new(way: Way, block: Block) -> Self {
        Self { way, block, done: 0, tries: 0 }
    }

    /// Return how often a failed call was repeated.
    pub(crate) const fn tries(&self) -> u32 {
        self.tries
    }

    /// Return what the next call moves: the bytes within the block, and where they begin in the file.
    pub(crate) const fn next(&self, direct: bool) -> (Range<usize>, u64) {
        let end = if direct { self.block.padded } else { self.block.len };
        (self.done..end, self.block.offset + self.done as u64)
    }

    /// Make calls until the block is moved; `cached`: through the page cache, whatever its end does otherwise.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(crate) fn run(
        &mut self,
        end: &dyn End,
        cached: bool,
        retries: u32,
        control: &Control,
        mut call: impl FnMut(Range<usize>, u64) -> io::Result<usize>,
    ) -> Result<(), IoError> {
        loop {
            let (range, offset) = self.next(!cached && end.is_direct());
            if self.take(call(range, offset), end, retries, control)? == Progress::Complete {
                return Ok(());
            }
        }
    }

    /// Take in what the call that [`next`](Self::next) described came to.
    ///
    /// # Errors
    /// [`IoError::Read`] or [`IoError::Write`], [`IoError::SourceChanged`] at an early end, [`IoError::Cancelled`].
    pub(crate) fn take(
        &mut self,
        result: io::Result<usize>,
        end: &dyn End,
        retries: u32,
        control: &Control,
    ) -> Result<Progress, IoError> {
        let offset = self.block.offset + self.done as u64;
        let event = match self.way {
            Way::Read => Event::Read(end.path(), offset),
            Way::Write => Event::Write(end.path(), offset),
        };
        match control.event(event, result) {
            Ok(0) => Err(self.nothing(end, offset)),
            Ok(n) => {
                self.done += n;
                if self.done >= self.block.len {
                    return Ok(Progress::Complete);
                }
                if end.is_direct() && !Alignment::PAGE.divides(self.done as u64) {
                    end.leave_direct(offset + n as u64, "a call ended off a page")?;
                }
                Ok(Progress::Again)
            }
            Err(error) => self.recover(error, end, offset, retries, control),
        }
    }

    fn recover(
        &mut self,
        error: io::Error,
        end: &dyn End,
        offset: u64,
        retries: u32,
        control: &Control,
    ) -> Result<Progress, IoError> {
        control.check()?;
        let code = error.raw_os_error().map(Errno::from_raw_os_error);
        let refuses_direct = matches!(code, Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS));
        let may_pass = code == Some(Errno::IO) || error.kind() == io::ErrorKind::TimedOut;
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => thread::yield_now(),
            _ if refuses_direct && end.is_direct() => end.leave_direct(offset, &error.to_string())?,
            _ if may_pass && self.tries < retries => {
                pause(FIRST_PAUSE * 4u32.saturating_pow(self.tries), control)?;
                self.tries += 1;
            }
            _ => return Err(self.failed(end, offset, error)),
        }
        Ok(Progress::Again)
    }

    fn nothing(&self, end: &dyn End, offset: u64) -> IoError {
        match self.way {
            Way::Read => IoError::SourceChanged {
                path: end.path().to_owned(),
                detail: format!("it ends at byte {offset} now"),
            },
            Way::Write => self.failed(end, offset, io::ErrorKind::WriteZero.into()),
        }
    }

    fn failed(&self, end: &dyn End, offset: u64, source: io::Error) -> IoError {
        let path = end.path().to_owned();
        match self.way {
            Way::Read => IoError::Read { path, offset, source },
            Way::Write => IoError::Write { path, offset, source },
        }
    }
}

/// Sleep, unless the work is cancelled.
pub(crate) fn pause(mut time: Duration, control: &Control) -> Result<(), IoError> {
    while !time.is_zero() {
        control.check()?;
        let nap = time.min(NAP);
        thread::sleep(nap);
        time -= nap;
    }
    control.check()
}
