//! Whole copies on real filesystems: one suite for direct, buffered and memory-backed files.
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as the test does")]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nexa_io::{
    Algorithm, Control, CopyJob, CopyMode, CopyOptions, CopyReport, IoError, copy_files, digest_file,
};
use proptest::prelude::*;
use tempfile::{TempDir, tempdir, tempdir_in};

const BLOCK: usize = 64 << 10;

fn job(folder: &Path, name: &str) -> CopyJob {
    CopyJob {
        source: folder.join(format!("{name}.source")),
        destination: folder.join(format!("{name}.copy")),
        expected_bytes: None,
        expected: None,
        algorithm: Algorithm::Sha256,
    }
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * 31 + i / 251) % 256).unwrap()).collect()
}

fn copy_one(job: &CopyJob, options: &CopyOptions) -> Result<CopyReport, IoError> {
    copy_files(std::slice::from_ref(job), options, &Control::new()).pop().unwrap()
}

fn small_blocks(direct: bool) -> CopyOptions {
    CopyOptions { block_bytes: BLOCK, direct, ..CopyOptions::default() }
}

/// Every place and mode that this machine has: disk direct, disk buffered, memory.
fn places() -> Vec<(TempDir, CopyOptions)> {
    let mut places =
        vec![(tempdir().unwrap(), small_blocks(true)), (tempdir().unwrap(), small_blocks(false))];
    match tempdir_in("/dev/shm") {
        Ok(folder) => places.push((folder, small_blocks(true))),
        Err(error) => eprintln!("SKIPPED: copies in memory: /dev/shm: {error}"),
    }
    places
}

#[test]
fn every_size_arrives_whole_with_its_digest_and_its_facts() {
    for (folder, options) in places() {
        let sizes = [0, 1, 4095, 4096, 4097, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17];
        let jobs: Vec<_> = sizes.iter().map(|size| job(folder.path(), &size.to_string())).collect();
        for (job, size) in jobs.iter().zip(sizes) {
            fs::write(&job.source, content(size)).unwrap();
            fs::write(&job.destination, vec![0xFF; 5 * BLOCK]).unwrap(); // Something longer lies there already.
        }
        let control = Control::new();
        let results = copy_files(&jobs, &options, &control);
        for ((job, size), result) in jobs.iter().zip(sizes).zip(results) {
            let report = result.unwrap();
            assert!(fs::read(&job.destination).unwrap() == content(size), "{size} bytes, {report:?}");
            let (bytes, digest) = digest_file(&job.source, Algorithm::Sha256, &Control::new()).unwrap();
            assert_eq!((report.bytes, report.digest), (bytes, digest));
            let metadata = fs::metadata(&job.destination).unwrap();
            let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
            assert_eq!((report.inode, report.modified_ns), (metadata.ino(), modified));
            assert_eq!(report.reason.is_none(), report.mode == CopyMode::Direct);
            assert!(options.direct || report.mode == CopyMode::Buffered);
        }
        assert_eq!(control.bytes(), sizes.iter().sum::<usize>() as u64);
        assert_eq!(control.files(), sizes.len() as u64);
    }
}

#[test]
fn a_promise_that_holds_is_accepted_whatever_its_algorithm() {
    let folder = tempdir().unwrap();
    let mut job = job(folder.path(), "a");
    fs::write(&job.source, content(BLOCK + 9)).unwrap();
    job.expected_bytes = Some(BLOCK as u64 + 9);
    for promised in Algorithm::ALL {
        for asked in Algorithm::ALL {
            let digest = |algorithm| digest_file(&job.source, algorithm, &Control::new()).unwrap().1;
            let job = CopyJob { expected: Some(digest(promised)), algorithm: asked, ..job.clone() };
            assert_eq!(copy_one(&job, &small_blocks(true)).unwrap().digest, digest(asked));
        }
    }
}

#[test]
fn a_wrong_digest_or_size_leaves_no_file() {
    for (folder, options) in places() {
        let mut job = job(folder.path(), "a");
        fs::write(&job.source, content(9000)).unwrap();
        let right = digest_file(&job.source, Algorithm::Blake3, &Control::new()).unwrap().1;
        job.expected = Some(format!("blake3:{}", "0".repeat(64)).parse().unwrap());
        match copy_one(&job, &options) {
            Err(IoError::DigestMismatch { path, found, .. }) => {
                assert_eq!((path, found), (job.source.clone(), right));
            }
            other => panic!("{other:?}"),
        }
        assert!(!job.destination.exists());
        job.expected_bytes = Some(8999);
        assert!(matches!(
            copy_one(&job, &options),
            Err(IoError::SizeMismatch { expected: 8999, found: 9000, .. })
        ));
        assert!(!job.destination.exists());
    }
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    let folder = tempdir().unwrap();
    let job = job(folder.path(), "a");
    let refused = |kind: &str| match copy_one(&job, &small_blocks(true)) {
        Err(IoError::NotAFile { path, kind: found }) => assert_eq!((path, found), (job.source.clone(), kind)),
        other => panic!("{kind}: {other:?}"),
    };
    fs::create_dir(&job.source).unwrap();
    refused("a folder");
    fs::remove_dir(&job.source).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&job.source).status().unwrap().success());
    refused("a FIFO");
    fs::remove_file(&job.source).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&job.source).unwrap();
    refused("a socket");
    fs::remove_file(&job.source).unwrap();
    fs::write(folder.path().join("real"), "x").unwrap();
    symlink("real", &job.source).unwrap();
    refused("a symbolic link");
    assert!(!job.destination.exists());
}

