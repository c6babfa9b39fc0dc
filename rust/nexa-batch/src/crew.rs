//! Threads that read ahead: a few reads in flight, in the order in which windows are needed.
//!
//! They are their own, not the compute pool's: they wait for disks, and batches must not wait behind them. A thread ends
//! when nothing is left to do. All of a job is done inside the gate of forks, so that no read is under way and no lock is
//! held in a child; the one that a batch waits for is let in while a fork waits for that batch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexa_io::IoError;
use nexa_io::forks;

/// Reads in flight: disks behind a network or of flash want several, and more than these gained nothing.
const READS: usize = 16;

pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// When a job is done: the lowest first. Preparations come before reads, then the number of the window counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    Prepare { window: u64 },
    Read { window: u64, run: usize },
}

/// Threads that come and go with the work; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Crew(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Batches under way that wait for the crew.
    awaited: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    jobs: BTreeMap<Turn, Job>,
    threads: usize,
    /// Threads don't cross a fork: a child's queue has none.
    process: u32,
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crew").field("jobs", &self.lock().jobs.len()).finish()
    }
}

impl Crew {
    /// Have a job done; each has a turn of its own.
    ///
    /// # Errors
    /// [`IoError::Threads`] where not even one thread can be started; then the job is dropped.
    pub(crate) fn push(&self, turn: Turn, job: Job) -> Result<(), IoError> {
        let mut queue = self.lock();
        let process = std::process::id();
        if queue.process != process {
            *queue = Queue { process, ..Queue::default() };
        }
        queue.jobs.insert(turn, job);
        if queue.threads >= READS {
            return Ok(());
        }
        let crew = self.clone();
        let started =
            std::thread::Builder::new().name("nexa-read".to_owned()).spawn(move || crew.work()).map(drop);
        match started {
            Ok(()) => queue.threads += 1,
            // Fewer threads are slower, nothing else.
            Err(_) if queue.threads > 0 => {}
            Err(error) => {
                queue.jobs.remove(&turn);
                return Err(IoError::Threads { threads: 1, detail: error.to_string() });
            }
        }
        Ok(())
    }

    /// Wait by `wait` for what the crew does.
    pub(crate) fn await_by<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.0.awaited.fetch_add(1, SeqCst);
        let found = wait();
        self.0.awaited.fetch_sub(1, SeqCst);
        found
    }

    fn work(&self) {
        loop {
            let _inside = forks::enter_for(|| self.0.awaited.load(SeqCst) > 0);
            let next = {
                let mut queue = self.lock();
                let next = queue.jobs.pop_first();
                queue.threads -= usize::from(next.is_none());
                next
            };
            match next {
                Some((_, job)) => job(),
                None => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_are_done_in_their_turns() {
        let (crew, (sender, done)) = (Crew::default(), mpsc::channel());
        // While the only thread is held, the others' turns are sorted.
        let (go, held) = mpsc::channel::<()>();
        let turn = Turn::Prepare { window: 0 };
        crew.push(turn, Box::new(move || held.recv().unwrap())).unwrap();
        crew.lock().threads += READS;
        let read = |window, run| Turn::Read { window, run };
        for turn in [read(2, 0), read(1, 1), Turn::Prepare { window: 3 }, read(1, 0)] {
            let sender = sender.clone();
            crew.push(turn, Box::new(move || sender.send(turn).unwrap())).unwrap();
        }
        crew.lock().threads -= READS;
        go.send(()).unwrap();
        drop(sender);
        let order: Vec<Turn> = done.iter().collect();
        assert_eq!(order, [Turn::Prepare { window: 3 }, read(1, 0), read(1, 1), read(2, 0)]);
    }

    #[test]
    fn a_fork_waits_for_no_job_that_waits_for_the_fork() {
        let crew = Crew::default();
        let inside = forks::enter();
        let forking = std::thread::spawn(|| {
            forks::close();
            forks::open();
        });
        let (sender, done) = mpsc::channel();
        crew.push(Turn::Prepare { window: 0 }, Box::new(move || sender.send(()).unwrap())).unwrap();
        crew.await_by(|| done.recv().unwrap());
        drop(inside);
        forking.join().unwrap();
    }
}
