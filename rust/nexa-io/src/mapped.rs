//! A shard as one slice: mapped where a mapping is safe, read into memory where it is not.
#![expect(unsafe_code, reason = "mapping a file is unsafe because another process may truncate it")]

use std::fmt;
use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::{Mmap, MmapMut, MmapOptions};

use crate::align::Alignment;
use crate::buffer::AlignedBuf;
use crate::digest_file::read_some;
use crate::error::IoError;
use crate::place;
use crate::regular::{Facts, Links, open_to_read};

/// The bytes of one regular file, read-only; share it in an [`Arc`](std::sync::Arc).
///
/// A mapping shows the file, not a copy: who changes or truncates a mapped shard in place changes what readers see, or
/// ends them with SIGBUS. Artifacts are published by renaming and never written again, so a local mapping is safe; on
/// a network filesystem another machine's mistake would kill this process, so there the file is read instead.
pub struct ShardBytes(Held);

/// What a shard's memory may be used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Read only; shared with whoever maps the file.
    #[default]
    Shared,
    /// Parts are handed out to be written: a write copies the page for this process alone and never reaches the file.
    Private,
}

/// The smallest of the large pages there are; a smaller file has none.
const HUGE_PAGE: usize = 2 << 20;

enum Held {
    Mapped(Mmap),
    Private(MmapMut),
    Read(AlignedBuf),
}

impl ShardBytes {
    /// Open a file and make all of its bytes available; symbolic links are followed.
    ///
    /// # Errors
    /// [`IoError::Open`] or [`IoError::NotAFile`]; where the file is read rather than mapped, also [`IoError::Read`],
    /// [`IoError::OutOfMemory`] and [`IoError::SourceChanged`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, IoError> {
        Self::open_as(path, Access::Shared)
    }

    /// Open a file as [`ShardBytes::open`] does, for the use that `access` says.
    ///
    /// # Errors
    /// As [`ShardBytes::open`].
    pub fn open_as(path: impl AsRef<Path>, access: Access) -> Result<Self, IoError> {
        let path = path.as_ref();
        let (file, facts) = open_to_read(path, Links::Follow)?;
        // An empty mapping is an error on Linux, and what cannot be told local is treated as remote.
        if facts.bytes > 0 && !place::is_network_file(&file, path).unwrap_or(true) {
            // SAFETY: the file is regular, local and opened read-only; see the type's contract on changes in place.
            let held = unsafe {
                match access {
                    Access::Shared => Mmap::map(&file).map(Held::Mapped),
                    // Few pages are ever written: swap needn't be reserved for all of them.
                    Access::Private => {
                        MmapOptions::new().no_reserve_swap().map_copy(&file).map(Held::Private)
                    }
                }
            };
            if let Ok(held) = held {
                return Ok(Self(held));
            }
        }
        read_whole(&file, facts, path).map(|buffer| Self(Held::Read(buffer)))
    }

    /// Ask for pages of the largest size, read in at a touch: random reads of a file that fits into memory miss the
    /// translation cache less, and the file is in memory after fewer faults. A file beyond memory would be read many
    /// times over. A hint: where the system can't, nothing changes.
    pub fn advise_huge_pages(&self) {
        #[cfg(target_os = "linux")]
        if let Held::Mapped(map) = &self.0
            && map.len() >= HUGE_PAGE
        {
            let _ = map.advise(memmap2::Advice::HugePage);
        }
    }

    /// Return all bytes; the first is aligned to a page.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Held::Mapped(map) => map,
            Held::Private(map) => map,
            Held::Read(buffer) => buffer,
        }
    }

    /// Return the length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Say whether the file has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Say whether the bytes are a mapping of the file rather than a copy.
    #[must_use]
    pub const fn is_mapped(&self) -> bool {
        matches!(self.0, Held::Mapped(_) | Held::Private(_))
    }
}

fn read_whole(file: &File, facts: Facts, path: &Path) -> Result<AlignedBuf, IoError> {
    let len = usize::try_from(facts.bytes)
        .map_err(|_| IoError::OutOfMemory { bytes: usize::MAX, alignment: Alignment::PAGE.bytes() })?;
    let mut buffer = AlignedBuf::zeroed(len, Alignment::PAGE)?;
    let mut filled = 0;
    while filled < len {
        let n = read_some(file, &mut buffer[filled..], filled as u64, path)?;
        if n == 0 {
            let detail = format!("it had {len} bytes, now it ends at {filled}");
            return Err(IoError::SourceChanged { path: path.to_owned(), detail });
        }
        filled += n;
    }
    Ok(buffer)
}

impl Deref for ShardBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for ShardBytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for ShardBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardBytes").field("len", &self.len()).field("is_mapped", &self.is_mapped()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_file_is_mapped_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"hello").unwrap();
        let bytes = ShardBytes::open(&path).unwrap();
        assert_eq!(&*bytes, b"hello");
        assert_eq!(bytes.as_slice().as_ptr().addr() % 4096, 0);
        assert!(bytes.is_mapped() || place::is_network(folder.path()).unwrap());
    }

    #[test]
    fn a_private_mapping_reads_the_same_and_is_no_other_process_matter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"hello").unwrap();
        let bytes = ShardBytes::open_as(&path, Access::Private).unwrap();
        assert_eq!(&*bytes, b"hello");
        if let Held::Private(mut map) = bytes.0 {
            map[0] = b'j';
            assert_eq!(&*map, b"jello");
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"hello");
    }

    #[test]
    fn the_read_twin_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let content: Vec<u8> = (0..100_003u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &content).unwrap();
        let (file, facts) = open_to_read(&path, Links::Follow).unwrap();
        assert_eq!(read_whole(&file, facts, &path).unwrap().as_slice(), content);
        let shrunk = Facts { bytes: facts.bytes + 1, ..facts };
        assert!(matches!(read_whole(&file, shrunk, &path), Err(IoError::SourceChanged { .. })));
    }

    #[test]
    fn an_empty_file_is_an_empty_slice() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes = ShardBytes::open(file.path()).unwrap();
        assert!(bytes.is_empty() && !bytes.is_mapped());
    }

    #[test]
    fn a_folder_or_a_missing_file_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(ShardBytes::open(folder.path()), Err(IoError::NotAFile { kind: "a folder", .. })));
        let missing = folder.path().join("missing");
        assert_eq!(ShardBytes::open(&missing).unwrap_err().path(), Some(missing.as_path()));
    }
}
