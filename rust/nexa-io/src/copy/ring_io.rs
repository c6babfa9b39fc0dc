//! Reads and writes through `io_uring` behind a safe face: the memory that the kernel works on is in nobody's hands.
//!
//! 1. An operation takes its span by value and keeps it until its completion is seen, so nobody can read, write or lend
//!    again what the kernel is filling.
//! 2. The ring, the arena and the spans in flight live and die together: dropping waits for the kernel, and where even
//!    waiting fails the memory is leaked rather than freed under its hands.
//! 3. The arena is registered as one buffer, which saves the kernel pinning pages at every call. Small limits on locked
//!    memory forbid that (`RLIMIT_MEMLOCK`); then the same operations run unregistered.
//! 4. Files are not registered: that saves a reference count a call, and a copy makes some hundred calls a second.
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
    /// Make a ring for `operations` in flight over `bytes` of memory, registered where the kernel lets it.
    ///
    /// # Errors
    /// [`IoError::Ring`] where the kernel refuses, [`IoError::OutOfMemory`].
    pub(crate) fn new(operations: usize, bytes: usize, alignment: Alignment) -> Result<Self, IoError> {
        let mut io = Self::unregistered(operations, bytes, alignment)?;
        let whole = libc::iovec { iov_base: io.arena.address().cast(), iov_len: io.arena.len() };
        // SAFETY: the range is the arena's own memory, which lives until the ring is gone, see `drop`.
        io.registered = unsafe { io.ring.submitter().register_buffers(&[whole]) }.is_ok();
        Ok(io)
    }

    fn unregistered(operations: usize, bytes: usize, alignment: Alignment) -> Result<Self, IoError> {
        let arena = Arena::new(bytes, alignment)?;
        let entries = u32::try_from(operations.next_power_of_two()).unwrap_or(u32::MAX);
        let ring = build(entries).map_err(|source| IoError::Ring { source })?;
        Ok(Self {
            ring: ManuallyDrop::new(ring),
            arena: ManuallyDrop::new(arena),
            registered: false,
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

    /// Hand over what was begun, without waiting.
    pub(crate) fn hand_over(&mut self) {
        // What is refused now is handed over by the next call, and by `wait`, which reports errors.
        let _ = self.ring.submit();
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    const PAGE: usize = 4096;

    /// Write pages through a ring and read them back in another order.
    fn round_trip(mut io: RingIo) {
        let file = tempfile::tempfile().unwrap();
        for page in 0..4u8 {
            let span = io.arena().take(PAGE).unwrap();
            io.arena().bytes(&span).fill(page + 1);
            let offset = u64::from(page) * PAGE as u64;
            io.begin(usize::from(page), Way::Write, file.as_fd(), span, 0..PAGE, offset);
        }
        while io.flying() > 0 {
            for (_, span, result) in io.wait().unwrap() {
                assert_eq!(result.unwrap(), PAGE);
                io.arena().give_back(span);
            }
        }
        let span = io.arena().take(4 * PAGE).unwrap();
        io.begin(2, Way::Read, file.as_fd(), span, PAGE..3 * PAGE, PAGE as u64);
        let (number, span, result) = io.wait().unwrap().pop().unwrap();
        assert_eq!((number, result.unwrap()), (2, 2 * PAGE));
        let bytes = io.arena().bytes(&span);
        assert!(bytes[PAGE..2 * PAGE].iter().all(|&byte| byte == 2));
        assert!(bytes[2 * PAGE..3 * PAGE].iter().all(|&byte| byte == 3));
    }

    #[test]
    fn bytes_pass_through_registered_memory_and_through_memory_that_may_not_be() {
        let made =
            |make: fn(usize, usize, Alignment) -> Result<RingIo, IoError>| make(8, 4 * PAGE, Alignment::PAGE);
        match crate::probe::try_uring() {
            Ok(()) => {
                round_trip(made(RingIo::new).unwrap());
                round_trip(made(RingIo::unregistered).unwrap());
            }
            Err(reason) => {
                let _ =
                    io::Write::write_fmt(&mut io::stderr(), format_args!("skipped: io_uring: {reason}\n"));
            }
        }
    }

    #[test]
    fn a_ring_that_is_dropped_waits_for_what_is_in_flight() {
        if crate::probe::try_uring().is_err() {
            return; // Said aloud by the test above.
        }
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 << 20).unwrap();
        for _ in 0..20 {
            let mut io = RingIo::new(4, 4 * PAGE, Alignment::PAGE).unwrap();
            for number in 0..4 {
                let span = io.arena().take(PAGE).unwrap();
                io.begin(number, Way::Read, file.as_fd(), span, 0..PAGE, number as u64 * (16 << 20));
            }
            drop(io);
        }
    }

    #[test]
    fn a_bad_descriptor_is_the_operations_error_and_not_the_rings() {
        if crate::probe::try_uring().is_err() {
            return; // Said aloud by the first test.
        }
        let mut io = RingIo::new(4, 4 * PAGE, Alignment::PAGE).unwrap();
        let write_only = std::fs::File::create(tempfile::tempdir().unwrap().path().join("a")).unwrap();
        let span = io.arena().take(PAGE).unwrap();
        io.begin(0, Way::Read, write_only.as_fd(), span, 0..PAGE, 0);
        let (_, span, result) = io.wait().unwrap().pop().unwrap();
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
        io.arena().give_back(span);
    }
}
