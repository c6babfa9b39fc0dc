//! A regular file read piece by piece, for who passes once over what need not be in memory as a whole.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::digest_file::read_some;
use crate::error::IoError;
use crate::regular::{Links, open_to_read};

/// A regular file that is read at given places; several threads may share it.
///
/// Nothing is mapped: the memory is the caller's, and a file that another process truncates ends early rather than
/// with SIGBUS.
///
/// ```
/// let file = nexa_io::FilePieces::open("Cargo.toml")?;
/// let mut piece = [0; 4];
/// assert_eq!((file.fill(&mut piece, 0)?, &piece), (4, b"[pac"));
/// # Ok::<(), nexa_io::IoError>(())
/// ```
#[derive(Debug)]
pub struct FilePieces {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl FilePieces {
    /// Open a file; symbolic links are followed.
    ///
    /// # Errors
    /// [`IoError::Open`], [`IoError::Inspect`], or [`IoError::NotAFile`] for what is no regular file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, IoError> {
        let path = path.as_ref();
        let (file, facts) = open_to_read(path, Links::Follow)?;
        Ok(Self { file, path: path.to_owned(), bytes: facts.bytes })
    }

    /// Tell the kernel that a few places are read, far apart: else it reads megabytes ahead of each into the page cache.
    #[must_use]
    pub fn few(self) -> Self {
        #[cfg(target_os = "linux")]
        // Advice: a refusal costs memory for a while, nothing else.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::Random);
        self
    }

    /// Return the length in bytes that the file had when it was opened.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.bytes
    }

    /// Say whether the file was empty when it was opened.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Fill `into` from `offset` on, and return how many bytes there were: fewer only where the file ends.
    ///
    /// # Errors
    /// [`IoError::Read`] with the place.
    pub fn fill(&self, into: &mut [u8], offset: u64) -> Result<usize, IoError> {
        let mut filled = 0;
        while filled < into.len() {
            let n = read_some(&self.file, &mut into[filled..], offset + filled as u64, &self.path)?;
            if n == 0 {
                break;
            }
            filled += n;
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_but_for_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"hello").unwrap();
        let file = FilePieces::open(&path).unwrap();
        let mut piece = [0; 3];
        assert_eq!((file.len(), file.is_empty()), (5, false));
        assert_eq!((file.fill(&mut piece, 0).unwrap(), &piece[..3]), (3, &b"hel"[..]));
        assert_eq!((file.fill(&mut piece, 3).unwrap(), &piece[..2]), (2, &b"lo"[..]));
        assert_eq!(file.fill(&mut piece, 5).unwrap(), 0);
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(FilePieces::open(folder.path()), Err(IoError::NotAFile { .. })));
    }
}
