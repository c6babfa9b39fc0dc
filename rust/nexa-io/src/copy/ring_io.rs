//! Reads and writes through `io_uring` behind a safe face: the memory that the kernel works on is in nobody's hands.
//!
//! 1. An operation takes its span by value and keeps it until its completion is seen, so nobody can read, write or lend
//!    again what the kernel is filling.
//! 2. The ring, the arena and the spans in flight live and die together: dropping waits for the kernel, and where even
//!    waiting fails the memory is leaked rather than freed under its hands.
//! 3. The arena is registered as one buffer, which saves the kernel pinning pages at every call. Small limits on locked
//!    memory forbid that (`RLIMIT_MEMLOCK`); then the same operations run unregistered.
//! 4. Files are not registered: at some hundred calls a second the saved reference count cannot be measured.
#![expect(unsafe_code, reason = "the kernel is given addresses; see the numbered reasons")]

use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::{IoUring, opcode, squeue, types};
use rustix::io::Errno;

use super::arena::{Arena, Span};
use super::transfer::Way;
use crate::align::Alignment;
use crate::error::IoError;

/// An operation that is done: its number, its span, and what came of it.
pub(crate) type Done = (usize, Span, io::Result<usize>);

/// A ring, its memory, and the operations in flight.
pub(crate) struct RingIo {
    ring: ManuallyDrop<IoUring>,
    arena: ManuallyDrop<Arena>,
    registered: bool,
    /// By an operation's number: the span that it works on.
    in_flight: Vec<Option<Span>>,
    flying: usize,
}

impl RingIo {
    /// Make a ring for `operations` in flight over `bytes` of memory.
    ///
    /// # Errors
    /// [`IoError::Ring`] where the kernel refuses, [`IoError::OutOfMemory`].
    pub(crate) fn new(operations: usize, bytes: usize, alignment: Alignment) -> Result<Self, IoError> {
        let mut arena = Arena::new(bytes, alignment)?;
        let entries = u32::try_from(operations.next_power_of_two()).unwrap_or(u32::MAX);
        let ring = build(entries).map_err(|source| IoError::Ring { source })?;
        let whole = libc::iovec { iov_base: arena.address().cast(), iov_len: arena.len() };
        // SAFETY: the range is the arena's own memory, which lives until the ring is gone, see `drop`.
        let registered = unsafe { ring.submitter().register_buffers(&[whole]) }.is_ok();
        Ok(Self {
            ring: ManuallyDrop::new(ring),
            arena: ManuallyDrop::new(arena),
            registered,
            in_flight: (0..operations).map(|_| None).collect(),
            flying: 0,
        })
    }

    pub(crate) fn arena(&mut self) -> &mut Arena {
        &mut self.arena
    }

    /// Return how many operations are in flight.
    pub(crate) const fn flying(&self) -> usize {
        self.flying
    }

    /// Begin to move `range` of a span from or to a file; the span comes back from [`wait`](Self::wait).
    ///
    /// `number` is below the number of operations and not in flight.
    pub(crate) fn begin(
        &mut self,
        number: usize,
        way: Way,
        fd: BorrowedFd<'_>,
        span: Span,
        range: Range<usize>,
        offset: u64,
    ) {
        assert!(range.start <= range.end && range.end <= span.len(), "the range lies within its span");
        assert!(self.in_flight[number].is_none(), "the operation's number is free");
        let len = u32::try_from(range.len()).unwrap_or(u32::MAX);
        // SAFETY: start and range were checked to lie within the arena, so the address stays within its allocation.
        let address = unsafe { self.arena.address().add(span.start() + range.start) };
        let fd = types::Fd(fd.as_raw_fd());
        let entry = match (way, self.registered) {
            (Way::Read, true) => opcode::ReadFixed::new(fd, address, len, 0).offset(offset).build(),
            (Way::Write, true) => opcode::WriteFixed::new(fd, address, len, 0).offset(offset).build(),
            (Way::Read, false) => opcode::Read::new(fd, address, len).offset(offset).build(),
            (Way::Write, false) => opcode::Write::new(fd, address, len).offset(offset).build(),
        };
        self.in_flight[number] = Some(span);
        self.flying += 1;
        self.push(&entry.user_data(number as u64));
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the memory that the entry names is a span in `in_flight`, which only its completion takes out, and the
        // arena outlives the ring's operations, see `drop`.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            // There is an entry for each number, so the queue has room once what is in it has been handed over.
            let _ = self.ring.submit();
        }
    }

    /// Hand over what was begun, wait until something is done, and return what is: number, span and result.
    ///
    /// # Errors
    /// The ring's own, after which it must not be used again.
    pub(crate) fn wait(&mut self) -> io::Result<Vec<Done>> {
        loop {
            match self.ring.submit_and_wait(1) {
                Ok(_) => break,
                Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                    Some(Errno::INTR) => {}
                    // The completion queue is full, or memory is short for a moment: take what is there first.
                    Some(Errno::BUSY | Errno::AGAIN) if !self.ring.completion().is_empty() => break,
                    Some(Errno::BUSY | Errno::AGAIN) => std::thread::yield_now(),
                    _ => return Err(error),
                },
            }
        }
        let mut done = Vec::new();
        for entry in self.ring.completion() {
            let Ok(number) = usize::try_from(entry.user_data()) else { continue };
            let Some(span) = self.in_flight.get_mut(number).and_then(Option::take) else { continue };
            let result = usize::try_from(entry.result())
                .map_err(|_| io::Error::from_raw_os_error(entry.result().saturating_neg()));
            self.flying -= 1;
            done.push((number, span, result));
        }
        Ok(done)
    }
}

impl Drop for RingIo {
    fn drop(&mut self) {
        while self.flying > 0 {
            if self.wait().is_err() {
                return; // Ring and memory are leaked: the kernel may still write to it.
            }
        }
        // SAFETY: each is dropped once, here, and not used again; the ring first, since the arena is registered with it.
        unsafe {
            ManuallyDrop::drop(&mut self.ring);
            ManuallyDrop::drop(&mut self.arena);
        }
    }
}

/// Make a ring that only this thread uses, as cheap as the kernel can.
fn build(entries: u32) -> io::Result<IoUring> {
    // Both hints are for Linux 6.1; older ones answer EINVAL.
    let modern = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(entries);
    modern.or_else(|_| IoUring::builder().build(entries))
}
