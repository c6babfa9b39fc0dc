//! A file's bytes as who cuts frames wants them: what broke the stream comes with the bytes before it.

use std::path::Path;

use nexa_io::IoError;

use super::format::Compression;
use super::unpack::{self, Unpacked};
use crate::RecordError;

/// Why a stream ended early.
#[derive(Debug)]
pub(super) enum Broken {
    /// The disk failed: nothing else can be read either.
    Disk(IoError),
    /// What is packed is damaged, or unpacks to too much; what came before is sound.
    Packing(String),
}

/// The bytes of a file, in order, unpacked on the way if it is compressed.
pub(super) struct PackedStream(Unpacked);

impl PackedStream {
    /// Open a file; how it is compressed is seen from its first bytes.
    pub(super) fn open(path: &Path, ratio: u64) -> Result<Self, RecordError> {
        unpack::open(path, ratio).map(Self)
    }

    /// Say how the file is compressed.
    pub(super) const fn compression(&self) -> Compression {
        self.0.compression()
    }

    /// Fill `into`, and return how many bytes there were: fewer only at the end.
    pub(super) fn fill(&mut self, into: &mut [u8]) -> Result<usize, (usize, Broken)> {
        match self.0.fill(into) {
            Ok(n) if n < into.len() => match self.0.damage() {
                Some(reason) => Err((n, Broken::Packing(reason.to_owned()))),
                None => Ok(n),
            },
            Ok(n) => Ok(n),
            Err(RecordError::Io { source, .. }) => Err((0, Broken::Disk(source))),
            Err(error) => Err((0, Broken::Packing(error.to_string()))),
        }
    }
}
