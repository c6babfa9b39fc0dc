//! Memory that grows where it lies: its addresses are taken at once, its pages come as they are first written.
//!
//! ```text
//! append(n):  within what is taken: the next n bytes
//!             beyond the first megabyte: move to a whole reserve, an idle one where there is one
//!             beyond a reserve: double
//! drop:       a whole reserve is idle again, with its pages
//! ```
//!
//! 1. How long a column will be is known when its last row came: doubling would copy all of it, over and over, and hold
//!    twice what it needs meanwhile.
//! 2. Small contents never see a large page: one would cost its whole size to clear.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::MmapMut;

use crate::align::Alignment;
use crate::error::IoError;

/// What is taken at first.
const FIRST_BYTES: usize = 1 << 20;

/// Hands out buffers that grow, all of one kind of content; clones are the same reserve.
///
/// ```
/// use nexa_io::Reserve;
///
/// let mut buffer = Reserve::new(64 << 20).buffer();
/// buffer.append(3)?.copy_from_slice(&[1, 2, 3]);
/// assert_eq!(buffer.as_ref(), &[1, 2, 3]);
/// # Ok::<(), nexa_io::IoError>(())
/// ```
#[derive(Clone)]
pub struct Reserve {
    shared: Arc<Shared>,
}

struct Shared {
    bytes: usize,
    idle: Mutex<Vec<MmapMut>>,
}

impl Reserve {
    /// Make one whose buffers hold about `bytes`; they may hold more, for a copy.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { shared: Arc::new(Shared { bytes: bytes.max(FIRST_BYTES), idle: Mutex::default() }) }
    }

    /// Return an empty buffer.
    #[must_use]
    pub fn buffer(&self) -> ReservedBuf {
        ReservedBuf { memory: None, len: 0, home: self.clone() }
    }

    fn take(&self, bytes: usize) -> Result<MmapMut, IoError> {
        if bytes == self.shared.bytes
            && let Some(idle) = self.idle().pop()
        {
            return Ok(idle);
        }
        let refused = |_: io::Error| IoError::OutOfMemory { bytes, alignment: Alignment::PAGE.bytes() };
        let memory = MmapMut::map_anon(bytes).map_err(refused)?;
        if bytes > FIRST_BYTES {
            advise_huge_pages(&memory);
        }
        Ok(memory)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<MmapMut>> {
        // Nothing under the lock can leave the list half changed.
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").field("bytes", &self.shared.bytes).finish_non_exhaustive()
    }
}

/// A buffer of a [`Reserve`]; empty at first.
#[derive(Debug)]
pub struct ReservedBuf {
    memory: Option<MmapMut>,
    len: usize,
    home: Reserve,
}

impl ReservedBuf {
    /// Return `bytes` more bytes at the end, of any content, to be written.
    ///
    /// # Errors
    /// [`IoError::OutOfMemory`] where the system refuses.
    pub fn append(&mut self, bytes: usize) -> Result<&mut [u8], IoError> {
        let start = self.len;
        let end = start
            .checked_add(bytes)
            .ok_or(IoError::OutOfMemory { bytes, alignment: Alignment::PAGE.bytes() })?;
        if end > self.memory.as_ref().map_or(0, |memory| memory.len()) {
            self.grow(end)?;
        }
        self.len = end;
        Ok(self.memory.as_mut().map_or(&mut [], |memory| &mut memory[start..end]))
    }

    fn grow(&mut self, bytes: usize) -> Result<(), IoError> {
        let whole = self.home.shared.bytes;
        let wanted = [FIRST_BYTES, whole].into_iter().find(|size| bytes <= *size);
        let mut memory = self.home.take(wanted.unwrap_or_else(|| bytes.saturating_mul(2)))?;
        memory[..self.len].copy_from_slice(self.as_ref());
        self.give_back();
        self.memory = Some(memory);
        Ok(())
    }

    fn give_back(&mut self) {
        let whole = self.home.shared.bytes;
        if let Some(memory) = self.memory.take_if(|memory| memory.len() == whole) {
            self.home.idle().push(memory);
        }
    }
}

impl AsRef<[u8]> for ReservedBuf {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], |memory| &memory[..self.len])
    }
}

impl Drop for ReservedBuf {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(target_os = "linux")]
fn advise_huge_pages(memory: &MmapMut) {
    // A refusal (a kernel without transparent huge pages) changes speed only.
    let _ = memory.advise(memmap2::Advice::HugePage);
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_: &MmapMut) {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_whole_reserve_is_used_again_with_what_was_touched() {
        let reserve = Reserve::new(4 << 20);
        let mut buffer = reserve.buffer();
        buffer.append(2 << 20).unwrap().fill(7);
        let address = buffer.as_ref().as_ptr();
        drop(buffer);
        let mut again = reserve.buffer();
        again.append(1 << 19).unwrap();
        assert_eq!(reserve.idle().len(), 1, "a little content needs none");
        again.append(1 << 20).unwrap();
        assert_eq!((again.as_ref().as_ptr(), again.as_ref().len()), (address, 3 << 19));
    }

    #[test]
    fn an_empty_buffer_takes_nothing() {
        let mut buffer = Reserve::new(0).buffer();
        assert!(buffer.append(0).unwrap().is_empty());
        assert!(buffer.as_ref().is_empty() && buffer.memory.is_none());
    }

    #[test]
    fn sizes_beyond_the_address_space_are_errors() {
        let mut buffer = Reserve::new(1).buffer();
        assert!(matches!(buffer.append(usize::MAX), Err(IoError::OutOfMemory { .. })));
        buffer.append(1).unwrap();
        assert!(matches!(buffer.append(usize::MAX), Err(IoError::OutOfMemory { .. })));
        assert_eq!(buffer.as_ref().len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_was_appended_stays_however_it_grew(pieces in prop::collection::vec(0_usize..1 << 19, 0..12)) {
            let mut buffer = Reserve::new(2 << 20).buffer();
            let mut naive = Vec::new();
            for (at, piece) in (1..).zip(pieces) {
                buffer.append(piece).unwrap().fill(at);
                naive.resize(naive.len() + piece, at);
            }
            prop_assert!(buffer.as_ref() == naive);
        }
    }
}
