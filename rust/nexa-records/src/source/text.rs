//! Cuts text into blocks of whole records, by one pass that knows nothing of a format but where its records end.

use nexa_io::{Alignment, BufferPool, PooledBuf};

use super::options::ReadOptions;
use super::unit::{BadRecord, Cut, Unit, Work};
use super::unpack::{self, Unpacked};
use crate::RecordError;

/// Bytes of a bad record that are shown.
const RAW_BYTES: usize = 4 << 10;

/// Bytes that a record may have whatever the caller says: offsets of text within a batch are 32 bits wide.
const MAX_RECORD_BYTES: usize = 1 << 30;

/// Bytes at the file's beginning that a format may look at.
const HEAD_BYTES: usize = 1 << 20;

/// Blocks that wait for reuse in the pool.
const IDLE_BLOCKS: usize = 16;

/// What `text` begins with, where an editor marked it as UTF-8.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// Finds where records end; what it has seen of the record that is open lies in it.
pub(super) trait Ends: Send {
    /// Forget what was seen: what comes next begins with a record.
    fn begin(&mut self);

    /// Look through what comes next, and give the place behind the last end in it.
    fn last(&mut self, text: &[u8]) -> Option<usize>;

    /// Give the place behind the first end in what comes next.
    fn first(&mut self, text: &[u8]) -> Option<usize>;

    /// Say what is missing, where the file ends behind `text`, which has no end in it.
    fn missing(&self, text: &[u8]) -> Option<&'static str> {
        let _ = text;
        None
    }
}

/// A line a record.
pub(super) struct Lines;

impl Ends for Lines {
    fn begin(&mut self) {}

    fn last(&mut self, text: &[u8]) -> Option<usize> {
        memchr::memrchr(b'\n', text).map(|at| at + 1)
    }

    fn first(&mut self, text: &[u8]) -> Option<usize> {
        memchr::memchr(b'\n', text).map(|at| at + 1)
    }
}

/// Say that a record is too long.
pub(super) fn too_long(record_bytes: usize) -> String {
    format!("it is longer than {record_bytes} bytes; raise record_bytes, or mend the file")
}

/// Give the beginning of a record's bytes, which is all of them but for long ones.
pub(super) fn shown(record: &[u8]) -> Vec<u8> {
    record[..record.len().min(RAW_BYTES)].to_vec()
}

/// Bytes that a record may have.
pub(super) fn record_bytes(options: &ReadOptions) -> usize {
    options.record_bytes.min(MAX_RECORD_BYTES)
}

/// A file's blocks.
pub(super) struct Blocks {
    source: Unpacked,
    ends: Box<dyn Ends>,
    pool: BufferPool,
    block_bytes: usize,
    record_bytes: usize,
    /// What was read and not given: the beginning of a record, at the file's beginning perhaps more.
    carry: Vec<u8>,
    /// Where `carry` lies in the file.
    offset: u64,
    /// What is given behind all blocks.
    lost: Option<BadRecord>,
    over: bool,
}

impl Blocks {
    /// Open a file of which each line is a record, until [`begin`](Self::begin) says otherwise.
    pub(super) fn open(path: &std::path::Path, options: &ReadOptions) -> Result<Self, RecordError> {
        let block_bytes = options.block_bytes.clamp(16, MAX_RECORD_BYTES);
        Ok(Self {
            source: unpack::open(path, options.unpack_ratio)?,
            ends: Box::new(Lines),
            pool: BufferPool::new(Alignment::CACHE_LINE, IDLE_BLOCKS * block_bytes),
            block_bytes,
            record_bytes: record_bytes(options),
            carry: Vec::new(),
            offset: 0,
            lost: None,
            over: false,
        })
    }

    /// Give what the file begins with, a megabyte of it.
    pub(super) fn head(&mut self) -> Result<&[u8], RecordError> {
        self.carry.resize(HEAD_BYTES, 0);
        let n = self.source.fill(&mut self.carry)?;
        self.carry.truncate(n);
        Ok(&self.carry)
    }

    /// Pass over the first `n` bytes of the head; records lie behind them, and end as `ends` says.
    pub(super) fn begin(&mut self, n: usize, ends: Box<dyn Ends>) {
        self.carry.drain(..n);
        self.offset += n as u64;
        self.ends = ends;
    }

