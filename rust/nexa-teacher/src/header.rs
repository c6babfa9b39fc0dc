//! What a journal's file begins with: a name, a version, and the salt of its seal.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::JournalError;
use crate::frame::{SALT_BYTES, Seal};

const MAGIC: [u8; 12] = *b"nexa-teacher";
const VERSION: u32 = 1;
/// Bytes of name and version.
const FIXED_BYTES: usize = 16;
/// Bytes before the first record.
pub(crate) const HEADER_BYTES: u64 = (FIXED_BYTES + SALT_BYTES) as u64;

/// Return the header of a file whose records have this seal.
pub(crate) fn header(seal: &Seal) -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_le_bytes(), &seal.salt()].concat()
}

/// Read the header of `file`, or write one where it is empty or was torn while it was made.
///
/// # Errors
/// [`JournalError::Foreign`], [`JournalError::Newer`], and what the system says.
pub(crate) fn open_header(file: &File, path: &Path, writes: bool) -> Result<Seal, JournalError> {
    let unreadable = |source| JournalError::Read { path: path.to_owned(), source };
    let size = file.metadata().map_err(unreadable)?.len().min(HEADER_BYTES);
    let mut there = vec![0; usize::try_from(size).expect("it is short")];
    file.read_exact_at(&mut there, 0).map_err(unreadable)?;
    let known = there.len().min(MAGIC.len());
    if there[..known] != MAGIC[..known] {
        return Err(JournalError::Foreign { path: path.to_owned() });
    }
    if there.len() >= FIXED_BYTES {
        let version = u32::from_le_bytes([there[12], there[13], there[14], there[15]]);
        if version != VERSION {
            return Err(JournalError::Newer { path: path.to_owned(), version });
        }
    }
    if let Some(salt) = there.get(FIXED_BYTES..).and_then(|salt| salt.try_into().ok()) {
        return Ok(Seal::of(salt));
    }
    let seal = Seal::of(random_salt());
    if writes {
        let unwritable = |source| JournalError::Write { path: path.to_owned(), source };
        file.write_all_at(&header(&seal), 0).and_then(|()| file.sync_all()).map_err(unwritable)?;
        sync_folder(path).map_err(unwritable)?;
    }
    Ok(seal)
}

/// Make a name in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Return bytes that nobody outside of this process can guess: hashes under keys that the system drew.
fn random_salt() -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    for (place, piece) in salt.chunks_mut(8).enumerate() {
        piece.copy_from_slice(&RandomState::new().hash_one(place).to_le_bytes());
    }
    salt
}
