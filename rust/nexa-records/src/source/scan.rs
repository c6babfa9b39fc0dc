//! Cuts, decodes and delivers in order, on several threads, a bounded number of batches ahead.
//!
//! ```text
//! slots, in the file's order:   [unit 7: 2 ready, cursor]  [unit 8: 1 ready, being decoded]  [unit 9: cut, …]
//! job:      the first slot that may decode another piece; else the cutter, if another slot may be opened
//! run job:  take its cursor (or the cutter) out, decode one piece without the lock, put both back, start further jobs
//! next():   the first slot's first piece; a slot that is done and empty goes
//! ```
//!
//! 1. A job decodes one piece and ends, and what it would go on with lies in the slot: no thread of the process's pool
//!    ever waits for a consumer, so that an abandoned scan can't stop a loader.
//! 2. With one thread the consumer runs the jobs itself.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nexa_io::{IoError, threads};

use super::unit::{Cut, Decode, Decoded, Pieces, Unit, Work};
use crate::guard::panic_text;
use crate::{Opened, RecordError};

/// Pieces of a unit that may wait for the consumer.
const READY_PIECES: usize = 2;

/// How often a consumer that waits looks up.
const POLL: Duration = Duration::from_millis(50);

/// The batches of a file, in order; see [`Opened::scan`].
#[derive(Debug)]
pub struct Scan {
    shared: Arc<Shared>,
    /// Records before the next piece, bad ones counted.
    records: u64,
    process: u32,
}

struct Shared {
    path: PathBuf,
    decoder: Arc<dyn Decode>,
    schema: arrow_schema::SchemaRef,
    /// Threads that decode at once; 1 means the consumer's own.
    threads: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Out while a job cuts; gone at the end of the file.
    cutter: Option<Box<dyn Cut>>,
    cutting: bool,
    /// Number of the first slot's unit.
    first: u64,
    slots: VecDeque<Slot>,
    running: usize,
    failed: Option<RecordError>,
    stopped: bool,
}

/// What is known of one unit.
#[derive(Default)]
struct Slot {
    ready: VecDeque<Decoded>,
    /// What goes on decoding it; out while a job does, gone when it has ended.
    pieces: Option<Pieces>,
    /// Whether a job has its `pieces` out.
    busy: bool,
}

impl Slot {
    fn may_decode(&self) -> bool {
        self.pieces.is_some() && self.ready.len() < READY_PIECES
    }
}

/// What a thread does next.
enum Job {
    /// Cut a unit and decode its first piece.
    Cut(Box<dyn Cut>),
    /// Decode another piece of a unit.
    Decode(u64, Pieces),
}

impl Scan {
    pub(crate) fn new(opened: Opened, threads: usize) -> Self {
        let state = State {
            cutter: Some(opened.cutter),
            cutting: false,
            first: 0,
            slots: VecDeque::new(),
            running: 0,
            failed: None,
            stopped: false,
        };
        let shared = Shared {
            path: opened.path,
            decoder: opened.decoder,
            schema: opened.schema,
            threads: threads.max(1),
            state: Mutex::new(state),
            changed: Condvar::new(),
        };
        Self { shared: Arc::new(shared), records: 0, process: std::process::id() }
    }

    /// Return the path that is read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Return the number of records, good and bad, that came before what [`next`](Iterator::next) will give.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Return the next piece, calling `poll` now and then while it isn't there; an error of `poll` ends the wait.
    ///
    /// # Errors
    /// What `poll` returned; the scan may be gone on with.
    pub fn next_polling<E>(
        &mut self,
        mut poll: impl FnMut() -> Result<(), E>,
    ) -> Result<Option<Result<Decoded, RecordError>>, E> {
        if self.process != std::process::id() {
            // The threads that would answer stayed in the parent.
            let detail = "it was opened before this process was forked".to_owned();
            return Ok(Some(Err(self.io(IoError::Threads { threads: self.shared.threads, detail }))));
        }
        let mut state = self.shared.lock();
        let mut delivered = loop {
            if let Some(outcome) = self.shared.outcome(&mut state) {
                break outcome;
            }
            if self.shared.threads > 1 {
                if let Err(error) = self.shared.start(&mut state) {
                    state.stopped = true;
                    break Some(Err(self.io(error)));
                }
                state = self.shared.wait(state);
            } else if let Some(job) = state.job(self.shared.max_slots()) {
                state.running += 1;
                drop(state);
                self.shared.run(job);
                state = self.shared.lock();
            }
            drop(state);
            poll()?;
            state = self.shared.lock();
        };
        drop(state);
        if let Some(Ok(decoded)) = &mut delivered {
            for bad in &mut decoded.bad {
                bad.record += self.records;
            }
            self.records += decoded.records();
        }
        Ok(delivered)
    }

    fn io(&self, source: IoError) -> RecordError {
        RecordError::Io { path: self.shared.path.clone(), source }
    }
}

impl Iterator for Scan {
    type Item = Result<Decoded, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_polling(|| Ok::<_, Infallible>(())).unwrap_or_else(|never| match never {})
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        let mut state = self.shared.lock();
        state.stopped = true;
        state.cutter = None;
        let slots = std::mem::take(&mut state.slots);
        drop(state);
        drop(slots);
    }
}

impl State {
    /// Take the next piece in order, passing over units that are through.
    fn deliver(&mut self) -> Option<Decoded> {
        loop {
            let slot = self.slots.front_mut()?;
            if let Some(decoded) = slot.ready.pop_front() {
                return Some(decoded);
            }
            if slot.busy || slot.pieces.is_some() {
                return None;
            }
            self.slots.pop_front();
            self.first += 1;
        }
    }

