//! Where an MDS shard's samples lie: their number, their offsets, and the configuration before the first.

use std::path::{Path, PathBuf};

use nexa_io::{Alignment, BufferPool};

use super::columns::{self, Column};
use crate::RecordError;
use crate::source::options::ReadOptions;
use crate::source::rows::{Flaw, lost};
use crate::source::unit::{BadRecord, Cut, Unit, Work};
use crate::source::unpack::{self, Unpacked};

/// Bytes of a configuration that are read.
const MAX_CONFIG: usize = 16 << 20;

/// Bytes that memory is taken for at once, whatever a shard states.
const STEP: usize = 1 << 20;

/// A shard up to its first sample.
pub(super) struct Shard {
    pub(super) columns: Vec<Column>,
    /// Where each sample begins, and where the last one ends.
    pub(super) offsets: Vec<u32>,
    stream: Unpacked,
}

impl Shard {
    pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Self, RecordError> {
        let mut stream = unpack::open(path, options.unpack_ratio)?;
        let odd = |detail: &str| RecordError::NotOfFormat {
            path: path.to_owned(),
            format: "mds",
            detail: detail.to_owned(),
        };
        let mut exactly = |bytes: usize| {
            let read = exactly(&mut stream, bytes)?;
            let why = || stream.damage().unwrap_or("it ends before its first sample").to_owned();
            read.ok_or_else(|| odd(&why()))
        };
        let numbers = |bytes: &[u8]| -> Vec<u32> {
            bytes.chunks_exact(4).map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]])).collect()
        };
        let samples = numbers(&exactly(4)?)[0] as usize;
        let table = samples.saturating_add(1).saturating_mul(4);
        if table > options.record_bytes {
            return Err(odd(&format!(
                "it states {samples} samples, whose offsets alone exceed record_bytes"
            )));
        }
        let offsets = numbers(&exactly(table)?);
        let config = (offsets[0] as usize).checked_sub(4 + table).filter(|bytes| *bytes <= MAX_CONFIG);
        let config = config.ok_or_else(|| odd("its first sample doesn't begin behind its offsets"))?;
        let columns = columns::read(&exactly(config)?).map_err(|detail| odd(&detail))?;
        Ok(Self { columns, offsets, stream })
    }
}

/// Read so many bytes, taking memory for what comes; `None` where there are fewer.
fn exactly(stream: &mut Unpacked, bytes: usize) -> Result<Option<Vec<u8>>, RecordError> {
    let mut read = Vec::new();
    while read.len() < bytes {
        let have = read.len();
        read.resize(bytes.min(have + STEP), 0);
        if stream.fill(&mut read[have..])? < read.len() - have {
            return Ok(None);
        }
    }
    Ok(Some(read))
}

/// Cuts runs of samples: their bytes end to end, then the length of each and their number, 4 bytes each.
pub(super) struct Runs {
    path: PathBuf,
    offsets: Vec<u32>,
    stream: Unpacked,
    pool: BufferPool,
    block_bytes: usize,
    record_bytes: usize,
    /// The sample that comes next.
    next: usize,
    /// Where the stream is.
    at: u64,
    bad: Option<BadRecord>,
    through: bool,
}

impl Runs {
    pub(super) fn new(path: PathBuf, shard: Shard, options: &ReadOptions) -> Self {
        Self {
            path,
            at: u64::from(shard.offsets[0]),
            offsets: shard.offsets,
            stream: shard.stream,
            pool: BufferPool::new(Alignment::CACHE_LINE, options.block_bytes.saturating_mul(8)),
            block_bytes: options.block_bytes.max(1),
            record_bytes: options.record_bytes,
            next: 0,
            bad: None,
            through: false,
        }
    }

    /// Give a sample's bytes, if it follows the one before.
    fn length(&self, sample: usize, at: u64) -> Result<usize, Flaw> {
        let (begin, end) = (u64::from(self.offsets[sample]), u64::from(self.offsets[sample + 1]));
        if begin < at || end < begin {
            return Err(Flaw::new(format!(
                "its offsets are {begin} to {end}, behind a sample that ends at {at}"
            )));
        }
        let bytes = usize::try_from(end - begin).unwrap_or(usize::MAX);
        if bytes > self.record_bytes {
            let allowed = self.record_bytes;
            return Err(Flaw::new(format!(
                "it has {bytes} bytes, more than record_bytes allows ({allowed})"
            )));
        }
        Ok(bytes)
    }

