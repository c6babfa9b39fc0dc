//! Lets the answers' bodies go: the file is written anew without them, and takes the old one's place in one step.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use zstd::bulk::Decompressor;

use crate::error::JournalError;
use crate::frame::{FOREIGN, Found, Kind, Meta, Seal, ZSTD, decode, encode};
use crate::header::{HEADER_BYTES, header, sync_folder};
use crate::index::Index;
use crate::journal::{Journal, Kept};
use crate::packing::decompressed;
use crate::reader::Reader;
use crate::scan::scan;

impl Journal {
    /// Delete every body; digests, counts and spend stay. Returns the bytes that were freed.
    ///
    /// A kill at any point leaves the old file or the new one. What can't be read any more isn't thrown away: then
    /// nothing is purged.
    ///
    /// # Errors
    /// As [`Journal::sync`], [`JournalError::Read`], and [`JournalError::Damaged`] where the file isn't what it was
    /// when it was opened.
    pub fn purge(&self) -> Result<u64, JournalError> {
        // Twice: the first sync may have something to say about the answers in it.
        self.sync()?;
        self.sync()?;
        let _alone = self.writing();
        let mut kept = self.kept();
        let before = kept.end;
        let unwritable = |source| JournalError::Write { path: self.path().to_owned(), source };
        if !self.writes() {
            return Err(JournalError::ReadOnly { path: self.path().to_owned() });
        }
        let old = self.reader(&kept)?;
        let beside = self.path().with_extension("purging");
        let written = self.write_without_bodies(&kept, &old, &beside).and_then(|file| {
            fs::rename(&beside, self.path()).and_then(|()| sync_folder(self.path())).map_err(unwritable)?;
            Ok(file)
        });
        let file = written.inspect_err(|_| drop(fs::remove_file(&beside)))?;
        let mut index = Index::default();
        let scanned = scan(&file, &old.seal, HEADER_BYTES, |meta, _, place| index.apply(meta, place))
            .map_err(|source| JournalError::Read { path: self.path().to_owned(), source })?;
        kept.reader = Some(Reader { file: Arc::new(file), ..old });
        kept.index = index;
        kept.end = scanned.end;
        kept.damaged = 0;
        Ok(before.saturating_sub(scanned.end))
    }

    fn write_without_bodies(&self, kept: &Kept, old: &Reader, beside: &Path) -> Result<File, JournalError> {
        let unwritable = |source| JournalError::Write { path: self.path().to_owned(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(beside)
            .map_err(unwritable)?;
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        let mut unpacker = Decompressor::new().map_err(unwritable)?;
        let mut record = Vec::new();
        let mut failed = out.write_all(&header(&old.seal)).err();
        let scanned = scan(&old.file, &old.seal, HEADER_BYTES, |meta, body, _| {
            record.clear();
            without_body(&old.seal, &mut unpacker, meta, body, &mut record);
            if failed.is_none() {
                failed = out.write_all(&record).err();
            }
        })
        .map_err(|source| JournalError::Read { path: self.path().to_owned(), source })?;
        if scanned.given_up || (scanned.end, scanned.damaged) != (kept.end, kept.damaged) {
            return Err(JournalError::Damaged { path: self.path().to_owned(), offset: scanned.end });
        }
        if let Some(source) = failed.or_else(|| out.flush().err()) {
            return Err(unwritable(source));
        }
        drop(out);
        file.sync_all().map_err(unwritable)?;
        Ok(file)
    }
}

fn without_body(
    seal: &Seal,
    unpacker: &mut Decompressor<'_>,
    meta: &Meta,
    body: &[u8],
    record: &mut Vec<u8>,
) {
    match meta.kind {
        Kind::Answer | Kind::Adopted => {
            let digest = if meta.flags & ZSTD == 0 {
                Some(Sha256::digest(body))
            } else {
                decompressed(unpacker, body).map(|body| Sha256::digest(&body))
            };
            let foreign = if meta.foreign() { FOREIGN } else { 0 };
            let meta = Meta { kind: Kind::Digest, flags: foreign, ..*meta };
            encode(seal, &meta, digest.as_deref().unwrap_or(&[]), record);
        }
        Kind::Refused | Kind::Lost => {
            encode(seal, &Meta { flags: meta.flags & FOREIGN, ..*meta }, &[], record);
        }
        Kind::Intent | Kind::Settled | Kind::Digest => encode(seal, meta, body, record),
    }
    debug_assert!(matches!(decode(seal, record), Found::Record(..)), "what is written is a record");
}
