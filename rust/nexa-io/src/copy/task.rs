//! One file from source to destination, whichever engine moves its blocks.
//!
//! ```text
//! open the source (regular, inside its root); its size is as promised
//! create the destination, not the source itself; reserve its space
//! for each block, several at once: read; hash when all blocks before it are hashed; write
//! source unchanged?  digest as promised?
//! cut the padding; hand on to be made durable
//! any error: no more blocks are begun; when the last one is back, remove the destination
//! ```
//!
//! 1. The digest is of the bytes that were written, from the very buffer that was written, in the order of the file,
//!    while the block is still in the core's cache.
//! 2. The source is compared with itself after the last read: size and time of modification.
//! 3. The digest is judged before the sync: bad data is not worth waiting for the disk.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::blocks::{Block, Blocks};
use super::durable::Written;
use super::source::{LocalSource, Source};
use super::target::Target;
use super::transfer::{End, Transfer};
use super::{Context, CopyJob, CopyMode, CopyReport, JobSource};
use crate::digest::{Digest, Hasher};
use crate::error::IoError;

/// A file on its way; engines share it between threads.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub index: usize,
    pub job: &'a CopyJob,
    pub source: Source,
    pub target: Target,
    pub blocks: Blocks,
    state: Mutex<State>,
    turn: Condvar,
}

#[derive(Debug)]
struct State {
    pass: Pass,
    /// The next block to hand out, to hash; the number of those that are back.
    begun: u64,
    hashed: u64,
    back: u64,
    retries: u32,
    failed: bool,
    /// The first failure, until it is reported.
    failure: Option<IoError>,
}

impl<'a> Task<'a> {
    /// Open both ends; on an error nothing is left at the destination.
    pub(crate) fn open(index: usize, context: &Context<'a>) -> Result<Self, IoError> {
        context.control.check()?;
        let job = &context.jobs[index];
        let direct = context.options.direct;
        let source = match &job.source {
            JobSource::File(path) => Source::Local(LocalSource::open(path, context.root.as_ref(), direct)?),
            JobSource::Store(store) => Source::Store(store.clone()),
        };
        let facts = source.facts();
        check_size(source.path(), job.expected_bytes, facts.bytes)?;
        let blocks = Blocks::new(facts.bytes, context.plan.block_bytes, context.plan.alignment);
        let target = Target::create(&job.destination, &facts, &blocks, direct, source.path())?;
        let state = State {
            pass: Pass::new(job),
            begun: 0,
            hashed: 0,
            back: 0,
            retries: 0,
            failed: false,
            failure: None,
        };
        Ok(Self { index, job, source, target, blocks, state: Mutex::new(state), turn: Condvar::new() })
    }

    /// Return the next block to move; `None` when all have been begun, or the task has failed.
    pub(crate) fn begin_block(&self) -> Option<(u64, Block)> {
        let mut state = self.lock();
        if state.failed {
            return None;
        }
        let block = self.blocks.get(state.begun)?;
        state.begun += 1;
        Some((state.begun - 1, block))
    }

    /// Say whether nothing is left to begin.
    pub(crate) fn is_begun(&self) -> bool {
        let state = self.lock();
        state.failed || state.begun == self.blocks.count()
    }

    /// Hash a block once it is its turn; `false` where the task has failed meanwhile.
    pub(crate) fn hash_in_turn(&self, index: u64, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        while state.hashed != index && !state.failed {
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.failed {
            return false;
        }
        state.pass.update(bytes);
        state.hashed += 1;
        self.turn.notify_all();
        true
    }

    /// Keep the first failure, and begin no more blocks.
    pub(crate) fn fail(&self, error: IoError) {
        let mut state = self.lock();
        state.failed = true;
        state.failure.get_or_insert(error);
        self.turn.notify_all();
    }

    /// Take a block back, written or given up; `true` for the last one of those that will come.
    pub(crate) fn block_back(&self, transfers: &[&Transfer]) -> bool {
        let mut state = self.lock();
        state.back += 1;
        state.retries += transfers.iter().map(|transfer| transfer.tries()).sum::<u32>();
        state.back == state.begun && (state.failed || state.begun == self.blocks.count())
    }

    /// Judge the copy once all blocks are back; if it has failed, nothing is left at the destination.
    pub(crate) fn finish(&self, context: &Context<'_>) -> Result<Written, IoError> {
        let result = self.judge();
        match result {
            Ok(_) => context.control.add_file(),
            Err(_) => self.target.discard(),
        }
        result.map_err(|error| self.target.name_full_disk(error))
    }

    fn judge(&self) -> Result<Written, IoError> {
        let (failure, pass, retries) = {
            let mut state = self.lock();
            (state.failure.take(), state.pass.clone(), state.retries)
        };
        failure.map_or(Ok(()), Err)?;
        self.source.check_unchanged()?;
        let digest = pass.verify(self.job, &self.source)?;
        let (mode, reason) = how(&self.source, &self.target, self.blocks.count());
        let source = self.source.facts();
        let kept = self.target.keep()?;
        let report = CopyReport {
            bytes: source.bytes,
            digest,
            mode,
            reason,
            modified_ns: kept.facts.modified_ns,
            inode: kept.facts.inode,
            retries,
            read_back: false,
            source,
        };
        Ok(Written { index: self.index, kept, report })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digests of one pass: the one that is asked for, and the promised one's where that is of another kind.
#[derive(Clone, Debug)]
struct Pass {
    asked: Hasher,
    promised: Option<Hasher>,
}

impl Pass {
    fn new(job: &CopyJob) -> Self {
        let promised = job.expected.map(|digest| digest.algorithm()).filter(|&kind| kind != job.algorithm);
        Self { asked: Hasher::new(job.algorithm), promised: promised.map(Hasher::new) }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.asked.update(bytes);
        if let Some(hasher) = &mut self.promised {
            hasher.update(bytes);
        }
    }

    fn verify(self, job: &CopyJob, source: &Source) -> Result<Digest, IoError> {
        let asked = self.asked.finish();
        let found = self.promised.map_or(asked, Hasher::finish);
        match job.expected {
            Some(expected) if expected != found => {
                Err(IoError::DigestMismatch { path: source.path().to_owned(), expected, found })
            }
            _ => Ok(asked),
        }
    }
}

fn check_size(path: &std::path::Path, expected: Option<u64>, found: u64) -> Result<(), IoError> {
    match expected {
        Some(expected) if expected != found => {
            Err(IoError::SizeMismatch { path: path.to_owned(), expected, found })
        }
        _ => Ok(()),
    }
}

fn how(source: &Source, target: &Target, blocks: u64) -> (CopyMode, Option<String>) {
    let reason = match (source.reason(), target.side().reason()) {
        (None, None) => match source.cached_blocks() {
            0 => return (CopyMode::Direct, None),
            cached => {
                let reason = format!("{cached} of {blocks} blocks of the source were in the page cache");
                return (CopyMode::Cached, Some(reason));
            }
        },
        (Some(read), Some(write)) if read == write => read.to_owned(),
        (Some(read), None) => format!("source: {read}; destination is written directly"),
        (None, Some(write)) => format!("destination: {write}; source is read directly"),
        (Some(read), Some(write)) => format!("source: {read}; destination: {write}"),
    };
    (CopyMode::Buffered, Some(reason))
}
