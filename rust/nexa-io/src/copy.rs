//! Many files to local disk, side by side, each hashed in the pass that copies it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::align::Alignment;
use crate::control::Control;
use crate::digest::{Algorithm, Digest};
use crate::error::IoError;
use crate::pool::BufferPool;
use crate::transfer::copy_one;

/// One file to copy, and what is promised about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyJob {
    /// A regular file; symbolic links are refused, resolve them first.
    pub source: PathBuf,
    /// The file to write, in a folder that exists; what is there is overwritten, and removed if the copy fails.
    pub destination: PathBuf,
    /// The promised size in bytes; checked before anything is written.
    pub expected_bytes: Option<u64>,
    /// The promised digest, of any algorithm; checked before the copy counts as done.
    pub expected: Option<Digest>,
    /// The algorithm of the digest to report.
    pub algorithm: Algorithm,
}

/// How to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// Bytes per read and write, rounded up to a page. Default 4 MiB: large enough that the disk's latency vanishes,
    /// small enough that a block's digest is computed before most of it leaves the cache.
    pub block_bytes: usize,
    /// Files in flight; 0 means the default, 4: these threads wait for disks rather than compute.
    pub threads: usize,
    /// Whether to go past the page cache where the filesystems allow it. Default true.
    pub direct: bool,
}

impl CopyOptions {
    const DEFAULT_BLOCK_BYTES: usize = 4 << 20;
    const DEFAULT_THREADS: usize = 4;

    /// Fill in defaults for zeros and round the block to whole pages.
    fn normalised(self) -> Self {
        let block_bytes = match self.block_bytes {
            0 => Self::DEFAULT_BLOCK_BYTES,
            n => Alignment::PAGE.round_up_len(n).unwrap_or(Self::DEFAULT_BLOCK_BYTES),
        };
        let threads = if self.threads == 0 { Self::DEFAULT_THREADS } else { self.threads };
        Self { block_bytes, threads, direct: self.direct }
    }
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { block_bytes: Self::DEFAULT_BLOCK_BYTES, threads: Self::DEFAULT_THREADS, direct: true }
    }
}

/// How a file's bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMode {
    /// Past the page cache on both sides.
    Direct,
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
}

/// Copy files side by side; results stand in the order of `jobs`.
///
/// Every job is tried, whatever becomes of the others; after [`Control::cancel`] the rest fail with
/// [`IoError::Cancelled`]. A file that fails leaves nothing at its destination. Content and size of the others are on
/// disk when this returns; their names are durable after [`place::sync_dir`](crate::place::sync_dir). Two jobs must not
/// share a destination.
///
/// # Errors
/// Per job: [`IoError::Open`], [`IoError::NotAFile`], [`IoError::SameFile`], [`IoError::SizeMismatch`],
/// [`IoError::DigestMismatch`], [`IoError::SourceChanged`], [`IoError::NoSpace`], [`IoError::Read`],
/// [`IoError::Write`], [`IoError::Sync`], [`IoError::Inspect`], [`IoError::OutOfMemory`], [`IoError::Cancelled`].
#[must_use]
pub fn copy_files(
    jobs: &[CopyJob],
    options: &CopyOptions,
    control: &Control,
) -> Vec<Result<CopyReport, IoError>> {
    let options = options.normalised();
    let workers = options.threads.min(jobs.len());
    let pool = BufferPool::new(Alignment::PAGE, workers.saturating_mul(options.block_bytes));
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<CopyReport, IoError>>>> =
        jobs.iter().map(|_| Mutex::default()).collect();
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let (Some(job), Some(slot)) = (jobs.get(index), results.get(index)) else { break };
            let result = copy_one(job, &options, &pool, control);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    // Threads of their own, not the compute pool's: they block on disks, and batches must not wait behind them.
    thread::scope(|scope| {
        for index in 1..workers {
            let builder = thread::Builder::new().name(format!("nexa-copy-{index}"));
            if builder.spawn_scoped(scope, work).is_err() {
                break; // Fewer threads are slower, nothing else: this one does the work too.
            }
        }
        work();
    });
    let finished = |slot: Mutex<Option<_>>| slot.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Every slot was filled above; a job nobody took can only be one that was not tried.
    results.into_iter().map(|slot| finished(slot).unwrap_or(Err(IoError::Cancelled))).collect()
}