    /// Fill `into` from the stream, as far as it goes; what ends it loses all samples from `first` on.
    fn fill(&mut self, into: &mut [u8], first: usize) -> Result<usize, RecordError> {
        let n = self.stream.fill(into)?;
        if n == into.len() {
            return Ok(n);
        }
        let reason = self.stream.damage().unwrap_or("it is cut short").to_owned();
        self.through = true;
        let samples = (self.offsets.len() - 1 - first) as u64;
        self.bad = Some(lost(samples, u64::from(self.offsets[first]), reason));
        Ok(n)
    }

    /// Pass over what lies before a sample.
    fn seek(&mut self, to: u64, sample: usize) -> Result<(), RecordError> {
        let mut scratch = vec![0; STEP];
        while self.at < to && !self.through {
            let want = usize::try_from(to - self.at).unwrap_or(usize::MAX).min(STEP);
            self.at += self.fill(&mut scratch[..want], sample)? as u64;
        }
        Ok(())
    }

    /// Find how long the samples are that come next and lie end to end.
    fn run(&mut self) -> Vec<usize> {
        let (mut lengths, mut bytes) = (Vec::new(), 0);
        let first = self.next;
        let mut at = u64::from(self.offsets[first]);
        while self.next + 1 < self.offsets.len()
            && bytes < self.block_bytes
            && lengths.len() < self.block_bytes
        {
            match self.length(self.next, at) {
                Ok(length) => {
                    lengths.push(length);
                    bytes += length;
                    at += length as u64;
                }
                Err(_) if !lengths.is_empty() => break,
                Err(flaw) => {
                    self.bad = Some(flaw.bad(Some(at), &[]));
                    self.next += 1;
                    break;
                }
            }
            self.next += 1;
        }
        lengths
    }

    /// Read samples, or those of them that are there.
    fn read(&mut self, mut lengths: Vec<usize>, first: usize) -> Result<Option<Unit>, RecordError> {
        // A length may be a lie, so memory is taken as bytes come.
        let total: usize = lengths.iter().sum();
        let mut read = Vec::new();
        while read.len() < total && !self.through {
            let have = read.len();
            read.resize(total.min((2 * have).max(STEP)), 0);
            let n = self.fill(&mut read[have..], first)?;
            read.truncate(have + n);
        }
        let offset = self.at;
        self.at += read.len() as u64;
        if self.through {
            let mut end = 0;
            let whole = lengths.iter().take_while(|length| {
                end += **length;
                end <= read.len()
            });
            lengths.truncate(whole.count());
            if let Some(bad) = &mut self.bad {
                bad.records -= lengths.len() as u64;
                bad.offset = Some(u64::from(self.offsets[first + lengths.len()]));
            }
        }
        if lengths.is_empty() {
            return Ok(None);
        }
        let bytes: usize = lengths.iter().sum();
        let taken = self.pool.take(bytes + 4 * (lengths.len() + 1));
        let mut block = taken.map_err(|source| RecordError::Io { path: self.path.clone(), source })?;
        block[..bytes].copy_from_slice(&read[..bytes]);
        let number = lengths.len();
        let stated = lengths.iter().chain(std::iter::once(&number));
        for (into, length) in block[bytes..].chunks_exact_mut(4).zip(stated) {
            into.copy_from_slice(&u32::try_from(*length).unwrap_or(u32::MAX).to_le_bytes());
        }
        Ok(Some(Unit { offset, work: Work::Bytes(block) }))
    }
}

impl Cut for Runs {
    fn next(&mut self) -> Result<Option<Unit>, RecordError> {
        loop {
            if let Some(bad) = self.bad.take() {
                return Ok(Some(Unit { offset: self.at, work: Work::Lost(bad) }));
            }
            if self.through || self.next + 1 >= self.offsets.len() {
                return Ok(None);
            }
            let first = self.next;
            let begin = u64::from(self.offsets[first]);
            if begin < self.at {
                let reason =
                    format!("its offset {begin} is before the end of the sample before, {}", self.at);
                self.bad = Some(Flaw::new(reason).bad(Some(begin), &[]));
                self.next += 1;
                continue;
            }
            let lengths = self.run();
            if lengths.is_empty() {
                continue;
            }
            self.seek(begin, first)?;
            if let Some(unit) = self.read(lengths, first)? {
                return Ok(Some(unit));
            }
        }
    }
}

/// Take a run apart: the samples' bytes, and each one's length.
pub(super) fn parts(block: &[u8]) -> Option<(&[u8], impl Iterator<Item = usize> + '_)> {
    let (rest, n) = block.split_last_chunk::<4>()?;
    let n = u32::from_le_bytes(*n) as usize;
    let (bytes, lengths) = rest.split_at_checked(rest.len().checked_sub(4 * n)?)?;
    Some((bytes, lengths.chunks_exact(4).map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]]) as usize)))
}
