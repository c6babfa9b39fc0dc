//! A few bytes here and there of a large file, without the rest of it entering the page cache.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::digest_file::read_some;
use crate::error::IoError;
use crate::regular::{Links, open_to_read};

/// A regular file, opened to look at parts of it; symbolic links are followed.
///
/// The kernel is told not to read ahead: a mapping, or a plain read, of a shard's last bytes brings in megabytes before
/// them.
#[derive(Debug)]
pub struct Peek {
    file: File,
    path: PathBuf,
    len: u64,
}

impl Peek {
    /// Open a file.
    ///
    /// # Errors
    /// [`IoError::Open`], [`IoError::Inspect`] or [`IoError::NotAFile`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, IoError> {
        let path = path.as_ref();
        let (file, facts) = open_to_read(path, Links::Follow)?;
        #[cfg(target_os = "linux")]
        // Advice: a refusal costs memory for a while, nothing else.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random);
        Ok(Self { file, path: path.to_owned(), len: facts.bytes })
    }

    /// Return the file's length in bytes when it was opened.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Say whether the file has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Read a range of the file.
    ///
    /// # Errors
    /// [`IoError::Read`], and [`IoError::SourceChanged`] where the file ends before the range does.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<u8>, IoError> {
        let ends_at = |at: u64| IoError::SourceChanged {
            path: self.path.clone(),
            detail: format!("it had {} bytes, now it ends at {at}", self.len),
        };
        if range.end > self.len {
            return Err(ends_at(self.len)); // Before memory is asked for.
        }
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            let at = range.start + filled as u64;
            match read_some(&self.file, &mut bytes[filled..], at, &self.path)? {
                0 => return Err(ends_at(at)),
                n => filled += n,
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_file_are_read_and_those_beyond_it_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"0123456789").unwrap();
        let peek = Peek::open(&path).unwrap();
        assert_eq!((peek.len(), peek.is_empty()), (10, false));
        assert_eq!(peek.read(3..6).unwrap(), b"345");
        assert_eq!(peek.read(10..10).unwrap(), b"");
        assert!(matches!(peek.read(8..11), Err(IoError::SourceChanged { .. })));
        std::fs::write(&path, b"01").unwrap();
        assert!(matches!(peek.read(0..5), Err(IoError::SourceChanged { .. })));
        assert!(matches!(Peek::open(folder.path()), Err(IoError::NotAFile { .. })));
    }
}
