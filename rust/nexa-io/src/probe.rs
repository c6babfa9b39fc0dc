//! What a folder's disk and this kernel allow, tried out rather than looked up: the facts of a preflight check.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::align::Alignment;
use crate::buffer::AlignedBuf;
use crate::control::Control;
use crate::copy::blocks::Blocks;
use crate::copy::side::Side;
use crate::copy::transfer::{Transfer, Way};
use crate::error::IoError;
use crate::place;

/// What [`probe`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The filesystem's name, see [`place::fs_type_name`].
    pub filesystem: String,
    /// Whether a page could be written and read back past the page cache; the reason, if not.
    pub direct_io: Result<(), String>,
    /// Whether this process may use `io_uring`; the reason, if not.
    pub io_uring: Result<(), String>,
    /// Bytes that an ordinary user may still write.
    pub free_bytes: u64,
    /// The filesystem's size in bytes.
    pub total_bytes: u64,
}

/// Try out the filesystem of a folder.
///
/// Writes one page into a file of its own in `dir` that has no name any more when the trial begins, so nothing can be
/// left behind. A folder that cannot be written to is reported as the reason against direct I/O.
///
/// # Errors
/// [`IoError::Inspect`] where `dir` is not there or not reachable.
pub fn probe(dir: impl AsRef<Path>) -> Result<Probe, IoError> {
    let dir = dir.as_ref();
    let space = rustix::fs::statvfs(dir)
        .map_err(|error| IoError::Inspect { path: dir.to_owned(), source: error.into() })?;
    Ok(Probe {
        filesystem: place::fs_type_name(dir)?,
        direct_io: try_direct(dir),
        io_uring: try_uring(),
        free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
        total_bytes: space.f_blocks.saturating_mul(space.f_frsize),
    })
}

fn try_direct(dir: &Path) -> Result<(), String> {
    let file = nameless_file(dir)?;
    let control = Control::new();
    let said = |error: IoError| error.to_string();
    let mut page = AlignedBuf::zeroed(Alignment::PAGE.bytes(), Alignment::PAGE).map_err(said)?;
    let len = page.len();
    page.fill(0xA5);
    let side = Side::new(file, dir.to_owned(), true);
    let block = Blocks::new(len as u64, len, Alignment::PAGE).get(0).ok_or("a page has one block")?;
    let mut write = Transfer::new(Way::Write, block);
    write
        .run(&side, false, 0, &control, |range, at| Ok(rustix::io::pwrite(side.file(), &page[range], at)?))
        .map_err(said)?;
    page.fill(0);
    let mut read = Transfer::new(Way::Read, block);
    read.run(&side, false, 0, &control, |range, at| {
        Ok(rustix::io::pread(side.file(), &mut page[range], at)?)
    })
    .map_err(said)?;
    match side.reason() {
        Some(reason) => Err(reason.to_owned()),
        None if page.iter().all(|&byte| byte == 0xA5) => Ok(()),
        None => Err("what was written did not read back".to_owned()),
    }
}

/// Create a file and take its name away at once: whatever happens next, nothing stays in the folder.
pub(crate) fn nameless_file(dir: &Path) -> Result<File, String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let turn = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!(".nexa-probe-{}-{turn}", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(|error| format!("{}: cannot be created: {error}", path.display()))?;
    std::fs::remove_file(&path).map_err(|error| format!("{}: cannot be removed: {error}", path.display()))?;
    Ok(file)
}

#[cfg(target_os = "linux")]
pub(crate) fn try_uring() -> Result<(), String> {
    crate::uring::trial()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn try_uring() -> Result<(), String> {
    Err("io_uring exists on Linux only".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_reports_the_disk_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let found = probe(folder.path()).unwrap();
        assert_eq!(found.filesystem, place::fs_type_name(folder.path()).unwrap());
        assert!(found.free_bytes <= found.total_bytes && found.total_bytes > 0);
        for outcome in [&found.direct_io, &found.io_uring] {
            assert!(outcome.as_ref().err().is_none_or(|reason| !reason.is_empty()));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_folder_is_an_error_with_its_path() {
        let error = probe("/nonexistent/nexa").unwrap_err();
        assert_eq!(error.path(), Some(Path::new("/nonexistent/nexa")));
    }
}
