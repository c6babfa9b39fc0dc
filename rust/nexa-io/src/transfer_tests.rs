//! Claims about one copy that is disturbed: by its source's writer, by its caller, by a full disk.

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use tempfile::{TempDir, tempdir};

use super::*;
use crate::align::Alignment;
use crate::digest::Algorithm;

const BLOCK: usize = 8192;

struct Fixture {
    _folder: TempDir,
    job: CopyJob,
}

/// Four blocks and a bit: enough for something to happen in the middle.
fn fixture() -> Fixture {
    let folder = tempdir().unwrap();
    let job = CopyJob {
        source: folder.path().join("source"),
        destination: folder.path().join("destination"),
        expected_bytes: None,
        expected: None,
        algorithm: Algorithm::Blake3,
    };
    fs::write(&job.source, vec![3; 4 * BLOCK + 5]).unwrap();
    Fixture { _folder: folder, job }
}

/// Copy, and do something to the source once the first block has been copied.
fn copy_disturbed(
    job: &CopyJob,
    disturb: impl Fn(&PathBuf) + Send + Sync + 'static,
) -> Result<CopyReport, IoError> {
    let source = job.source.clone();
    let control = Control::with_hook(move |_, bytes| {
        if bytes == BLOCK as u64 {
            disturb(&source);
        }
    });
    copy(job, &control)
}

fn copy(job: &CopyJob, control: &Control) -> Result<CopyReport, IoError> {
    let options = CopyOptions { block_bytes: BLOCK, ..CopyOptions::default() };
    copy_one(job, &options, &BufferPool::new(Alignment::PAGE, BLOCK), control)
}

fn assert_source_changed(job: &CopyJob, result: &Result<CopyReport, IoError>) {
    assert!(matches!(result, Err(IoError::SourceChanged { path, .. }) if *path == job.source), "{result:?}");
    assert!(!job.destination.exists());
}

#[test]
fn a_source_that_shrinks_meanwhile_is_noticed() {
    for end in [0, BLOCK + 100, 2 * BLOCK, 4 * BLOCK] {
        let Fixture { _folder, job } = fixture();
        let result = copy_disturbed(&job, move |path| {
            fs::OpenOptions::new().write(true).open(path).unwrap().set_len(end as u64).unwrap();
        });
        assert_source_changed(&job, &result);
    }
}

#[test]
fn a_source_that_grows_meanwhile_is_noticed() {
    let Fixture { _folder, job } = fixture();
    let result = copy_disturbed(&job, |path| {
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
    });
    assert_source_changed(&job, &result);
}

#[test]
fn a_source_that_is_rewritten_in_place_is_noticed() {
    let Fixture { _folder, job } = fixture();
    let result = copy_disturbed(&job, |path| {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(b"X", 0).unwrap();
        // Set by hand: two writes within one tick of the filesystem's clock carry the same time.
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    });
    assert_source_changed(&job, &result);
}

#[test]
fn a_source_that_is_replaced_by_name_is_still_the_opened_one() {
    let Fixture { _folder, job } = fixture();
    let result = copy_disturbed(&job, |path| {
        fs::remove_file(path).unwrap();
        fs::write(path, "another").unwrap();
    });
    assert_eq!(result.unwrap().bytes, (4 * BLOCK + 5) as u64);
    assert_eq!(fs::read(&job.destination).unwrap(), vec![3; 4 * BLOCK + 5]);
}

#[test]
fn a_cancelled_copy_stops_within_a_block_and_leaves_nothing() {
    let Fixture { _folder, job } = fixture();
    let control = Control::with_hook(|control, _| control.cancel());
    assert!(matches!(copy(&job, &control), Err(IoError::Cancelled)));
    assert_eq!(control.bytes(), BLOCK as u64);
    assert!(!job.destination.exists());
}

#[test]
fn a_full_disk_is_named_wherever_it_shows() {
    let destination = Path::new("/nvme/a");
    for code in [Errno::NOSPC, Errno::DQUOT] {
        let source = || io::Error::from_raw_os_error(code.raw_os_error());
        for error in [
            write_error(destination, 4096, source()),
            IoError::Sync { path: destination.to_owned(), source: source() },
            IoError::Open { path: destination.to_owned(), source: source() },
        ] {
            let named = name_full_disk(error, destination, 77);
            assert!(matches!(named, IoError::NoSpace { needed: 77, .. }), "{named}");
        }
    }
    let other = write_error(destination, 0, io::Error::from_raw_os_error(Errno::IO.raw_os_error()));
    assert!(matches!(name_full_disk(other, destination, 77), IoError::Write { .. }));
}
