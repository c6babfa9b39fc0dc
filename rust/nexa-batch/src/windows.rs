//! The windows of blocks that are in memory: the one that batches are taken from, and the next, which is being read.
//!
//! ```text
//! claim(window):  there? its turn is renewed; else it is begun, in place of the one that was claimed longest ago
//!                 then, once no older window is needed any more, the next one is begun
//! wait:           until the last of its reads is back
//! ```
//!
//! 1. A batch claims its windows when it is asked for, and keeps them until it is assembled: a window that a batch under
//!    way needs is never read twice, whichever thread comes first.
//! 2. Two windows are held beyond claims, so two is the bound while one epoch is gone through. The next one is begun only
//!    when the one before has been let go, in the memory that it leaves.
//! 3. Two epochs that are drawn from by turns have one window each and nothing ahead, rather than take each other's away.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::blocks::BlockOrder;
use crate::crew::{Crew, Turn};
use crate::reading::Reading;
use crate::window::{Cell, Window};
use crate::{BatchError, Store};

const HELD: usize = 2;
/// A window that so many claims have passed by belongs to an epoch that nobody goes through any more.
const FORGOTTEN: u64 = 64;

/// Holds a store's windows, and reads them.
#[derive(Debug)]
pub(crate) struct Windows(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reading: Reading,
    crew: Crew,
    state: Mutex<State>,
    /// Bytes that two windows may take; above, blocks are mapped.
    most_bytes: Option<u64>,
    /// Bytes of a record on the disk, as estimated.
    record_bytes: u64,
    begun: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// The one that was claimed last in front.
    held: Vec<Held>,
    claims: u64,
    /// Threads that read don't cross a fork: a child begins anew.
    process: u32,
}

#[derive(Debug)]
struct Held {
    order: BlockOrder,
    number: u64,
    cell: Arc<Cell>,
    /// Number of the claim that it had last.
    claimed: u64,
}

/// Windows that a batch needs, held until it is assembled.
#[derive(Debug)]
pub(crate) struct Claims {
    windows: Arc<Windows>,
    first: u64,
    cells: Vec<Arc<Cell>>,
}

impl Windows {
    /// Make an empty cache; `most_bytes` bounds what two windows may take, `None` lets them be as large as they are.
    pub(crate) fn new(store: Arc<Store>, most_bytes: Option<u64>) -> Self {
        let record_bytes = store.record_bytes();
        Self(Arc::new(Inner {
            reading: Reading::new(store),
            crew: Crew::default(),
            state: Mutex::default(),
            most_bytes,
            record_bytes,
            begun: AtomicU64::new(0),
        }))
    }

    pub(crate) fn reading(&self) -> &Reading {
        &self.0.reading
    }

    /// Claim the windows that `positions` of an epoch take records from, and begin what of them isn't there; `None` where
    /// they would take too much memory.
    pub(crate) fn claim(self: &Arc<Self>, order: &BlockOrder, positions: Range<u64>) -> Option<Claims> {
        let window_bytes = order.window_records().saturating_mul(self.0.record_bytes);
        if let Some(most) = self.0.most_bytes.filter(|most| window_bytes.saturating_mul(2) > *most) {
            self.0.reading.because(|| {
                format!("two windows of {window_bytes} bytes are more than {most}: set a smaller data.order.window")
            });
            return None;
        }
        let numbers = order.windows_of(positions);
        let mut state = self.0.lock();
        let cells = numbers.clone().map(|number| self.0.hold(&mut state, order, number)).collect();
        self.0.read_ahead(&mut state);
        drop(state);
        Some(Claims { windows: Arc::clone(self), first: numbers.start, cells })
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        // What the crew has yet to read is for nobody then, and it stops.
        self.0.lock().held.clear();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if state.process != process {
            state.process = process;
            state.held.retain(|held| held.cell.outcome().is_some());
        }
        state
    }

    fn hold(self: &Arc<Self>, state: &mut State, order: &BlockOrder, number: u64) -> Arc<Cell> {
        state.claims += 1;
        let claimed = state.claims;
        // One that failed is tried anew: the disk may have recovered.
        state.held.retain(|held| !matches!(held.cell.outcome(), Some(Err(_))));
        if let Some(at) = state.held.iter().position(|held| held.number == number && held.order == *order) {
            let held = state.held.remove(at);
            let cell = Arc::clone(&held.cell);
            state.held.insert(0, Held { claimed, ..held });
            return cell;
        }
        state.held.truncate(HELD - 1);
        let cell = self.begin(order, number);
        state.held.insert(0, Held { order: *order, number, cell: Arc::clone(&cell), claimed });
        cell
    }

    /// Begin the window after the one that was claimed last, if there is room.
    fn read_ahead(self: &Arc<Self>, state: &mut State) {
        let Some(front) = state.held.first() else { return };
        let (order, number) = (front.order, front.number + 1);
        let there = state.held.iter().any(|held| held.number == number && held.order == order);
        if there || number >= order.windows() {
            return;
        }
        if let Some(back) = state.held.get(1) {
            let past = back.order == order && back.number < number;
            let forgotten = state.claims - back.claimed > FORGOTTEN;
            if !(past || forgotten) || Arc::strong_count(&back.cell) > 1 {
                return;
            }
            state.held.truncate(1);
        }
        let (cell, claimed) = (self.begin(&order, number), state.claims);
        state.held.push(Held { order, number, cell, claimed });
    }

    fn begin(self: &Arc<Self>, order: &BlockOrder, number: u64) -> Arc<Cell> {
        let cell = Arc::<Cell>::default();
        let window = self.begun.fetch_add(1, Relaxed);
        let (inner, weak, blocks) = (Arc::clone(self), Arc::downgrade(&cell), order.window(number));
        let job = move || {
            // Nobody needs it any more.
            let Some(cell) = weak.upgrade() else { return };
            guarded(&cell, || {
                let (outlines, runs) = inner.reading.draft(&blocks)?;
                cell.begin(outlines, runs.len());
                for (number, run) in runs.into_iter().enumerate() {
                    let (reader, weak) = (Arc::clone(&inner), Arc::downgrade(&cell));
                    let read = move || {
                        let Some(cell) = weak.upgrade().filter(|cell| cell.outcome().is_none()) else {
                            return;
                        };
                        guarded(&cell, || {
                            cell.put(number, reader.reading.read(&run)?);
                            Ok(())
                        });
                    };
                    inner.crew.push(Turn::Read { window, run: number }, Box::new(read))?;
                }
                Ok(())
            });
        };
        if let Err(error) = self.crew.push(Turn::Prepare { window }, Box::new(job)) {
            cell.fail(error.into());
        }
        cell
    }
}

/// Do a part of the work for a window; an error or a panic is the window's, and every batch's that needs it.
fn guarded(cell: &Cell, work: impl FnOnce() -> Result<(), BatchError>) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => cell.fail(error),
        Err(panic) => cell.fail(BatchError::Panicked { detail: crate::ticket::panic_text(&*panic) }),
    }
}

impl Claims {
    /// Wait for the windows, and give them with the number of the first.
    pub(crate) fn wait(&self) -> Result<(u64, Vec<&Window>), BatchError> {
        let wait = |cell| self.windows.0.crew.await_by(|| Cell::wait(cell));
        let windows = self.cells.iter().map(|cell| match wait(cell) {
            Ok(window) => Ok(window),
            Err(error) => Err(BatchError::Shared(Arc::clone(error))),
        });
        Ok((self.first, windows.collect::<Result<_, _>>()?))
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.cells.clear();
        let inner = &self.windows.0;
        inner.read_ahead(&mut inner.lock());
    }
}
