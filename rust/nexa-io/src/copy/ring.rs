//! The engine of one thread a ring: many blocks in flight, and nobody waits but for the kernel.
//!
//! ```text
//! until no job is left and nothing is in flight:
//!     while there is memory: begin to read the next block of the file in turn, else of the next job
//!     hand over, wait for something to be done
//!     a read is done:   if it is its file's turn, hash it, and every read block behind it; begin to write them
//!     a write is done:  its memory is free again; the last one of a file: judge the file
//! ```
//!
//! 1. Reads of a file begin in order and are hashed in order, so the oldest blocks leave first and memory comes back.
//! 2. A block's memory is as long as the block: thirty small files are in flight where eight large blocks are.
//! 3. While this thread hashes, the disk works on the other blocks in flight: enough, as long as a digest is faster than
//!    the disk. Where it isn't there are several such threads, each with its own files. What is begun is handed over around
//!    each hashed block: several are read at once, and the disk would idle until the last of them is hashed.
//! 4. What a ring cannot read (a store without descriptors) this thread reads itself.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc::Sender;
use std::thread;

use slab::Slab;

use super::arena::Span;
use super::durable::Written;
use super::ring_io::{Done, RingIo};
use super::source::Channel;
use super::task::Task;
use super::transfer::{End, Progress, Transfer, Way};
use super::{Context, CopyPlan};
use crate::error::IoError;

/// Blocks in flight at most: more than memory holds of any but the smallest files.
const OPERATIONS: usize = 64;

/// Make the ring of one thread.
pub(crate) fn make(plan: &CopyPlan) -> Result<RingIo, IoError> {
    RingIo::new(OPERATIONS, plan.memory_bytes / plan.threads, plan.alignment)
}

/// Move all blocks; `first` was made by this very thread.
pub(crate) fn run(context: &Context<'_>, first: RingIo, sender: &Sender<Written>) -> Result<(), IoError> {
    thread::scope(|scope| {
        for index in 1..context.plan.threads {
            let sender = sender.clone();
            let work = move || {
                // Fewer rings are slower, nothing else.
                if let Ok(io) = make(&context.plan) {
                    Ring::new(context, io, &sender).work();
                }
            };
            let builder = thread::Builder::new().name(format!("nexa-ring-{index}"));
            if builder.spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        Ring::new(context, first, sender).work();
    });
    Ok(())
}

struct Ring<'r, 'a> {
    context: &'r Context<'a>,
    io: RingIo,
    sender: &'r Sender<Written>,
    /// Files with blocks in flight or to begin.
    files: Slab<File<'a>>,
    /// The file whose blocks are being begun.
    current: Option<usize>,
    blocks: Slab<Moving>,
    /// Operations that are done and not looked at yet.
    ready: VecDeque<Done>,
}

struct File<'a> {
    task: Task<'a>,
    /// Blocks that were begun and are not hashed, in the file's order.
    unhashed: VecDeque<usize>,
}

/// A block on its way.
struct Moving {
    file: usize,
    index: u64,
    read: Transfer,
    write: Transfer,
    state: State,
}

enum State {
    /// The kernel reads it; `cached`: from the page cache, where it was already.
    Reading { cached: bool },
    /// It waits for its turn to be hashed.
    Read(Span),
    /// The kernel writes it.
    Writing,
}

impl<'r, 'a> Ring<'r, 'a> {
    fn new(context: &'r Context<'a>, io: RingIo, sender: &'r Sender<Written>) -> Self {
        let (files, blocks) = (Slab::new(), Slab::with_capacity(OPERATIONS));
        Self { context, io, sender, files, current: None, blocks, ready: VecDeque::new() }
    }

    fn work(&mut self) {
        loop {
            while self.begin_next() {}
            if let Some((number, span, result)) = self.ready.pop_front() {
                self.io.hand_over();
                self.done(number, span, result);
            } else if self.io.flying() == 0 {
                return;
            } else {
                match self.io.wait() {
                    Ok(done) => self.ready.extend(done),
                    Err(source) => return self.abandon(&source),
                }
            }
        }
    }

    /// Begin one more block; `false` when there is none, or no room for it.
    fn begin_next(&mut self) -> bool {
        if self.blocks.len() == OPERATIONS {
            return false;
        }
        let Some(file) = self.file_to_begin() else { return false };
        let File { task, unhashed } = &mut self.files[file];
        // Taken before the block is begun: a begun one has to come back.
        let Some(span) = self.io.arena().take(task.blocks.longest()) else { return false };
        let Some((index, block)) = task.begin_block() else {
            self.io.arena().give_back(span);
            return true;
        };
        let cached = task.source.is_cached(block);
        let number = self.blocks.insert(Moving {
            file,
            index,
            read: Transfer::new(Way::Read, block),
            write: Transfer::new(Way::Write, block),
            state: State::Reading { cached },
        });
        unhashed.push_back(number);
        match self.context.pace.admit(block.len, self.context.control) {
            Ok(()) => self.read(number, span),
            Err(error) => self.fail(number, span, error),
        }
        true
    }