#[test]
fn a_destination_that_is_no_regular_file_is_refused_and_stays() {
    let folder = tempdir().unwrap();
    let job = job(folder.path(), "a");
    fs::write(&job.source, "x").unwrap();
    fs::create_dir(&job.destination).unwrap();
    assert!(matches!(copy_one(&job, &small_blocks(true)), Err(IoError::NotAFile { kind: "a folder", .. })));
    fs::remove_dir(&job.destination).unwrap();
    symlink("elsewhere", &job.destination).unwrap();
    assert!(matches!(
        copy_one(&job, &small_blocks(true)),
        Err(IoError::NotAFile { kind: "a symbolic link", .. })
    ));
    assert!(job.destination.is_symlink() && !folder.path().join("elsewhere").exists());
}

#[test]
fn a_file_is_never_copied_onto_itself() {
    let folder = tempdir().unwrap();
    let mut job = job(folder.path(), "a");
    fs::write(&job.source, "precious").unwrap();
    fs::hard_link(&job.source, &job.destination).unwrap();
    assert!(matches!(copy_one(&job, &small_blocks(true)), Err(IoError::SameFile { .. })));
    job.destination = job.source.clone();
    assert!(matches!(copy_one(&job, &small_blocks(true)), Err(IoError::SameFile { .. })));
    assert_eq!(fs::read_to_string(&job.source).unwrap(), "precious");
}

#[test]
fn one_failure_stops_nobody_else_and_results_keep_their_order() {
    let folder = tempdir().unwrap();
    let jobs: Vec<_> = (0..40).map(|i| job(folder.path(), &i.to_string())).collect();
    for (i, job) in jobs.iter().enumerate().filter(|(i, _)| i % 3 != 0) {
        fs::write(&job.source, content(i * 1000)).unwrap();
    }
    let control = Control::new();
    let results = copy_files(&jobs, &CopyOptions { threads: 3, ..small_blocks(true) }, &control);
    for (i, (job, result)) in jobs.iter().zip(&results).enumerate() {
        match result {
            Ok(report) => assert_eq!((i % 3 != 0, report.bytes), (true, i as u64 * 1000)),
            Err(error) => {
                assert!(i % 3 == 0 && matches!(error, IoError::Open { .. }), "{error}");
                assert_eq!(error.path(), Some(job.source.as_path()));
                assert!(!job.destination.exists());
            }
        }
    }
    assert_eq!(control.files(), results.iter().filter(|result| result.is_ok()).count() as u64);
}

#[test]
fn nothing_to_do_and_zero_options_are_fine() {
    let folder = tempdir().unwrap();
    let zeros = CopyOptions { block_bytes: 0, threads: 0, direct: true };
    assert!(copy_files(&[], &zeros, &Control::new()).is_empty());
    let job = job(folder.path(), "a");
    fs::write(&job.source, content(5)).unwrap();
    assert_eq!(copy_one(&job, &zeros).unwrap().bytes, 5);
}

#[test]
fn a_cancelled_control_tries_nothing() {
    let folder = tempdir().unwrap();
    let jobs: Vec<_> = (0..3).map(|i| job(folder.path(), &i.to_string())).collect();
    let control = Control::new();
    control.cancel();
    let results = copy_files(&jobs, &CopyOptions::default(), &control);
    assert!(results.iter().all(|result| matches!(result, Err(IoError::Cancelled))) && results.len() == 3);
}

#[test]
fn a_missing_destination_folder_is_an_error_with_its_path() {
    let folder = tempdir().unwrap();
    let mut job = job(folder.path(), "a");
    fs::write(&job.source, "x").unwrap();
    job.destination = folder.path().join("missing/a");
    assert_eq!(copy_one(&job, &small_blocks(true)).unwrap_err().path(), Some(job.destination.as_path()));
}

#[test]
fn digest_file_follows_links_and_refuses_folders() {
    let folder = tempdir().unwrap();
    let (real, link): (PathBuf, PathBuf) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, b"123456789").unwrap();
    symlink(&real, &link).unwrap();
    let control = Control::new();
    let (bytes, digest) = digest_file(&link, Algorithm::Crc32c, &control).unwrap();
    assert_eq!((bytes, digest.to_string()), (9, "crc32c:e3069283".to_owned()));
    assert_eq!((control.bytes(), control.files()), (9, 1));
    assert!(matches!(digest_file(&folder, Algorithm::Crc32c, &control), Err(IoError::NotAFile { .. })));
    control.cancel();
    assert!(matches!(digest_file(&real, Algorithm::Crc32c, &control), Err(IoError::Cancelled)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_is_its_source(len in 0usize..200_000, block_bytes in 1usize..70_000, direct in any::<bool>(), seed in any::<u8>()) {
        let folder = tempdir().unwrap();
        let job = job(folder.path(), "a");
        let bytes: Vec<u8> = content(len).into_iter().map(|byte| byte ^ seed).collect();
        fs::write(&job.source, &bytes).unwrap();
        let report = copy_one(&job, &CopyOptions { block_bytes, threads: 1, direct }).unwrap();
        prop_assert!(fs::read(&job.destination).unwrap() == bytes);
        prop_assert_eq!(report.digest, digest_file(&job.source, Algorithm::Sha256, &Control::new()).unwrap().1);
    }
}
