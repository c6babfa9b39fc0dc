//! Many files to local disk, side by side, each hashed in the pass that copies it and durable when it is reported.
//!
//! ```text
//! engine (one thread a ring, or several that block):  open → read → hash → write → judge
//!                                                        └── blocks of several files at once ──┘
//! one more thread:                                     make durable, in batches → read back → report
//! ```
//!
//! Two engines move blocks: `io_uring` where the kernel allows it, else threads with `pread` and `pwrite`. What a file
//! goes through is the same in both, see `task`; so is what a short or failed call means, see `transfer`.

mod arena;
pub(crate) mod blocks;
mod durable;
mod pace;
mod plan;
mod residency;
#[cfg(target_os = "linux")]
mod ring;
#[cfg(target_os = "linux")]
mod ring_io;
pub(crate) mod side;
mod source;
mod target;
mod task;
mod threads;
pub(crate) mod transfer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::io::Errno;

use crate::control::Control;
use crate::digest::{Algorithm, Digest};
use crate::error::IoError;
use crate::regular::Root;

pub use plan::{CopyPlan, Engine};
pub use source::{ShardSource, SourceFacts};

use durable::Written;
use pace::Pace;
use task::Task;

/// One file to copy, and what is promised about it.
#[derive(Clone, Debug)]
pub struct CopyJob {
    /// Where the bytes come from.
    pub source: JobSource,
    /// The file to write, in a folder that exists; a regular file that is there is replaced. The copy can be read by
    /// all and written by nobody.
    pub destination: PathBuf,
    /// The promised size in bytes; checked before anything is written.
    pub expected_bytes: Option<u64>,
    /// The promised digest, of any algorithm; checked before the copy counts as done.
    pub expected: Option<Digest>,
    /// The algorithm of the digest to report.
    pub algorithm: Algorithm,
}

/// Where a file's bytes come from.
#[derive(Clone, Debug)]
pub enum JobSource {
    /// A regular file. With [`CopyOptions::root`] a name relative to it, whose links may not leave it; else a path
    /// that is no symbolic link.
    File(PathBuf),
    /// A shard of a store that is no mounted filesystem.
    Store(Arc<dyn ShardSource>),
}

/// How to copy; the defaults choose from the disks and the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// The folder that sources are named from and stay in; without one they are paths.
    pub root: Option<PathBuf>,
    /// What moves the blocks.
    pub engine: Engine,
    /// Whether to go past the page cache where the filesystems allow it. Default true.
    pub direct: bool,
    /// Threads that move blocks; 0 chooses, see [`CopyPlan`].
    pub threads: usize,
    /// Bytes per read and write, rounded up to a page; 0 chooses.
    pub block_bytes: usize,
    /// Bytes of memory for blocks in flight; 0 chooses. At least one block's a thread is taken.
    pub max_memory: usize,
    /// Bytes per second that are read at most, in all; 0 sets no bound.
    pub max_bandwidth: u64,
    /// Whether each copy is read again from the disk and compared before it counts as done.
    pub read_back: bool,
    /// How often a read or write that failed for a reason that may pass is tried again, and a file whose handle went
    /// stale.
    pub retries: u32,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            root: None,
            engine: Engine::Auto,
            direct: true,
            threads: 0,
            block_bytes: 0,
            max_memory: 0,
            max_bandwidth: 0,
            read_back: false,
            retries: 3,
        }
    }
}

/// How a file's bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMode {
    /// Past the page cache on both sides.
    Direct,
    /// As [`Direct`](Self::Direct), but for blocks of the source that the page cache held already.
    Cached,
    /// Through the page cache on at least one side.
    Buffered,
}

/// What became of one file: enough to recognise the written file later without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyReport {
    /// Size in bytes.
    pub bytes: u64,
    /// The digest of the bytes as they were written, of the job's algorithm.
    pub digest: Digest,
    /// How the bytes went.
    pub mode: CopyMode,
    /// Why not directly; `None` exactly when the mode is [`CopyMode::Direct`].
    pub reason: Option<String>,
    /// The written file's time of modification, in nanoseconds since the epoch.
    pub modified_ns: i128,
    /// The written file's inode number.
    pub inode: u64,
    /// Calls that failed and were repeated with success.
    pub retries: u32,
    /// Whether the copy was read again from the disk and found equal.
    pub read_back: bool,
    /// What identified the source when it was opened.
    pub source: SourceFacts,
}

