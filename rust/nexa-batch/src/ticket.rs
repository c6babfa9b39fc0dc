//! A batch that is being assembled ahead of its consumer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::counters::Claim;
use crate::{Assembler, BatchBuffers, BatchError, Rows};

type Outcome = Result<BatchBuffers, BatchError>;

/// The claim on a batch that a thread of the pool assembles; dropping it gives the batch up.
#[derive(Debug)]
pub struct Ticket {
    assembler: Assembler,
    rows: Rows,
    shared: Arc<Shared>,
    /// A forked child inherits the ticket, but not the thread that works on it.
    process: u32,
}

#[derive(Debug)]
struct Shared {
    outcome: Mutex<Option<Outcome>>,
    ready: Condvar,
    claim: Claim,
}

impl Ticket {
    /// Start assembling `rows` on the pool.
    ///
    /// # Errors
    /// The pool's threads can't be started.
    pub fn submit(assembler: &Assembler, rows: Rows) -> Result<Self, BatchError> {
        let claim = Claim::new(assembler.counters());
        let shared = Arc::new(Shared { outcome: Mutex::new(None), ready: Condvar::new(), claim });
        let ticket =
            Self { assembler: assembler.clone(), rows: rows.clone(), shared, process: std::process::id() };
        let (work, weak) = (assembler.clone(), Arc::downgrade(&ticket.shared));
        // Now, and not when its turn comes: what it needs begins to be read, and stays until it is assembled.
        let claims = assembler.claim(&rows);
        let submitted = Instant::now();
        nexa_io::threads::pool()?.spawn(move || {
            let _inside = nexa_io::forks::enter();
            // Windows and buffers are let go inside too.
            let (work, claims) = (work, claims);
            // Nobody waits any more: the consumer stopped early.
            if weak.strong_count() == 0 {
                return;
            }
            work.counters().begun(submitted.elapsed());
            let outcome = catch_unwind(AssertUnwindSafe(|| work.assemble_claimed(&rows, claims.as_ref())))
                .unwrap_or_else(|panic| Err(BatchError::Panicked { detail: panic_text(&*panic) }));
            if let Some(shared) = weak.upgrade() {
                shared.claim.ready();
                *shared.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                shared.ready.notify_all();
            }
        });
        Ok(ticket)
    }

    /// Records that the batch will have.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Wait for the batch, calling `poll` now and then (for signals); an error of `poll` ends the wait.
    ///
    /// # Errors
    /// What `poll` returned, or, inside, why the batch could not be assembled.
    pub fn wait<E>(self, mut poll: impl FnMut() -> Result<(), E>) -> Result<Outcome, E> {
        if self.process != std::process::id() {
            let _inside = nexa_io::forks::enter();
            return Ok(self.assembler.assemble(&self.rows));
        }
        let mut outcome = self.shared.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(done) = outcome.take() {
                self.shared.claim.taken();
                return Ok(done);
            }
            let (next, waited) = self
                .shared
                .ready
                .wait_timeout(outcome, Duration::from_millis(50))
                .unwrap_or_else(PoisonError::into_inner);
            outcome = next;
            if waited.timed_out() && outcome.is_none() {
                drop(outcome);
                poll()?;
                outcome = self.shared.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}
