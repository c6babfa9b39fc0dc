//! A file as the Parquet reader wants it: parts of it, by several threads at once.

use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use nexa_io::FilePieces;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::RecordError;

/// Bytes that are read ahead where the end of a part isn't known: page headers are smaller.
const AHEAD_BYTES: usize = 8 << 10;

/// A file that is read at places, without a cursor that threads would share.
#[derive(Clone)]
pub(super) struct Chunks(Arc<FilePieces>);

impl Chunks {
    pub(super) fn open(path: &Path) -> Result<Self, RecordError> {
        let file =
            FilePieces::open(path).map_err(|source| RecordError::Io { path: path.to_owned(), source })?;
        Ok(Self(Arc::new(file)))
    }

    /// Say whether the file's first bytes are `magic`; of at most 8 bytes.
    pub(super) fn begins_with(&self, magic: &[u8]) -> bool {
        let mut head = [0; 8];
        self.0.fill(&mut head, 0).is_ok_and(|n| head[..n].starts_with(magic))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::with_capacity(AHEAD_BYTES, From { file: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // A footer may claim anything: memory is taken for what the file has.
        if start.checked_add(length as u64).is_none_or(|end| end > self.0.len()) {
            let detail = format!("{length} bytes at {start} are beyond its {} bytes", self.0.len());
            return Err(ParquetError::EOF(detail));
        }
        let mut bytes = vec![0; length];
        let n = self.0.fill(&mut bytes, start).map_err(|error| ParquetError::External(Box::new(error)))?;
        if n < length {
            return Err(ParquetError::EOF(format!("it ends at {}, while it is read", start + n as u64)));
        }
        Ok(bytes.into())
    }
}

/// The file from a place on.
pub(super) struct From {
    file: Chunks,
    at: u64,
}

impl Read for From {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.file.0.fill(into, self.at).map_err(io::Error::other)?;
        self.at += n as u64;
        Ok(n)
    }
}
