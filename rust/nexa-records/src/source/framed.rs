//! Cuts files whose records say how long they are: whole records of about a block become a unit.

use std::path::PathBuf;

use nexa_io::{Alignment, BufferPool};

use super::options::ReadOptions;
use super::rows::lost;
use super::unit::{BadRecord, Cut, Unit, Work};
use super::unpack::{self, Unpacked};
use crate::RecordError;

/// How much more than what came is made room for at once, where more is announced than a block: it may be a lie.
const GROWTH: usize = 2;

/// Bytes of what was cut short that are kept.
const RAW_BYTES: usize = 4096;

/// What a format says of the bytes where a record begins.
#[derive(Debug)]
pub(super) enum Step {
    /// The record has so many bytes, more than 0, and all are there.
    Whole(usize),
    /// So many bytes, more than there are, are needed to say more.
    More(usize),
    /// So many bytes, more than 0, belong to no record, or to the bad one that is given.
    Skip(u64, Option<BadRecord>),
    /// What follows can't be read, or isn't meant to be.
    End(Option<BadRecord>),
}

/// How a format's records follow each other.
pub(super) trait Frame: Send {
    /// Say what comes at `bytes`, `offset` bytes into the (unpacked) file; `ended` if nothing follows `bytes`, which
    /// are never none.
    fn step(&mut self, bytes: &[u8], offset: u64, ended: bool) -> Step;
}

/// Cuts by what a frame says.
pub(super) struct Framed<F> {
    path: PathBuf,
    stream: Unpacked,
    frame: F,
    pool: BufferPool,
    block_bytes: usize,
    /// Bytes read and not yet cut off.
    held: Vec<u8>,
    /// Where `held` begins in the file.
    offset: u64,
    /// Bytes that are to be passed over before `held` goes on.
    skip: u64,
    ended: bool,
    /// What broke the stream; comes after what is whole.
    broken: Option<String>,
    /// Comes next.
    bad: Option<BadRecord>,
    through: bool,
}

impl<F: Frame> Framed<F> {
    pub(super) fn open(path: PathBuf, frame: F, options: &ReadOptions) -> Result<Self, RecordError> {
        let stream = unpack::open(&path, options.unpack_ratio)?;
        let pool = BufferPool::new(Alignment::CACHE_LINE, options.block_bytes.saturating_mul(8));
        Ok(Self {
            path,
            stream,
            frame,
            pool,
            block_bytes: options.block_bytes.max(1),
            held: Vec::new(),
            offset: 0,
            skip: 0,
            ended: false,
            broken: None,
            bad: None,
            through: false,
        })
    }

    /// Read until `want` bytes are held or the stream ends; in steps, so that memory is taken for what comes.
    fn read(&mut self, want: usize) -> Result<(), RecordError> {
        while self.held.len() < want && !self.ended {
            let have = self.held.len();
            let step = want.min(have.saturating_mul(GROWTH)).max(self.block_bytes);
            self.held.resize(step, 0);
            let n = self.stream.fill(&mut self.held[have..])?;
            self.ended = n < step - have;
            self.broken = self.stream.damage().filter(|_| self.ended).map(str::to_owned);
            self.held.truncate(have + n);
        }
        Ok(())
    }

    /// Pass over what was announced to be, without keeping it.
    fn pass(&mut self) -> Result<(), RecordError> {
        loop {
            let here = self.skip.min(self.held.len() as u64);
            self.held.drain(..usize::try_from(here).unwrap_or(0));
            self.offset += here;
            self.skip -= here;
            if self.skip == 0 || (self.ended && self.held.is_empty()) {
                break;
            }
            self.read(1)?;
        }
        if self.skip > 0 {
            self.broken.get_or_insert_with(|| format!("it is cut short by {} bytes", self.skip));
            self.skip = 0;
        }
        Ok(())
    }

    /// Cut off the first `bytes`.
    fn cut(&mut self, bytes: usize) -> Result<Unit, RecordError> {
        let io = |source| RecordError::Io { path: self.path.clone(), source };
        let mut block = self.pool.take(bytes).map_err(io)?;
        block.copy_from_slice(&self.held[..bytes]);
        self.held.drain(..bytes);
        if self.held.capacity() / 8 > self.block_bytes {
            self.held.shrink_to(2 * self.block_bytes);
        }
        let offset = self.offset;
        self.offset += bytes as u64;
        Ok(Unit { offset, work: Work::Bytes(block) })
    }

    /// Find how many bytes of whole records come next, taking note of what comes behind them.
    fn whole(&mut self) -> Result<usize, RecordError> {
        let mut whole = 0;
        while whole < self.block_bytes && self.bad.is_none() && self.skip == 0 && !self.through {
            if whole == self.held.len() {
                if whole > 0 && !self.ended {
                    break;
                }
                self.read(whole + 1)?;
                if whole == self.held.len() {
                    self.through = true;
                    break;
                }
            }
            let at = self.offset + whole as u64;
            match self.frame.step(&self.held[whole..], at, self.ended) {
                Step::Whole(bytes) => whole += bytes,
                Step::Skip(bytes, bad) => (self.skip, self.bad) = (bytes, bad),
                Step::End(bad) => {
                    // Where the rest is given up, what is wrong further on is no news, whether it was read yet or not.
                    if bad.is_some() {
                        (self.ended, self.broken) = (true, None);
                    }
                    (self.through, self.bad) = (true, bad);
                }
                Step::More(_) if whole > 0 && !self.ended => break,
                Step::More(bytes) if !self.ended => self.read(whole + bytes)?,
                Step::More(_) => {
                    self.through = true;
                    let reason = self.broken.take().unwrap_or_else(|| "it is cut short".to_owned());
                    let mut bad = lost(0, at, reason);
                    bad.raw = self.held[whole..self.held.len().min(whole + RAW_BYTES)].to_vec();
                    self.bad = Some(bad);
                }
            }
        }
        Ok(whole)
    }
}

impl<F: Frame> Cut for Framed<F> {
    fn next(&mut self) -> Result<Option<Unit>, RecordError> {
        loop {
            if self.bad.is_none() && self.skip > 0 {
                self.pass()?;
            }
            if let Some(bad) = self.bad.take() {
                return Ok(Some(Unit { offset: bad.offset.unwrap_or(self.offset), work: Work::Lost(bad) }));
            }
            if self.through {
                // Behind the last record there may still be a checksum.
                while !self.ended {
                    self.held.clear();
                    self.read(1)?;
                }
                let broken = self.broken.take().map(|reason| lost(0, self.offset, reason));
                return Ok(broken.map(|bad| Unit { offset: self.offset, work: Work::Lost(bad) }));
            }
            let whole = self.whole()?;
            if whole > 0 {
                return self.cut(whole).map(Some);
            }
        }
    }
}