    /// Return the file whose blocks are to be begun: the current one, or the next job's.
    fn file_to_begin(&mut self) -> Option<usize> {
        loop {
            if let Some(file) = self.current {
                if !self.files[file].task.is_begun() {
                    return Some(file);
                }
                self.current = None;
            }
            let index = self.context.queue.take(self.context.jobs.len())?;
            let Some(task) = self.context.open(index) else { continue };
            if task.blocks.count() == 0 {
                self.context.close(&task, self.sender);
            } else {
                self.current = Some(self.files.insert(File { task, unhashed: VecDeque::new() }));
            }
        }
    }

    /// Begin, or go on with, the read of a block.
    fn read(&mut self, number: usize, span: Span) {
        let moving = &self.blocks[number];
        let source = &self.files[moving.file].task.source;
        let cached = matches!(moving.state, State::Reading { cached: true });
        let (range, offset) = moving.read.next(!cached && source.is_direct());
        match source.channel(cached) {
            Channel::Descriptor(fd) => self.io.begin(number, Way::Read, fd, span, range, offset),
            Channel::Store(store) => {
                let result = store.read_at(&mut self.io.arena().bytes(&span)[range], offset);
                self.ready.push_back((number, span, result));
            }
        }
    }

    /// Begin, or go on with, the write of a block.
    fn write(&mut self, number: usize, span: Span) {
        let moving = &self.blocks[number];
        let side = self.files[moving.file].task.target.side();
        let (range, offset) = moving.write.next(side.is_direct());
        self.io.begin(number, Way::Write, side.file().as_fd(), span, range, offset);
        self.io.hand_over();
    }

    fn done(&mut self, number: usize, span: Span, result: io::Result<usize>) {
        let (control, retries) = (self.context.control, self.context.options.retries);
        let moving = &mut self.blocks[number];
        let task = &self.files[moving.file].task;
        let writing = matches!(moving.state, State::Writing);
        let progress = if writing {
            moving.write.take(result, task.target.side(), retries, control)
        } else {
            moving.read.take(result, &task.source, retries, control)
        };
        match (progress, writing) {
            (Err(error), _) => self.fail(number, span, error),
            (Ok(Progress::Again), true) => self.write(number, span),
            (Ok(Progress::Again), false) => self.read(number, span),
            (Ok(Progress::Complete), true) => self.written(number, span),
            (Ok(Progress::Complete), false) => self.read_to_its_end(number, span),
        }
    }

    fn written(&mut self, number: usize, span: Span) {
        let moving = &self.blocks[number];
        let block = moving.write.block;
        self.files[moving.file].task.target.clean_behind(block);
        self.context.control.add_bytes(block.len as u64);
        self.back(number, span);
    }

    fn read_to_its_end(&mut self, number: usize, span: Span) {
        let moving = &mut self.blocks[number];
        let file = moving.file;
        if matches!(moving.state, State::Reading { cached: false }) {
            self.files[file].task.source.drop_pages(moving.read.block);
        }
        moving.state = State::Read(span);
        self.hash_ready(file);
    }

    /// Hash what has been read and is in turn, and begin to write it.
    fn hash_ready(&mut self, file: usize) {
        while let Some(File { task, unhashed }) = self.files.get_mut(file) {
            let Some(&number) = unhashed.front() else { return };
            let moving = &mut self.blocks[number];
            match std::mem::replace(&mut moving.state, State::Writing) {
                State::Read(span) => {
                    unhashed.pop_front();
                    let block = moving.write.block;
                    let bytes = self.io.arena().bytes(&span);
                    if task.hash_in_turn(moving.index, &bytes[..block.len]) {
                        bytes[block.len..block.padded].fill(0);
                        self.write(number, span);
                    } else {
                        self.back(number, span);
                    }
                }
                other => {
                    moving.state = other;
                    return;
                }
            }
        }
    }

    /// Fail a block's file.
    fn fail(&mut self, number: usize, span: Span, error: IoError) {
        let file = self.blocks[number].file;
        let File { task, unhashed } = &mut self.files[file];
        task.fail(error);
        unhashed.retain(|other| *other != number);
        self.back(number, span);
        // Those behind it that are read are given up now; those in flight, when they come back.
        self.hash_ready(file);
    }

    /// A block is back, written or given up: its memory is free; the last one of a file has it judged.
    fn back(&mut self, number: usize, span: Span) {
        self.io.arena().give_back(span);
        let moving = self.blocks.remove(number);
        if self.files[moving.file].task.block_back(&[&moving.read, &moving.write]) {
            let file = self.files.remove(moving.file);
            self.current.take_if(|current| *current == moving.file);
            self.context.close(&file.task, self.sender);
        }
    }

    /// The ring itself has failed: nothing in flight will be heard of again.
    fn abandon(&mut self, source: &io::Error) {
        let failed =
            || IoError::Ring { source: io::Error::from_raw_os_error(source.raw_os_error().unwrap_or(0)) };
        for file in self.files.drain() {
            file.task.fail(failed());
            self.context.close(&file.task, self.sender);
        }
        while let Some(index) = self.context.queue.take(self.context.jobs.len()) {
            self.context.done(index, Err(failed()));
        }
    }
}
