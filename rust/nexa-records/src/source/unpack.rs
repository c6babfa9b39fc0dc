//! Takes off what a whole file is compressed with, in one pass and in bounded memory.
//!
//! Compression is known by content. A gzip file may have any number of members (RFC 1952, 2.2), a zstd file any number of
//! frames, skippable ones among them (RFC 8878, 3.1). What was unpacked before a damaged place is given; the damage is a
//! value that the caller asks for at the end, since what became of the rest is a matter of records.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use nexa_io::{FilePieces, IoError};
use zstd::stream::read::Decoder as Zstd;

use super::format::Compression;
use super::gzip::Gzip;
use crate::RecordError;

/// Bytes of the packed file that are read at a time.
const PACKED_BYTES: usize = 128 << 10;

/// Bytes that are unpacked at once.
const CHUNK_BYTES: usize = 64 << 10;

/// What a file may unpack to whatever its ratio: a small file of zeros is no attack.
const HARMLESS_BYTES: u64 = 16 << 20;

/// Memory that a zstd frame may ask for, as a power of two: what `zstd` itself takes without `--long` or `--memory`.
const WINDOW_LOG: u32 = 27;

/// A file's bytes in order, unpacked.
pub(crate) struct Unpacked {
    path: PathBuf,
    stream: Stream,
    /// Bytes given so far.
    given: u64,
    ratio: u64,
    compression: Compression,
    /// Unpacked and not yet given, from `taken` on. Always asked for in the same pieces, so that of a damaged stream the
    /// same bytes come out whoever reads it, and in whatever pieces.
    chunk: Vec<u8>,
    taken: usize,
    damage: Option<String>,
}

enum Stream {
    Plain(Packed),
    Gzip(Box<Gzip<BufReader<Packed>>>),
    Zstd(Zstd<'static, BufReader<Packed>>),
    /// Ended, by the file or by damage.
    Ended,
}

/// Open a file that may be compressed; `ratio` is how many times its size it may unpack to.
///
/// # Errors
/// [`RecordError::Io`].
pub(crate) fn open(path: &Path, ratio: u64) -> Result<Unpacked, RecordError> {
    let failed = |source| RecordError::Io { path: path.to_owned(), source };
    let file = FilePieces::open(path).map_err(failed)?;
    let mut head = [0; 4];
    let n = file.fill(&mut head, 0).map_err(failed)?;
    let packed = Packed { file, at: 0 };
    let buffered = |packed| BufReader::with_capacity(PACKED_BYTES, packed);
    let compression = Compression::of(&head[..n]);
    let (stream, damage) = match compression {
        Compression::None => (Stream::Plain(packed), None),
        Compression::Gzip => (Stream::Gzip(Box::new(Gzip::new(buffered(packed)))), None),
        Compression::Zstd => match zstd_stream(buffered(packed)) {
            Ok(stream) => (stream, None),
            Err(error) => (Stream::Ended, Some(error.to_string())),
        },
    };
    let (path, chunk) = (path.to_owned(), Vec::new());
    Ok(Unpacked { path, stream, given: 0, ratio, compression, chunk, taken: 0, damage })
}

fn zstd_stream(packed: BufReader<Packed>) -> io::Result<Stream> {
    let mut stream = Zstd::with_buffer(packed)?;
    stream.window_log_max(WINDOW_LOG)?;
    Ok(Stream::Zstd(stream))
}

impl Unpacked {
    /// Fill `into` with what comes next and return how many bytes there were: fewer only where it ends.
    ///
    /// # Errors
    /// [`RecordError::Io`] where the file can't be read; damage is no error, see [`damage`](Self::damage).
    pub(crate) fn fill(&mut self, into: &mut [u8]) -> Result<usize, RecordError> {
        let mut filled = 0;
        while filled < into.len() {
            if self.compression == Compression::None {
                match self.read(&mut into[filled..])? {
                    0 => break,
                    n => filled += n,
                }
                continue;
            }
            if self.taken == self.chunk.len() {
                self.unpack()?;
            }
            let n = (into.len() - filled).min(self.chunk.len() - self.taken);
            if n == 0 {
                break;
            }
            into[filled..filled + n].copy_from_slice(&self.chunk[self.taken..self.taken + n]);
            (filled, self.taken) = (filled + n, self.taken + n);
        }
        Ok(filled)
    }

    /// Unpack the next piece.
    fn unpack(&mut self) -> Result<(), RecordError> {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.resize(CHUNK_BYTES, 0);
        let mut have = 0;
        while have < chunk.len() {
            match self.read(&mut chunk[have..])? {
                0 => break,
                n => have += n,
            }
        }
        chunk.truncate(have);
        (self.chunk, self.taken) = (chunk, 0);
        Ok(())
    }

    /// Read once from the stream; 0 at its end, or where it is damaged.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, RecordError> {
        let n = match self.read_stream(into) {
            Ok(n) => n,
            Err(error) => self.failed(error)?,
        };
        if n == 0 {
            self.stream = Stream::Ended;
        }
        Ok(n)
    }

    /// Say how the file is compressed.
    pub(crate) const fn compression(&self) -> Compression {
        self.compression
    }

    /// Say why it ended before its end, if it did.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Return the file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn read_stream(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (n, packed) = match &mut self.stream {
            Stream::Plain(packed) => return packed.read(into),
            Stream::Gzip(gzip) => (gzip.read(into)?, used(gzip.packed())),
            Stream::Zstd(zstd) => (zstd.read(into)?, used(zstd.get_ref())),
            Stream::Ended => return Ok(0),
        };
        self.given += n as u64;
        if self.given > HARMLESS_BYTES.max(self.ratio.saturating_mul(packed)) {
            let ratio = self.ratio;
            return Err(io::Error::other(format!(
                "it unpacks to more than {ratio} times its size; if it is to be trusted, unpack it first"
            )));
        }
        Ok(n)
    }

    /// Part what the disk refused from what the file's bytes are wrong about.
    fn failed(&mut self, error: io::Error) -> Result<usize, RecordError> {
        let detail = error.to_string();
        let refused = error.into_inner().and_then(|inner| inner.downcast::<IoError>().ok());
        if let Some(source) = refused {
            return Err(RecordError::Io { path: self.path.clone(), source: *source });
        }
        self.damage = Some(detail);
        Ok(0)
    }
}

/// Bytes of the packed file that have been unpacked.
fn used(packed: &BufReader<Packed>) -> u64 {
    packed.get_ref().at - packed.buffer().len() as u64
}

/// A file from its beginning on.
struct Packed {
    file: FilePieces,
    at: u64,
}

impl Read for Packed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.file.fill(into, self.at).map_err(io::Error::other)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Read for Unpacked {
    /// As [`fill`](Unpacked::fill), for readers of other formats; damage is an error of kind
    /// [`InvalidData`](io::ErrorKind::InvalidData) here, given once all that came before it has been read.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.fill(into).map_err(io::Error::other)?;
        match &self.damage {
            Some(damage) if n == 0 && !into.is_empty() => {
                Err(io::Error::new(io::ErrorKind::InvalidData, damage.clone()))
            }
            _ => Ok(n),
        }
    }
}

/// Say whether `packed` has no more bytes but zeros, and pass over those.
///
/// # Errors
/// What reading fails with.
pub(super) fn only_zeros(packed: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = packed.fill_buf()?;
        if bytes.is_empty() {
            return Ok(true);
        }
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        let n = bytes.len();
        packed.consume(n);
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
