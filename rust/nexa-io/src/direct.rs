//! A regular file read in large pieces past the page cache, for who goes over more than memory holds.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::align::Alignment;
use crate::control::Control;
use crate::copy::SourceFacts;
use crate::copy::blocks::Block;
use crate::copy::side::Side;
use crate::copy::transfer::{End, Transfer, Way};
use crate::error::IoError;
use crate::pool::{BufferPool, PooledBuf};
use crate::regular::{Facts, Links, open_to_read};

/// How often a read that failed for a reason that may pass is tried again.
const RETRIES: u32 = 3;

/// A regular file that is read past the page cache for as long as its filesystem plays along; several threads may
/// share it.
///
/// Where the filesystem doesn't, pieces are read through the page cache and their pages given back, so that a pass over
/// the file leaves the cache as it was.
///
/// ```
/// use nexa_io::{Alignment, BufferPool, DirectFile};
/// let file = DirectFile::open("Cargo.toml")?;
/// let pool = BufferPool::new(Alignment::PAGE, 0);
/// assert_eq!(file.read(1..4, &pool)?.as_ref(), b"pac");
/// # Ok::<(), nexa_io::IoError>(())
/// ```
#[derive(Debug)]
pub struct DirectFile {
    side: Side,
    facts: SourceFacts,
}

impl DirectFile {
    /// Open a file; symbolic links are followed.
    ///
    /// # Errors
    /// [`IoError::Open`], [`IoError::Inspect`], or [`IoError::NotAFile`] for what is no regular file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, IoError> {
        let path = path.as_ref();
        let (file, facts) = open_to_read(path, Links::Follow)?;
        Ok(Self { side: Side::new(file, path.to_owned(), true), facts: facts.into() })
    }

    /// Open the file that had these facts, once more.
    ///
    /// # Errors
    /// As [`DirectFile::open`], and [`IoError::SourceChanged`] where it was changed or replaced.
    pub fn open_again(path: impl AsRef<Path>, facts: &SourceFacts) -> Result<Self, IoError> {
        let path = path.as_ref();
        let found = Self::open(path)?;
        facts.check_same_content(&found.facts, path)?;
        if (facts.device, facts.inode) != (found.facts.device, found.facts.inode) {
            let detail = "another file has its name now".to_owned();
            return Err(IoError::SourceChanged { path: path.to_owned(), detail });
        }
        Ok(found)
    }

    /// Return the path, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.side.path()
    }

    /// Return what identified the content when the file was opened.
    #[must_use]
    pub const fn facts(&self) -> SourceFacts {
        self.facts
    }

    /// Return why the file is not read directly; `None` while it is.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.side.reason()
    }

    /// Read a range of the file's bytes into a buffer of `pool`, which is aligned to a page at least.
    ///
    /// # Errors
    /// [`IoError::Read`] with the place, after some more tries where the reason may pass; [`IoError::SourceChanged`]
    /// where the file was cut short or written to since it was opened; [`IoError::OutOfMemory`].
    pub fn read(&self, range: Range<u64>, pool: &BufferPool) -> Result<DirectPiece, IoError> {
        debug_assert!(pool.alignment() >= Alignment::PAGE, "direct reads want memory aligned to a page");
        let offset = Alignment::PAGE.round_down(range.start);
        let too_large = || IoError::OutOfMemory { bytes: usize::MAX, alignment: Alignment::PAGE.bytes() };
        let len = usize::try_from(range.end.saturating_sub(offset)).map_err(|_| too_large())?;
        let padded = Alignment::PAGE.round_up_len(len).ok_or_else(too_large)?;
        let start = usize::try_from(range.start - offset).map_err(|_| too_large())?;
        if range.is_empty() {
            return Ok(DirectPiece { buffer: pool.take(0)?, shown: 0..0 });
        }
        let mut buffer = pool.take(padded)?;
        let mut transfer = Transfer::new(Way::Read, Block { offset, len, padded });
        transfer.run(&self.side, false, RETRIES, &Control::default(), |within, at| {
            self.side.file().read_at(&mut buffer[within], at)
        })?;
        self.side.drop_pages(offset, len as u64);
        // A file that was written to meanwhile has given bytes of two versions.
        let now = Facts::of(self.side.file(), self.side.path())?;
        self.facts.check_same_content(&now.into(), self.side.path())?;
        Ok(DirectPiece { buffer, shown: start..len })
    }
}

/// A range of a file in memory, which goes back to the pool when it is dropped.
#[derive(Debug)]
pub struct DirectPiece {
    buffer: PooledBuf,
    shown: Range<usize>,
}

impl DirectPiece {
    /// Return the bytes of memory that it takes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}

impl AsRef<[u8]> for DirectPiece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[self.shown.clone()]
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use proptest::prelude::*;

    use super::*;

    fn pool() -> BufferPool {
        BufferPool::new(Alignment::PAGE, 0)
    }

    fn written(folder: &Path, len: usize) -> (std::path::PathBuf, Vec<u8>) {
        let path = folder.join("a");
        let content: Vec<u8> = (0..len).map(|at| (at * 31 % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        (path, content)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn a_range_reads_as_it_lies(len in 1_usize..30_000, start in 0_usize..30_000, more in 0_usize..30_000) {
            let folder = tempfile::tempdir().unwrap();
            let (path, content) = written(folder.path(), len);
            let range = start.min(len)..(start + more).min(len);
            let range = range.start..range.end.max(range.start);
            let file = DirectFile::open(&path).unwrap();
            let piece = file.read(range.start as u64..range.end as u64, &pool()).unwrap();
            prop_assert_eq!(piece.as_ref(), &content[range]);
        }
    }

    #[test]
    fn a_file_that_refuses_direct_reads_is_read_through_the_page_cache() {
        let folder = tempfile::tempdir().unwrap();
        let (path, content) = written(folder.path(), 10_000);
        let file = DirectFile::open(&path).unwrap();
        file.side.leave_direct(0, "a test wants it").unwrap();
        assert_eq!(file.read(4095..9000, &pool()).unwrap().as_ref(), &content[4095..9000]);
        assert!(file.reason().is_some_and(|reason| reason.contains("a test wants it")));
    }

    #[test]
    fn a_file_that_was_cut_short_or_written_to_says_so_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = written(folder.path(), 10_000);
        let file = DirectFile::open(&path).unwrap();
        let writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.set_len(5000).unwrap();
        for range in [0..100, 4000..6000, 8192..9000] {
            let error = file.read(range, &pool()).unwrap_err();
            assert!(matches!(&error, IoError::SourceChanged { path: at, .. } if *at == path), "{error}");
        }
        let again = DirectFile::open_again(&path, &file.facts()).unwrap_err();
        assert!(again.to_string().contains("it had 10000 bytes, now 5000"), "{again}");
    }

    #[test]
    fn another_file_of_the_name_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, content) = written(folder.path(), 100);
        let file = DirectFile::open(&path).unwrap();
        let (other, time) = (folder.path().join("b"), std::fs::metadata(&path).unwrap().modified().unwrap());
        std::fs::write(&other, &content).unwrap();
        std::fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        std::fs::rename(&other, &path).unwrap();
        let error = DirectFile::open_again(&path, &file.facts()).unwrap_err();
        assert!(error.to_string().contains("another file has its name now"), "{error}");
        assert_eq!(file.read(0..100, &pool()).unwrap().as_ref(), content);
    }
}
