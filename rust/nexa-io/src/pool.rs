//! Reuse of aligned buffers: the first touch of fresh memory costs more than most copies into it.
//!
//! ```text
//! take(len):  class = len rounded up to one of four sizes per doubling
//!             an idle buffer of that class, the last one returned first; else a fresh one
//! drop:       idle again under its class; then, while idle bytes exceed the bound,
//!             free the buffer that has been idle longest
//! ```
//!
//! 1. Classes are exact matches, so a small request never pins a large buffer; four sizes per doubling waste at most a
//!    fifth of a buffer.
//! 2. Last in, first out within a class: that buffer is likeliest still in the cache.
//! 3. The longest idle goes first, so that after a change of batch size the old sizes drain by themselves.
//! 4. Memory is allocated and freed outside the lock; the lock covers a few pointer moves.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
#[cfg(not(all(loom, test)))]
use std::sync::{Arc, Mutex, MutexGuard};

// The same under a scheduler that tries every order of the threads' steps.
#[cfg(all(loom, test))]
use loom::sync::{Arc, Mutex, MutexGuard};

use crate::align::Alignment;
use crate::buffer::AlignedBuf;
use crate::error::IoError;

/// Hands out aligned buffers that come back when they are dropped; clones are the same pool.
///
/// Never waits: when all buffers are out, it allocates.
///
/// ```
/// use nexa_io::{Alignment, BufferPool};
///
/// let pool = BufferPool::new(Alignment::CACHE_LINE, 1 << 20);
/// drop(pool.take(1000)?);
/// let again = pool.take(1000)?;
/// assert_eq!((again.len(), pool.stats().allocations), (1000, 1));
/// # Ok::<(), nexa_io::IoError>(())
/// ```
#[derive(Clone)]
pub struct BufferPool {
    shared: Arc<Shared>,
}

/// How a pool stands at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PoolStats {
    /// Buffers that wait for a taker.
    pub idle_buffers: usize,
    /// Capacity of those, in bytes.
    pub idle_bytes: usize,
    /// Buffers that are out.
    pub live_buffers: usize,
    /// Capacity of those, in bytes.
    pub live_bytes: usize,
    /// Buffers allocated since the pool was made: what reuse saved is takes minus this.
    pub allocations: u64,
}

struct Shared {
    alignment: Alignment,
    max_idle_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By capacity; within a class the longest idle in front. The number is the return's sequence number.
    idle: BTreeMap<usize, VecDeque<(u64, AlignedBuf)>>,
    returns: u64,
    stats: PoolStats,
}

impl BufferPool {
    /// Make an empty pool.
    ///
    /// `alignment` holds for every buffer. `max_idle_bytes` bounds what waits for reuse, not what is out; 0 turns
    /// reuse off.
    #[must_use]
    pub fn new(alignment: Alignment, max_idle_bytes: usize) -> Self {
        Self { shared: Arc::new(Shared { alignment, max_idle_bytes, state: Mutex::default() }) }
    }

    /// Take a buffer of `len` bytes: an idle one where one fits, else a fresh one.
    ///
    /// Its content is whatever its last user left (zeros when fresh): overwrite all of it before showing it to anyone.
    ///
    /// # Errors
    /// [`IoError::OutOfMemory`] where a fresh one is needed and cannot be had.
    pub fn take(&self, len: usize) -> Result<PooledBuf, IoError> {
        let alignment = self.shared.alignment;
        let class = size_class(len, alignment)
            .ok_or(IoError::OutOfMemory { bytes: len, alignment: alignment.bytes() })?;
        let reused = self.shared.lock().take_idle(class);
        let mut buffer = match reused {
            Some(buffer) => buffer,
            None => {
                let fresh = AlignedBuf::zeroed(class, alignment)?;
                self.shared.lock().count_fresh(class);
                fresh
            }
        };
        // Always fits: the class is not below the length.
        buffer.set_len(len);
        Ok(PooledBuf { buffer: Some(buffer), home: Arc::clone(&self.shared) })
    }

    /// Return the alignment of every buffer.
    #[must_use]
    pub fn alignment(&self) -> Alignment {
        self.shared.alignment
    }

    /// Return how the pool stands.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.shared.lock().stats
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("alignment", &self.shared.alignment)
            .field("max_idle_bytes", &self.shared.max_idle_bytes)
            .field("stats", &self.stats())
            .finish()
    }
}