    /// Take a buffer with `text` at its front.
    fn buffer(&self, bytes: usize, text: &[u8]) -> Result<PooledBuf, RecordError> {
        let mut buffer = self
            .pool
            .take(bytes)
            .map_err(|source| RecordError::Io { path: self.source.path().to_owned(), source })?;
        buffer[..text.len()].copy_from_slice(text);
        Ok(buffer)
    }

    /// Give `buffer` up to `end`, and keep what lies behind that, up to `filled`.
    fn cut(&mut self, mut buffer: PooledBuf, end: usize, filled: usize) -> Unit {
        self.carry.clear();
        self.carry.extend_from_slice(&buffer[end..filled]);
        buffer.truncate(end);
        let offset = self.offset;
        self.offset += end as u64;
        Unit { offset, work: Work::Bytes(buffer) }
    }

    /// Give what is left at the file's end: in a damaged file only whole records, for half a number looks like one.
    fn finish(&mut self, buffer: PooledBuf, end: Option<usize>, filled: usize) -> Option<Unit> {
        let whole = end.unwrap_or(0);
        let missing = self.ends.missing(&buffer[whole..filled]);
        let end = if self.source.damage().is_some() { whole } else { filled };
        self.end(self.offset + end as u64, &buffer[end..filled], missing);
        if end > 0 { Some(self.cut(buffer, end, filled)) } else { self.last_word() }
    }

    /// Note that the file is over, and at which place and why if that is before its end.
    fn end(&mut self, offset: u64, rest: &[u8], missing: Option<&str>) {
        self.over = true;
        let reason = self.source.damage().or(missing);
        self.lost = reason.map(|reason| BadRecord {
            record: 0,
            records: 0,
            offset: Some(offset),
            column: None,
            reason: reason.to_owned(),
            raw: shown(rest),
        });
    }

    fn last_word(&mut self) -> Option<Unit> {
        self.lost.take().map(|bad| Unit { offset: self.offset, work: Work::Lost(bad) })
    }

    /// Pass over a record that began with `buffer` and is too long.
    fn skip(&mut self, mut buffer: PooledBuf, filled: usize) -> Result<Unit, RecordError> {
        let bad = BadRecord {
            record: 0,
            records: 1,
            offset: Some(self.offset),
            column: None,
            reason: too_long(self.record_bytes),
            raw: shown(&buffer),
        };
        let offset = self.offset;
        self.offset += filled as u64;
        buffer.truncate(self.block_bytes.max(RAW_BYTES));
        loop {
            let n = self.source.fill(&mut buffer)?;
            if let Some(end) = self.ends.first(&buffer[..n]) {
                self.offset += end as u64;
                self.carry.extend_from_slice(&buffer[end..n]);
                break;
            }
            self.offset += n as u64;
            if n < buffer.len() {
                self.end(self.offset, &[], None);
                break;
            }
        }
        Ok(Unit { offset, work: Work::Lost(bad) })
    }
}

impl Cut for Blocks {
    fn next(&mut self) -> Result<Option<Unit>, RecordError> {
        if self.over {
            return Ok(self.last_word());
        }
        self.ends.begin();
        let carry = std::mem::take(&mut self.carry);
        let (mut scanned, mut filled) = (0, carry.len());
        let bytes = if carry.len() > self.block_bytes / 2 { carry.len() * 2 } else { self.block_bytes };
        let mut buffer = self.buffer(bytes, &carry)?;
        self.carry = carry;
        self.carry.clear();
        loop {
            filled += self.source.fill(&mut buffer[filled..])?;
            let end = self.ends.last(&buffer[scanned..filled]).map(|end| scanned + end);
            if filled < buffer.len() {
                return Ok(self.finish(buffer, end, filled));
            }
            if let Some(end) = end {
                return Ok(Some(self.cut(buffer, end, filled)));
            }
            // Two bytes end a line at most.
            if filled > self.record_bytes + 2 {
                return self.skip(buffer, filled).map(Some);
            }
            scanned = filled;
            buffer = self.buffer(2 * filled, &buffer)?;
        }
    }
}
