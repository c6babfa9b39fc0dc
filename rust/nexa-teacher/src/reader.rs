//! Reads records from where they lie, beside whoever writes: what is durable is never written again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use zstd::bulk::Decompressor;

use crate::error::JournalError;
use crate::frame::{Found, Meta, Seal, ZSTD, decode};
use crate::index::Place;
use crate::packing::decompressed;

/// A file as it was when this was made; a purge since then doesn't change it.
#[derive(Clone)]
pub(crate) struct Reader {
    pub path: PathBuf,
    pub file: Arc<File>,
    pub seal: Seal,
}

impl Reader {
    /// Read the record at `place`: its fields and its body, decompressed.
    ///
    /// # Errors
    /// [`JournalError::Read`], [`JournalError::Damaged`].
    pub(crate) fn read(&self, place: Place) -> Result<(Meta, Vec<u8>), JournalError> {
        let unreadable = |source| JournalError::Read { path: self.path.clone(), source };
        let mut bytes = vec![0; place.bytes as usize];
        self.file.read_exact_at(&mut bytes, place.offset).map_err(unreadable)?;
        let damaged = || JournalError::Damaged { path: self.path.clone(), offset: place.offset };
        let Found::Record(meta, body, _) = decode(&self.seal, &bytes) else { return Err(damaged()) };
        if meta.flags & ZSTD == 0 {
            return Ok((meta, body.to_vec()));
        }
        let mut unpacker = Decompressor::new().map_err(unreadable)?;
        decompressed(&mut unpacker, body).map(|body| (meta, body)).ok_or_else(damaged)
    }
}