/// Copy files side by side; `report` hears of each job once, by its index, as soon as its copy is durable.
///
/// Every job is tried, whatever becomes of the others; after [`Control::cancel`] the rest fail with
/// [`IoError::Cancelled`]. A file that fails leaves nothing at its destination. Content and size of the others are on
/// disk when they are reported; their names are durable after [`place::sync_dir`](crate::place::sync_dir). All
/// destinations lie on one filesystem, and no two jobs share one. `report` is called from several threads, one at a time.
///
/// Returns how the work was done.
///
/// # Errors
/// [`IoError::Open`] for the root, [`IoError::OutOfMemory`] for the blocks and [`IoError::Threads`]: then nothing was
/// reported. Per job, through
/// `report`: [`IoError::Open`], [`IoError::NotAFile`], [`IoError::Outside`], [`IoError::SameFile`],
/// [`IoError::SizeMismatch`], [`IoError::DigestMismatch`], [`IoError::SourceChanged`], [`IoError::NoSpace`],
/// [`IoError::Read`], [`IoError::Write`], [`IoError::Sync`], [`IoError::Inspect`], [`IoError::Cancelled`].
pub fn copy_files(
    jobs: &[CopyJob],
    options: &CopyOptions,
    control: &Control,
    report: &(dyn Fn(usize, Result<CopyReport, IoError>) + Sync),
) -> Result<CopyPlan, IoError> {
    let root = options.root.as_deref().map(Root::open).transpose()?;
    let (plan, engine) = prepare(jobs, options)?;
    let filesystem = durable::filesystem(jobs);
    let (sender, written) = channel();
    let context = Context {
        jobs,
        options,
        control,
        root,
        plan,
        pace: Pace::new(options.max_bandwidth),
        queue: Queue::default(),
        report: Mutex::new(report),
    };
    thread::scope(|scope| {
        let context = &context;
        let syncer = thread::Builder::new().name("nexa-sync".to_owned());
        syncer
            .spawn_scoped(scope, move || durable::run(&written, filesystem.as_ref(), context))
            .map_err(|error| IoError::Threads { threads: 1, detail: error.to_string() })?;
        engine(context, sender)
    })?;
    Ok(context.plan)
}

/// Moves all blocks of a run, and hands on the files that are written.
type Run<'e> = Box<dyn FnOnce(&Context<'_>, Sender<Written>) -> Result<(), IoError> + 'e>;

/// Choose what the copy runs with, and make the ring where it is one: a kernel that lets a trial pass may refuse it
/// still, for want of memory that may be locked say, and then threads take over.
fn prepare<'e>(jobs: &[CopyJob], options: &CopyOptions) -> Result<(CopyPlan, Run<'e>), IoError> {
    let plan = CopyPlan::choose(jobs, options, crate::probe::try_uring);
    #[cfg(target_os = "linux")]
    if plan.engine == Engine::IoUring {
        match ring::make(&plan) {
            Ok(first) => {
                return Ok((plan, Box::new(|context, sender| ring::run(context, first, &sender))));
            }
            Err(IoError::Ring { source }) => {
                let plan = CopyPlan::choose(jobs, options, || Err(source.to_string()));
                return Ok((plan, Box::new(threads::run)));
            }
            Err(other) => return Err(other),
        }
    }
    Ok((plan, Box::new(threads::run)))
}

/// What all parts of one run share.
pub(crate) struct Context<'a> {
    pub jobs: &'a [CopyJob],
    pub options: &'a CopyOptions,
    pub control: &'a Control,
    pub root: Option<Root>,
    pub plan: CopyPlan,
    pub pace: Pace,
    pub queue: Queue,
    report: Mutex<&'a (dyn Fn(usize, Result<CopyReport, IoError>) + Sync)>,
}

impl<'a> Context<'a> {
    /// Report a job.
    pub(crate) fn done(&self, index: usize, result: Result<CopyReport, IoError>) {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)(index, result);
    }

    /// Open a job's file; if that fails, the failure is reported.
    pub(crate) fn open(&self, index: usize) -> Option<Task<'a>> {
        Task::open(index, self).map_err(|error| self.give_up(index, error)).ok()
    }

    /// Judge a task whose blocks are all back, and hand it on.
    pub(crate) fn close(&self, task: &Task<'_>, sender: &Sender<Written>) {
        let index = task.index;
        match task.finish(self) {
            // The receiver outlives every sender.
            Ok(written) => drop(sender.send(written)),
            Err(error) => self.give_up(index, error),
        }
    }

    /// Report a failure, unless it is a stale handle and the file may be tried again from its start.
    fn give_up(&self, index: usize, error: IoError) {
        let stale = error.errno() == Some(Errno::STALE.raw_os_error());
        if !(stale && self.queue.again(index, self.options.retries)) {
            self.done(index, Err(error));
        }
    }
}

/// The jobs that are still to be begun.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    next: AtomicUsize,
    /// Jobs to begin again, and how often each was.
    again: Mutex<(Vec<usize>, std::collections::HashMap<usize, u32>)>,
}

impl Queue {
    /// Return the index of the next of so many jobs.
    pub(crate) fn take(&self, jobs: usize) -> Option<usize> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        if index < jobs {
            return Some(index);
        }
        self.next.store(jobs, Ordering::Relaxed);
        self.again.lock().unwrap_or_else(PoisonError::into_inner).0.pop()
    }

    fn again(&self, index: usize, retries: u32) -> bool {
        let mut again = self.again.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = again.1.entry(index).or_insert(0);
        *tries += 1;
        let allowed = *tries <= retries;
        if allowed {
            again.0.push(index);
        }
        allowed
    }
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
