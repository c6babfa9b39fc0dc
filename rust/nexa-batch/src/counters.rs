//! Where a loader's time goes: what its threads and its consumer did, counted as it happens.
//!
//! Sums in atomics, a handful of additions a batch and no lock. A moment's reading of several of them need not be of one
//! and the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How an assembler stands: sums since it was made, except for `ahead`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches handed to the consumer.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Batches assembled, also those that nobody took in the end.
    pub assembled: u64,
    /// Time that threads spent assembling, summed over the threads.
    pub assembling: Duration,
    /// Time that the consumer waited for batches; one that it let be assembled at once counts whole.
    pub waited: Duration,
    /// Time from a batch's submission to its beginning: what the threads were behind.
    pub queued: Duration,
    /// Time that finished batches lay ready before they were taken: what the threads were ahead.
    pub ready: Duration,
    /// Time from when the first batch was asked for to when the last one was handed over.
    pub span: Duration,
    /// Batches submitted and neither taken nor given up, now.
    pub ahead: u64,
}

/// The sums behind [`Stats`].
#[derive(Debug)]
pub struct Counters {
    since: Instant,
    /// Nanoseconds after `since` at which the first batch was asked for; the largest number until then.
    first_ns: AtomicU64,
    /// The same for the last batch that was handed over.
    last_ns: AtomicU64,
    batches: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    assembled: AtomicU64,
    assembling_ns: AtomicU64,
    waited_ns: AtomicU64,
    queued_ns: AtomicU64,
    ready_ns: AtomicU64,
    ahead: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        let [
            batches,
            records,
            bytes,
            assembled,
            assembling_ns,
            waited_ns,
            queued_ns,
            ready_ns,
            ahead,
            last_ns,
        ] = [const { AtomicU64::new(0) }; 10];
        Self {
            since: Instant::now(),
            first_ns: AtomicU64::new(u64::MAX),
            last_ns,
            batches,
            records,
            bytes,
            assembled,
            assembling_ns,
            waited_ns,
            queued_ns,
            ready_ns,
            ahead,
        }
    }
}

impl Counters {
    /// A batch goes to the consumer, who `asked` for it then.
    pub fn took(&self, records: usize, bytes: usize, asked: Instant) {
        let (from, now) = (asked.saturating_duration_since(self.since), self.since.elapsed());
        self.first_ns.fetch_min(nanoseconds(from), Relaxed);
        self.last_ns.fetch_max(nanoseconds(now), Relaxed);
        self.batches.fetch_add(1, Relaxed);
        self.records.fetch_add(records as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.waited_ns.fetch_add(nanoseconds(now.saturating_sub(from)), Relaxed);
    }

    /// A thread has assembled a batch in so long.
    pub(crate) fn assembled(&self, during: Duration) {
        self.assembled.fetch_add(1, Relaxed);
        self.assembling_ns.fetch_add(nanoseconds(during), Relaxed);
    }

    /// A thread begins a batch that was submitted so long ago.
    pub(crate) fn begun(&self, after: Duration) {
        self.queued_ns.fetch_add(nanoseconds(after), Relaxed);
    }

    /// Batches submitted and neither taken nor given up.
    pub fn ahead(&self) -> u64 {
        self.ahead.load(Relaxed)
    }

    /// Read all.
    pub fn stats(&self) -> Stats {
        let duration = |sum: &AtomicU64| Duration::from_nanos(sum.load(Relaxed));
        Stats {
            batches: self.batches.load(Relaxed),
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            assembled: self.assembled.load(Relaxed),
            assembling: duration(&self.assembling_ns),
            waited: duration(&self.waited_ns),
            queued: duration(&self.queued_ns),
            ready: duration(&self.ready_ns),
            span: duration(&self.last_ns).saturating_sub(duration(&self.first_ns)),
            ahead: self.ahead(),
        }
    }
}

/// Counts a batch as ahead, from its submission until it is taken or given up.
#[derive(Debug)]
pub(crate) struct Claim {
    counters: Arc<Counters>,
    since: Instant,
    /// Nanoseconds after `since` at which it was ready; 0 until then.
    ready_ns: AtomicU64,
    over: AtomicBool,
}

impl Claim {
    pub(crate) fn new(counters: &Arc<Counters>) -> Self {
        counters.ahead.fetch_add(1, Relaxed);
        Self {
            counters: Arc::clone(counters),
            since: Instant::now(),
            ready_ns: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    pub(crate) fn ready(&self) {
        self.ready_ns.store(nanoseconds(self.since.elapsed()), Relaxed);
    }

    pub(crate) fn taken(&self) {
        let lay = nanoseconds(self.since.elapsed()).saturating_sub(self.ready_ns.load(Relaxed));
        self.counters.ready_ns.fetch_add(lay, Relaxed);
        self.end();
    }

    fn end(&self) {
        if !self.over.swap(true, Relaxed) {
            self.counters.ahead.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.end();
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