impl Shared {
    /// No code under the lock can leave the state half changed, so a panicked holder is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_idle(&mut self, class: usize) -> Option<AlignedBuf> {
        let waiting = self.idle.get_mut(&class)?;
        let (_, buffer) = waiting.pop_back()?;
        if waiting.is_empty() {
            self.idle.remove(&class);
        }
        self.stats.idle_buffers -= 1;
        self.stats.idle_bytes -= class;
        self.stats.live_buffers += 1;
        self.stats.live_bytes += class;
        Some(buffer)
    }

    fn count_fresh(&mut self, class: usize) {
        self.stats.allocations += 1;
        self.stats.live_buffers += 1;
        self.stats.live_bytes += class;
    }

    /// Put a buffer back and return those that no longer fit, for the caller to free outside the lock.
    fn put_back(&mut self, buffer: AlignedBuf, max_idle_bytes: usize) -> Vec<AlignedBuf> {
        let class = buffer.capacity();
        self.stats.live_buffers -= 1;
        self.stats.live_bytes -= class;
        if class == 0 || class > max_idle_bytes {
            return vec![buffer];
        }
        self.returns += 1;
        self.idle.entry(class).or_default().push_back((self.returns, buffer));
        self.stats.idle_buffers += 1;
        self.stats.idle_bytes += class;
        let mut evicted = Vec::new();
        while self.stats.idle_bytes > max_idle_bytes {
            match self.evict_longest_idle() {
                Some(buffer) => evicted.push(buffer),
                None => break,
            }
        }
        evicted
    }

    fn evict_longest_idle(&mut self) -> Option<AlignedBuf> {
        // Few classes exist at a time (four per doubling), so looking at each front is cheap.
        let oldest =
            |waiting: &VecDeque<(u64, AlignedBuf)>| waiting.front().map_or(u64::MAX, |(turn, _)| *turn);
        let class = *self.idle.iter().min_by_key(|(_, waiting)| oldest(waiting))?.0;
        let waiting = self.idle.get_mut(&class)?;
        let (_, buffer) = waiting.pop_front()?;
        if waiting.is_empty() {
            self.idle.remove(&class);
        }
        self.stats.idle_buffers -= 1;
        self.stats.idle_bytes -= class;
        Some(buffer)
    }
}

/// Round up to a multiple of a quarter of the power of two below, and to the alignment.
fn size_class(len: usize, alignment: Alignment) -> Option<usize> {
    let quarter = len.checked_ilog2().map_or(1, |log| 1usize << log.saturating_sub(2));
    alignment.round_up_len(len.checked_next_multiple_of(quarter)?)
}

/// A buffer on loan from a [`BufferPool`], back in it when dropped; it may outlive every handle of the pool.
///
/// Content is stale until overwritten, see [`BufferPool::take`].
pub struct PooledBuf {
    /// Always there until `drop` takes it.
    buffer: Option<AlignedBuf>,
    home: Arc<Shared>,
}

impl PooledBuf {
    /// Return the number of bytes that were asked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.deref().len()
    }

    /// Say whether no bytes were asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deref().is_empty()
    }

    /// Give up all but the first `len` bytes; more than there are changes nothing.
    pub fn truncate(&mut self, len: usize) {
        if let Some(buffer) = &mut self.buffer {
            buffer.set_len(len.min(buffer.len()));
        }
    }

    /// Return the number of bytes allocated, not below the length: the size class.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.as_ref().map_or(0, AlignedBuf::capacity)
    }

    /// Return the alignment of the first byte.
    #[must_use]
    pub fn alignment(&self) -> Alignment {
        self.home.alignment
    }
}

impl Deref for PooledBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.as_deref().unwrap_or_default()
    }
}

impl DerefMut for PooledBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.buffer.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for PooledBuf {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            let evicted = self.home.lock().put_back(buffer, self.home.max_idle_bytes);
            drop(evicted);
        }
    }
}

impl fmt::Debug for PooledBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledBuf").field("len", &self.len()).field("capacity", &self.capacity()).finish()
    }
}

#[cfg(all(test, not(loom)))]
#[path = "pool_tests.rs"]
mod tests;

#[cfg(all(test, loom))]
#[path = "pool_models.rs"]
mod models;
