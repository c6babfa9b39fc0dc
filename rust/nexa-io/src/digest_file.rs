//! The digest of a file as it lies: how a copy or a shard is checked without the pass that wrote it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::align::Alignment;
use crate::buffer::AlignedBuf;
use crate::control::Control;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::error::IoError;
use crate::regular::{Links, open_to_read};

/// Fits into the second-level cache, so that the digest reads what the kernel has just copied there.
const BLOCK_BYTES: usize = 256 << 10;

/// Read a regular file to its end and return its length in bytes and its digest.
///
/// Goes through the page cache; symbolic links are followed. Counts bytes and the file in `control`.
///
/// # Errors
/// [`IoError::Open`], [`IoError::NotAFile`], [`IoError::Inspect`] or [`IoError::Read`] with the place, or
/// [`IoError::Cancelled`].
pub fn digest_file(
    path: impl AsRef<Path>,
    algorithm: Algorithm,
    control: &Control,
) -> Result<(u64, Digest), IoError> {
    let path = path.as_ref();
    let (file, _facts) = open_to_read(path, Links::Follow)?;
    let mut block = AlignedBuf::zeroed(BLOCK_BYTES, Alignment::PAGE)?;
    let mut hasher = Hasher::new(algorithm);
    let mut offset = 0;
    loop {
        control.check()?;
        let n = read_some(&file, &mut block, offset, path)?;
        if n == 0 {
            break;
        }
        hasher.update(&block[..n]);
        offset += n as u64;
        control.add_bytes(n as u64);
    }
    control.add_file();
    Ok((offset, hasher.finish()))
}

/// Read at `offset` until something comes, the end (0) or a real error.
pub(crate) fn read_some(file: &File, into: &mut [u8], offset: u64, path: &Path) -> Result<usize, IoError> {
    loop {
        match file.read_at(into, offset) {
            Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(IoError::Read { path: path.to_owned(), offset, source }),
            Ok(n) => return Ok(n),
        }
    }
}
