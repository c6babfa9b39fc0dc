//! Stop and progress of long work, shared between the one who waits and those who work.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::IoError;

/// A handle to watch and stop long work; clones are the same handle.
///
/// Work checks it once a block, so it stops within one block's time. Counters only grow.
#[derive(Clone, Debug, Default)]
pub struct Control {
    shared: Arc<Shared>,
}

/// A place in a copy at which a test may act, and put another result in place of the system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A read of the file at an offset came back.
    Read(&'a Path, u64),
    /// A write to the file at an offset came back.
    Write(&'a Path, u64),
    /// A block has been copied; so many bytes are done in all.
    Copied(u64),
    /// The file's bytes have been made durable.
    Synced(&'a Path),
}

/// What a test does at an event: it sees the handle, the event and the result, and says what the result shall be.
#[cfg(test)]
type Hook = Box<dyn Fn(&Control, Event<'_>, io::Result<usize>) -> io::Result<usize> + Send + Sync>;

#[derive(Default)]
struct Shared {
    cancelled: AtomicBool,
    bytes: AtomicU64,
    files: AtomicU64,
    #[cfg(test)]
    hook: Option<Hook>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("cancelled", &self.cancelled)
            .field("bytes", &self.bytes)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

// Relaxed everywhere: each value stands alone; nobody reads other memory on the strength of one of them.
impl Control {
    /// Return a fresh handle: not cancelled, nothing done.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ask the work to stop; it cannot be taken back.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }

    /// Say whether a stop was asked for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Relaxed)
    }

    /// Pass unless a stop was asked for.
    ///
    /// # Errors
    /// [`IoError::Cancelled`] after [`cancel`](Self::cancel).
    pub fn check(&self) -> Result<(), IoError> {
        if self.is_cancelled() { Err(IoError::Cancelled) } else { Ok(()) }
    }

    /// Count `n` more bytes as done.
    pub fn add_bytes(&self, n: u64) {
        let before = self.shared.bytes.fetch_add(n, Ordering::Relaxed);
        // Nothing came of a call here, so there is no result that a test could change.
        drop(self.event(Event::Copied(before + n), Ok(0)));
    }

    /// Let a test act at an event; outside of this crate's tests the result passes as it is.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "the hook exists in tests only"))]
    pub(crate) fn event(&self, _event: Event<'_>, result: io::Result<usize>) -> io::Result<usize> {
        #[cfg(test)]
        if let Some(hook) = &self.shared.hook {
            return hook(self, _event, result);
        }
        result
    }

    /// Return how many bytes are done, failed files' bytes included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Count one more file as done.
    pub fn add_file(&self) {
        self.shared.files.fetch_add(1, Ordering::Relaxed);
    }

    /// Return how many files are done; failed ones are not.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.shared.files.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn with_hook(
        hook: impl Fn(&Self, Event<'_>, io::Result<usize>) -> io::Result<usize> + Send + Sync + 'static,
    ) -> Self {
        Self { shared: Arc::new(Shared { hook: Some(Box::new(hook)), ..Shared::default() }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_sees_and_stops_the_same_work() {
        let waiting = Control::new();
        let working = waiting.clone();
        assert!(working.check().is_ok());
        working.add_bytes(5);
        working.add_bytes(7);
        working.add_file();
        assert_eq!((waiting.bytes(), waiting.files()), (12, 1));
        waiting.cancel();
        assert!(matches!(working.check(), Err(IoError::Cancelled)));
    }
}
