//! The engine that runs everywhere: threads that each read, hash and write one block at a time.
//!
//! ```text
//! each thread, until no job is left:
//!     a block of a file that others have begun, else the first block of the next job
//!     read it; wait until the blocks before it are hashed; hash; write
//!     the thread that brings the last block back judges the file
//! ```
//!
//! 1. Blocks of a file are handed out in order, so whoever waits for its turn waits for a thread that is moving: the one
//!    with the lowest block never waits.
//! 2. While one thread hashes, the others read and write, so a single large file keeps the disk busy too.
//! 3. The threads are their own, not the compute pool's: they block on disks, and batches must not wait behind them.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::Context;
use super::arena::memory_for_blocks;
use super::blocks::Block;
use super::durable::Written;
use super::source::Channel;
use super::task::Task;
use super::transfer::{Transfer, Way};
use crate::buffer::AlignedBuf;
use crate::error::IoError;

pub(crate) fn run(context: &Context<'_>, sender: Sender<Written>) -> Result<(), IoError> {
    let plan = &context.plan;
    let workers = plan.threads;
    let mut buffers = (0..workers)
        .map(|_| memory_for_blocks(plan.block_bytes, plan.alignment))
        .collect::<Result<Vec<_>, _>>()?;
    let files = Files::default();
    thread::scope(|scope| {
        let mut first = None;
        for (index, buffer) in buffers.iter_mut().enumerate() {
            let (files, sender) = (&files, sender.clone());
            let work = move || work(context, files, buffer, &sender);
            if index == 0 {
                first = Some(work);
                continue;
            }
            let builder = thread::Builder::new().name(format!("nexa-copy-{index}"));
            if builder.spawn_scoped(scope, work).is_err() {
                break; // Fewer threads are slower, nothing else: this one does the work too.
            }
        }
        drop(sender);
        if let Some(mut work) = first {
            work();
        }
    });
    Ok(())
}

fn work<'a>(context: &Context<'a>, files: &Files<'a>, buffer: &mut AlignedBuf, sender: &Sender<Written>) {
    while let Some((task, begun)) = files.next(context) {
        let last = match begun {
            Some((index, block)) => move_block(context, &task, index, block, buffer),
            None => true, // An empty file has no blocks to wait for.
        };
        if last {
            context.close(&task, sender);
        }
    }
}

/// The files that threads work on together.
#[derive(Default)]
struct Files<'a> {
    state: Mutex<Open<'a>>,
    opened: Condvar,
}

#[derive(Default)]
struct Open<'a> {
    /// Files with blocks that nobody has begun, the oldest first.
    unfinished: VecDeque<Arc<Task<'a>>>,
    /// Threads that are opening a file, whose blocks the others may want.
    opening: usize,
}

type Begun<'a> = (Arc<Task<'a>>, Option<(u64, Block)>);

impl<'a> Files<'a> {
    /// Return the next block; `None` when nothing is left, and no thread is opening a file that might be large.
    fn next(&self, context: &Context<'a>) -> Option<Begun<'a>> {
        let mut open = self.lock();
        loop {
            if let Some(begun) = open.begin() {
                return Some(begun);
            }
            let Some(index) = context.queue.take(context.jobs.len()) else {
                if open.opening == 0 {
                    return None;
                }
                open = self.opened.wait(open).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            open.opening += 1;
            drop(open);
            let task = context.open(index);
            open = self.lock();
            open.opening -= 1;
            self.opened.notify_all();
            if let Some(task) = task {
                return Some(open.share(Arc::new(task)));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Open<'a> {
    /// Begin a block of a file that is open already.
    fn begin(&mut self) -> Option<Begun<'a>> {
        while let Some(task) = self.unfinished.front() {
            if let Some(block) = task.begin_block() {
                return Some((Arc::clone(task), Some(block)));
            }
            self.unfinished.pop_front();
        }
        None
    }

    /// Begin the first block of a file, and leave the others to all.
    fn share(&mut self, task: Arc<Task<'a>>) -> Begun<'a> {
        let block = task.begin_block();
        if task.blocks.count() > 1 {
            self.unfinished.push_back(Arc::clone(&task));
        }
        (task, block)
    }
}

/// Move one block; `true` if it was the last of its task to come back.
fn move_block(
    context: &Context<'_>,
    task: &Task<'_>,
    index: u64,
    block: Block,
    buffer: &mut AlignedBuf,
) -> bool {
    let mut read = Transfer::new(Way::Read, block);
    let mut write = Transfer::new(Way::Write, block);
    let outcome = pass(context, task, index, buffer, &mut read, &mut write);
    if let Err(error) = outcome {
        task.fail(error);
    }
    task.block_back(&[&read, &write])
}

fn pass(
    context: &Context<'_>,
    task: &Task<'_>,
    index: u64,
    buffer: &mut AlignedBuf,
    read: &mut Transfer,
    write: &mut Transfer,
) -> Result<(), IoError> {
    let block = read.block;
    context.pace.admit(block.len, context.control)?;
    fill(context, task, buffer, read)?;
    if !task.hash_in_turn(index, &buffer[..block.len]) {
        return Ok(()); // The task's own failure is the one to report.
    }
    buffer[block.len..block.padded].fill(0);
    let side = task.target.side();
    write.run(side, false, context.options.retries, context.control, |range, offset| {
        Ok(rustix::io::pwrite(side.file(), &buffer[range], offset)?)
    })?;
    task.target.clean_behind(block);
    context.control.add_bytes(block.len as u64);
    Ok(())
}

fn fill(
    context: &Context<'_>,
    task: &Task<'_>,
    buffer: &mut AlignedBuf,
    read: &mut Transfer,
) -> Result<(), IoError> {
    let bytes: &mut [u8] = buffer;
    let block = read.block;
    let cached = task.source.is_cached(block);
    read.run(&task.source, cached, context.options.retries, context.control, |range, offset| {
        match task.source.channel(cached) {
            Channel::Descriptor(fd) => Ok(rustix::io::pread(fd, &mut bytes[range], offset)?),
            Channel::Store(store) => store.read_at(&mut bytes[range], offset),
        }
    })?;
    if !cached {
        task.source.drop_pages(block);
    }
    Ok(())
}
