//! A shard's schema and row count without the shard: what a check of many shards reads of each.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use nexa_io::{FilePieces, IoError};

use crate::ipc_layout::{self, Layout, Ranges};
use crate::shard::{rows_by_batch, total_rows};
use crate::{RecordError, sniff};

/// What a shard says about itself.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows of all batches, from their headers.
    pub num_rows: u64,
}

impl Summary {
    /// Read an Arrow IPC file's footer and its batches' headers: some kilobytes, whatever the file's size, on network
    /// filesystems too.
    ///
    /// # Args
    ///
    /// - `expected`: whether the file ought to be Arrow, by its name say; one that is not is an error then.
    ///
    /// # Returns
    ///
    /// `None` where the file is of another format and that is fine.
    ///
    /// # Errors
    ///
    /// As [`Shard::open`](crate::Shard::open).
    pub fn read(path: &Path, expected: bool) -> Result<Option<Self>, RecordError> {
        let file = Parts::open(path)?;
        if !expected && !file.head.starts_with(ipc_layout::MAGIC) {
            return Ok(None);
        }
        let Layout { schema, batches, .. } = ipc_layout::read(&file, path)?;
        let num_rows = total_rows(&rows_by_batch(&file, &batches, path)?, path)?;
        Ok(Some(Self { schema: Arc::new(schema), num_rows }))
    }
}

/// A file of which parts are read.
struct Parts<'a> {
    file: FilePieces,
    path: &'a Path,
    /// The first bytes, which are looked at twice.
    head: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn open(path: &'a Path) -> Result<Self, RecordError> {
        let file =
            FilePieces::open(path).map_err(|source| RecordError::Io { path: path.to_owned(), source })?.few();
        let mut parts = Self { file, path, head: Vec::new() };
        parts.head = parts.read(0..parts.len().min(sniff::LOOKED_AT))?;
        Ok(parts)
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<u8>, RecordError> {
        let mut bytes = vec![0; range.len()];
        let found = self.file.fill(&mut bytes, range.start as u64).and_then(|n| {
            let detail = || format!("it had {} bytes, now it ends at {}", self.len(), range.start + n);
            let whole = n == bytes.len();
            whole
                .then_some(())
                .ok_or_else(|| IoError::SourceChanged { path: self.path.to_owned(), detail: detail() })
        });
        match found {
            Ok(()) => Ok(bytes),
            Err(source) => Err(RecordError::Io { path: self.path.to_owned(), source }),
        }
    }
}

impl Ranges for Parts<'_> {
    fn len(&self) -> usize {
        // A file that the address space cannot hold is refused where its parts are looked for.
        usize::try_from(self.file.len()).unwrap_or(usize::MAX)
    }

    fn get(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, RecordError> {
        match self.head.get(range.clone()) {
            Some(bytes) => Ok(Cow::Borrowed(bytes)),
            None => self.read(range).map(Cow::Owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Element, Shard, WriteColumn, write_shard};

    fn shard(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("a.arrow");
        let values: Vec<u8> = (0..3000u32).flat_map(u32::to_le_bytes).collect();
        let column =
            WriteColumn { name: "x".to_owned(), element: Element::F32, row_shape: vec![3], values: &values };
        write_shard(&path, &[column], 1000).unwrap();
        path
    }

    #[test]
    fn a_summary_is_what_the_whole_shard_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = shard(folder.path());
        let (summary, whole) = (Summary::read(&path, false).unwrap().unwrap(), Shard::open(&path).unwrap());
        assert_eq!((summary.num_rows, summary.schema), (whole.num_rows(), whole.schema()));
    }

    #[test]
    fn a_damaged_shard_gives_the_whole_shards_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = shard(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        let lengths = (0..bytes.len()).step_by(101).chain(0..40).chain(bytes.len() - 40..bytes.len());
        for len in lengths {
            std::fs::write(&path, &bytes[..len]).unwrap();
            let (summary, whole) = (Summary::read(&path, true), Shard::open(&path));
            assert_eq!(summary.unwrap_err().to_string(), whole.unwrap_err().to_string(), "{len} bytes");
        }
        for flipped in (bytes.len() - 600..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[flipped] ^= 0x41;
            std::fs::write(&path, &damaged).unwrap();
            let summary = Summary::read(&path, true).map(|found| found.map(|found| found.num_rows));
            let whole = Shard::open(&path).map(|whole| Some(whole.num_rows()));
            assert_eq!(
                summary.map_err(|e| e.to_string()),
                whole.map_err(|e| e.to_string()),
                "byte {flipped}"
            );
        }
    }

    #[test]
    fn another_format_is_nothing_unless_arrow_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        for content in [b"".as_slice(), b"ARROW", b"PAR1 and so on"] {
            std::fs::write(&path, content).unwrap();
            assert!(Summary::read(&path, false).unwrap().is_none());
            assert!(Summary::read(&path, true).is_err());
        }
        assert!(matches!(Summary::read(folder.path(), false), Err(RecordError::Io { .. })));
    }
}