    /// Return what a free thread should do: the earliest unit first, for it is waited for first.
    fn job(&mut self, max_slots: usize) -> Option<Job> {
        if self.stopped {
            return None;
        }
        if let Some(at) = self.slots.iter().position(Slot::may_decode) {
            let slot = &mut self.slots[at];
            slot.busy = true;
            return slot.pieces.take().map(|pieces| Job::Decode(self.first + at as u64, pieces));
        }
        if self.cutting || self.failed.is_some() || self.slots.len() >= max_slots {
            return None;
        }
        let cutter = self.cutter.take()?;
        self.cutting = true;
        Some(Job::Cut(cutter))
    }

    fn slot(&mut self, unit: u64) -> Option<&mut Slot> {
        let at = usize::try_from(unit.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(at)
    }
}

impl Shared {
    /// No code under the lock can leave the state half changed, so a panicked holder is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Return the next piece or the end, if either is there; what came before a failure is delivered before it.
    #[expect(clippy::option_option, reason = "not there yet, or there: a piece, or the end")]
    fn outcome(self: &Arc<Self>, state: &mut State) -> Option<Option<Result<Decoded, RecordError>>> {
        if let Some(decoded) = state.deliver() {
            // There is room for another piece now.
            self.feed(state);
            return Some(Some(Ok(decoded)));
        }
        if !state.slots.is_empty() {
            return None;
        }
        if let Some(error) = state.failed.take() {
            state.stopped = true;
            return Some(Some(Err(error)));
        }
        (state.stopped || (state.cutter.is_none() && !state.cutting)).then_some(None)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, POLL).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Units that may be open: one for each thread, and as many waiting.
    const fn max_slots(&self) -> usize {
        2 * self.threads
    }

    /// Start jobs on the pool for every thread that is free.
    fn start(self: &Arc<Self>, state: &mut State) -> Result<(), IoError> {
        if self.threads == 1 {
            return Ok(());
        }
        while state.running < self.threads {
            let pool = threads::pool()?;
            let Some(job) = state.job(self.max_slots()) else { break };
            state.running += 1;
            let shared = Arc::clone(self);
            pool.spawn(move || {
                let _inside = nexa_io::forks::enter();
                shared.run(job);
            });
        }
        Ok(())
    }

    /// As [`start`](Self::start), where a failure shows soon enough: at the next piece that is waited for.
    fn feed(self: &Arc<Self>, state: &mut State) {
        let _ = self.start(state);
    }

    fn run(self: &Arc<Self>, job: Job) {
        match job {
            Job::Cut(cutter) => self.cut(cutter),
            Job::Decode(unit, pieces) => self.decode(unit, pieces),
        }
        let mut state = self.lock();
        state.running -= 1;
        self.feed(&mut state);
        drop(state);
        self.changed.notify_all();
    }

    fn cut(self: &Arc<Self>, mut cutter: Box<dyn Cut>) {
        let cut = self.caught(|| cutter.next());
        let mut state = self.lock();
        state.cutting = false;
        let unit = match cut {
            Ok(Some(unit)) => unit,
            Ok(None) => return,
            Err(error) => {
                state.failed.get_or_insert(error);
                return;
            }
        };
        if state.stopped || state.failed.is_some() {
            return;
        }
        state.cutter = Some(cutter);
        let number = state.first + state.slots.len() as u64;
        state.slots.push_back(Slot { busy: true, ..Slot::default() });
        // While this thread decodes, another one may cut.
        self.feed(&mut state);
        drop(state);
        let Unit { offset, work } = unit;
        match work {
            Work::Lost(bad) => self.put(number, Some(Decoded::lost(Arc::clone(&self.schema), bad)), None),
            work => match self.caught(|| self.decoder.decode(Unit { offset, work })) {
                Ok(pieces) => self.decode(number, pieces),
                Err(error) => self.fail(number, error),
            },
        }
    }

    fn decode(&self, unit: u64, mut pieces: Pieces) {
        match self.caught(|| pieces.next().transpose()) {
            Ok(Some(decoded)) => self.put(unit, Some(decoded), Some(pieces)),
            Ok(None) => self.put(unit, None, None),
            Err(error) => self.fail(unit, error),
        }
    }

    fn put(&self, unit: u64, decoded: Option<Decoded>, pieces: Option<Pieces>) {
        let mut state = self.lock();
        if let Some(slot) = state.slot(unit) {
            slot.busy = false;
            slot.ready.extend(decoded);
            slot.pieces = pieces;
        }
    }

    /// End the scan behind what comes before `unit`'s next piece.
    fn fail(&self, unit: u64, error: RecordError) {
        let mut state = self.lock();
        if let Some(slot) = state.slot(unit) {
            slot.busy = false;
        }
        let Some(at) = unit.checked_sub(state.first).and_then(|at| usize::try_from(at).ok()) else { return };
        // An earlier unit's failure, should there be one, is reported first: it cuts this one off.
        state.slots.truncate(at + 1);
        state.failed = Some(error);
        state.cutter = None;
    }

    fn caught<T>(&self, step: impl FnOnce() -> Result<T, RecordError>) -> Result<T, RecordError> {
        catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| {
            let detail = format!("the decoder gave up: {}", panic_text(panic.as_ref()));
            Err(RecordError::Corrupt { path: self.path.clone(), batch: None, detail })
        })
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("path", &self.path)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
