//! The one pool of compute threads of this process, which survives a fork.
//!
//! Threads do not cross a fork: in the child a pool inherited from the parent has no threads, and waiting for it, even
//! to drop it, hangs for ever. So the pool is kept with the process id that built it, and a process that finds
//! another's builds its own. No lock is held anywhere here: one that another thread holds at the moment of a fork
//! would stay locked in the child.
#![expect(
    unsafe_code,
    reason = "one atomic pointer to leaked, immutable entries replaces a lock that a fork could break"
)]

use std::num::NonZero;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::thread::available_parallelism;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::IoError;

/// Above this, assembling batches gains nothing measurable and takes cores from the training loop.
const MAX_DEFAULT_THREADS: usize = 4;

/// A pool and the process it belongs to. Leaked, one per process of a chain of forks: never freed, never changed.
struct Entry {
    process: u32,
    pool: Arc<ThreadPool>,
}

static CURRENT: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());

/// 0 means [`default_threads`].
static CONFIGURED: AtomicUsize = AtomicUsize::new(0);

/// Return this process's pool, building it at the first call and at the first one after a fork.
///
/// Safe to call from inside one of its threads. Meant for computing: blocking I/O in it would starve the rest.
///
/// # Errors
/// [`IoError::Threads`] where the system starts no more threads.
pub fn pool() -> Result<Arc<ThreadPool>, IoError> {
    let process = std::process::id();
    let found = CURRENT.load(Ordering::Acquire);
    if let Some(pool) = pool_of(found, process) {
        return Ok(pool);
    }
    let entry = Box::new(Entry { process, pool: Arc::new(build(configured_threads())?) });
    let pool = Arc::clone(&entry.pool);
    let fresh = Box::into_raw(entry);
    match CURRENT.compare_exchange(found, fresh, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_stale) => Ok(pool), // A stale entry is left where it is: dropping a forked pool would hang.
        Err(winner) => {
            // Another thread of this process was faster; ours has never been published, so it can go.
            // SAFETY: `fresh` came from Box::into_raw above and no other thread has seen it.
            drop(unsafe { Box::from_raw(fresh) });
            Ok(pool_of(winner, process).unwrap_or(pool))
        }
    }
}

/// Set the number of threads for the next build of the pool; 0 restores the default.
///
/// Returns whether it will still take effect in this process: `false` once the pool stands, since work may hold it.
pub fn configure(n: usize) -> bool {
    CONFIGURED.store(n, Ordering::Relaxed);
    pool_of(CURRENT.load(Ordering::Acquire), std::process::id()).is_none()
}

/// Return how many threads a pool gets unless configured: `max(1, min(4, CPUs / LOCAL_WORLD_SIZE))`.
///
/// CPUs are those that this process may use: the affinity mask and the cgroup's quota count. `LOCAL_WORLD_SIZE` is
/// the number of ranks on this machine, as `torchrun` sets it; unset or not a positive number means 1.
#[must_use]
pub fn default_threads() -> usize {
    let cpus = available_parallelism().map_or(1, NonZero::get);
    share_of_cpus(cpus, std::env::var("LOCAL_WORLD_SIZE").ok().as_deref())
}

fn share_of_cpus(cpus: usize, local_world_size: Option<&str>) -> usize {
    let ranks = local_world_size.and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(1).max(1);
    (cpus / ranks).clamp(1, MAX_DEFAULT_THREADS)
}

fn configured_threads() -> usize {
    match CONFIGURED.load(Ordering::Relaxed) {
        0 => default_threads(),
        n => n,
    }
}

fn build(threads: usize) -> Result<ThreadPool, IoError> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("nexa-{index}"))
        .build()
        .map_err(|error| IoError::Threads { threads, detail: error.to_string() })
}

fn pool_of(entry: *const Entry, process: u32) -> Option<Arc<ThreadPool>> {
    // SAFETY: the pointer is null or came from Box::into_raw and was published with Release by `pool`; published
    // entries are never freed nor written to again.
    let entry = unsafe { entry.as_ref() }?;
    (entry.process == process).then(|| Arc::clone(&entry.pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_on_one_machine_share_its_cpus() {
        let table = [
            (1, None, 1),
            (2, None, 2),
            (64, None, 4),
            (64, Some("8"), 4),
            (16, Some("8"), 2),
            (4, Some("8"), 1),
            (4, Some("0"), 4),
            (4, Some("many"), 4),
        ];
        for (cpus, ranks, threads) in table {
            assert_eq!(share_of_cpus(cpus, ranks), threads, "{cpus} CPUs, {ranks:?} ranks");
        }
    }

    #[test]
    fn every_caller_gets_the_same_pool_even_from_inside() {
        let callers: Vec<_> = (0..8).map(|_| std::thread::spawn(|| pool().unwrap())).collect();
        let pools: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        assert!(pools.iter().all(|other| Arc::ptr_eq(other, &pools[0])));
        let inside = pools[0].install(|| pool().unwrap());
        assert!(Arc::ptr_eq(&inside, &pools[0]));
        let name = pools[0].install(|| std::thread::current().name().map(ToOwned::to_owned));
        assert!(name.unwrap().starts_with("nexa-"));
        assert!(!configure(0), "a standing pool is not rebuilt");
    }
}
