//! One suite for every way to copy: each engine, direct and buffered, on disk and in memory, by its public face.
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as the test does")]

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use nexa_io::{
    Algorithm, Control, CopyJob, CopyMode, CopyOptions, CopyPlan, CopyReport, Engine, IoError, JobSource,
    ShardSource, SourceFacts, copy_files, digest_file,
};
use proptest::prelude::*;
use tempfile::{TempDir, tempdir, tempdir_in};

const BLOCK: usize = 64 << 10;

fn source(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.source"))
}

fn job(folder: &Path, name: &str) -> CopyJob {
    CopyJob {
        source: JobSource::File(source(folder, name)),
        destination: folder.join(format!("{name}.copy")),
        expected_bytes: None,
        expected: None,
        algorithm: Algorithm::Sha256,
    }
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * 31 + i / 251) % 256).unwrap()).collect()
}

type Results = Vec<Result<CopyReport, IoError>>;

/// Copy, and put the results in the order of the jobs; each has to be reported exactly once.
fn run(jobs: &[CopyJob], options: &CopyOptions, control: &Control) -> (Results, CopyPlan) {
    let slots: Mutex<Vec<Option<_>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let plan = copy_files(jobs, options, control, &|index, result| {
        let before = slots.lock().unwrap()[index].replace(result);
        assert!(before.is_none(), "job {index} was reported twice");
    });
    let results = slots.into_inner().unwrap().into_iter().map(Option::unwrap).collect();
    (results, plan.unwrap())
}

fn copy_one(job: &CopyJob, options: &CopyOptions) -> Result<CopyReport, IoError> {
    run(std::slice::from_ref(job), options, &Control::new()).0.pop().unwrap()
}

fn small_blocks(engine: Engine, direct: bool) -> CopyOptions {
    CopyOptions { engine, direct, block_bytes: BLOCK, ..CopyOptions::default() }
}

/// Say aloud what cannot be tested here: what a passing test prints is otherwise hidden.
fn skipped(what: &str, why: &dyn std::fmt::Display) {
    let _ = writeln!(io::stderr(), "skipped: {what}: {why}");
}

/// Every engine that this machine allows, direct and buffered.
fn modes() -> Vec<CopyOptions> {
    let ring = nexa_io::probe(std::env::temp_dir()).unwrap().io_uring;
    if let Err(reason) = &ring {
        skipped("copies by io_uring", reason);
    }
    let engines = [(Engine::Threads, true), (Engine::IoUring, ring.is_ok())];
    let engines = engines.into_iter().filter(|(_, allowed)| *allowed);
    engines.flat_map(|(engine, _)| [small_blocks(engine, true), small_blocks(engine, false)]).collect()
}

/// Every mode on disk and in memory.
fn places() -> Vec<(TempDir, CopyOptions)> {
    let mut places: Vec<_> = modes().into_iter().map(|mode| (tempdir().unwrap(), mode)).collect();
    match tempdir_in("/dev/shm") {
        Ok(_) => places.extend(modes().into_iter().map(|mode| (tempdir_in("/dev/shm").unwrap(), mode))),
        Err(error) => skipped("copies in memory", &error),
    }
    places
}

#[test]
fn every_size_arrives_whole_with_its_digest_and_its_facts() {
    for (folder, options) in places() {
        let sizes = [0, 1, 4095, 4096, 4097, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17];
        let jobs: Vec<_> = sizes.iter().map(|size| job(folder.path(), &size.to_string())).collect();
        for (job, size) in jobs.iter().zip(sizes) {
            fs::write(source(folder.path(), &size.to_string()), content(size)).unwrap();
            fs::write(&job.destination, vec![0xFF; 5 * BLOCK]).unwrap(); // Something longer lies there already.
        }
        let control = Control::new();
        let (results, plan) = run(&jobs, &options, &control);
        assert_eq!(plan.engine, options.engine);
        for ((job, size), result) in jobs.iter().zip(sizes).zip(results) {
            let report = result.unwrap();
            let source = source(folder.path(), &size.to_string());
            assert!(fs::read(&job.destination).unwrap() == content(size), "{size} bytes, {report:?}");
            let (bytes, digest) = digest_file(&source, Algorithm::Sha256, &Control::new()).unwrap();
            assert_eq!((report.bytes, report.digest), (bytes, digest));
            let metadata = fs::metadata(&job.destination).unwrap();
            let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
            assert_eq!((report.inode, report.modified_ns), (metadata.ino(), modified));
            assert_eq!(metadata.permissions().mode() & 0o777, 0o444, "readers cannot spoil it");
            let original = fs::metadata(&source).unwrap();
            assert_eq!((report.source.inode, report.source.device), (original.ino(), original.dev()));
            assert_eq!(report.reason.is_none(), report.mode == CopyMode::Direct);
            assert!(options.direct || report.mode == CopyMode::Buffered);
        }
        assert_eq!(control.bytes(), sizes.iter().sum::<usize>() as u64);
        assert_eq!(control.files(), sizes.len() as u64);
    }
}

#[test]
fn a_promise_that_holds_is_accepted_whatever_its_algorithm() {
    for options in modes() {
        let folder = tempdir().unwrap();
        let (mut job, source) = (job(folder.path(), "a"), source(folder.path(), "a"));
        fs::write(&source, content(BLOCK + 9)).unwrap();
        job.expected_bytes = Some(BLOCK as u64 + 9);
        for promised in Algorithm::ALL {
            for asked in Algorithm::ALL {
                let digest = |algorithm| digest_file(&source, algorithm, &Control::new()).unwrap().1;
                let job = CopyJob { expected: Some(digest(promised)), algorithm: asked, ..job.clone() };
                assert_eq!(copy_one(&job, &options).unwrap().digest, digest(asked));
            }
        }
    }
}

#[test]
fn a_wrong_digest_or_size_leaves_no_file() {
    for (folder, options) in places() {
        let (mut job, source) = (job(folder.path(), "a"), source(folder.path(), "a"));
        fs::write(&source, content(9000)).unwrap();
        let right = digest_file(&source, Algorithm::Blake3, &Control::new()).unwrap().1;
        job.expected = Some(format!("blake3:{}", "0".repeat(64)).parse().unwrap());
        match copy_one(&job, &options) {
            Err(IoError::DigestMismatch { path, found, .. }) => assert_eq!((path, found), (source, right)),
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
    for options in modes() {
        let folder = tempdir().unwrap();
        let (job, source) = (job(folder.path(), "a"), source(folder.path(), "a"));
        let refused = |kind: &str| match copy_one(&job, &options) {
            Err(IoError::NotAFile { path, kind: found }) => assert_eq!((&path, found), (&source, kind)),
            other => panic!("{kind}: {other:?}"),
        };
        fs::create_dir(&source).unwrap();
        refused("a folder");
        fs::remove_dir(&source).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&source).status().unwrap().success());
        refused("a FIFO");
        fs::remove_file(&source).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&source).unwrap();
        refused("a socket");
        fs::remove_file(&source).unwrap();
        fs::write(folder.path().join("real"), "x").unwrap();
        symlink("real", &source).unwrap();
        refused("a symbolic link");
        assert!(!job.destination.exists());
    }
}

#[test]
fn a_name_stays_within_its_root() {
    for options in modes() {
        let folder = tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("deep")).unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        fs::write(root.join("deep/a"), "inside").unwrap();
        symlink("deep", root.join("folder")).unwrap();
        symlink("a", root.join("deep/link")).unwrap();
        symlink(root.join("deep/a"), root.join("absolute")).unwrap();
        symlink("../secret", root.join("relative-escape")).unwrap();
        symlink(folder.path().join("secret"), root.join("absolute-escape")).unwrap();
        symlink("..", root.join("folder-escape")).unwrap();
        let destination = folder.path().join("copy");
        let options = CopyOptions { root: Some(root), ..options };
        let named = |name: &str| CopyJob {
            source: JobSource::File(name.into()),
            destination: destination.clone(),
            ..job(folder.path(), "unused")
        };
        for name in ["deep/a", "folder/a", "deep/link", "absolute", "./deep/../deep/a"] {
            copy_one(&named(name), &options).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(fs::read_to_string(&destination).unwrap(), "inside");
            fs::remove_file(&destination).unwrap();
        }
        for name in
            ["relative-escape", "absolute-escape", "folder-escape/secret", "../secret", "/etc/hostname"]
        {
            let error = copy_one(&named(name), &options).unwrap_err();
            assert!(matches!(error, IoError::Outside { .. }), "{name}: {error:?}");
            assert!(!destination.exists(), "{name}");
        }
    }
}

#[test]
fn a_destination_that_is_no_regular_file_is_refused_and_stays() {
    for options in modes() {
        let folder = tempdir().unwrap();
        let job = job(folder.path(), "a");
        fs::write(source(folder.path(), "a"), "x").unwrap();
        fs::create_dir(&job.destination).unwrap();
        assert!(matches!(copy_one(&job, &options), Err(IoError::NotAFile { kind: "a folder", .. })));
        fs::remove_dir(&job.destination).unwrap();
        symlink("elsewhere", &job.destination).unwrap();
        assert!(matches!(copy_one(&job, &options), Err(IoError::NotAFile { kind: "a symbolic link", .. })));
        assert!(job.destination.is_symlink() && !folder.path().join("elsewhere").exists());
    }
}

#[test]
fn a_file_is_never_copied_onto_itself() {
    for options in modes() {
        let folder = tempdir().unwrap();
        let (mut job, source) = (job(folder.path(), "a"), source(folder.path(), "a"));
        fs::write(&source, "precious").unwrap();
        fs::hard_link(&source, &job.destination).unwrap();
        assert!(matches!(copy_one(&job, &options), Err(IoError::SameFile { .. })));
        job.destination.clone_from(&source);
        assert!(matches!(copy_one(&job, &options), Err(IoError::SameFile { .. })));
        assert_eq!(fs::read_to_string(&source).unwrap(), "precious");
    }
}

#[test]
fn a_linked_file_at_the_destination_is_replaced_and_its_other_name_keeps_its_content() {
    for options in modes() {
        let folder = tempdir().unwrap();
        let job = job(folder.path(), "a");
        fs::write(source(folder.path(), "a"), "new").unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "old").unwrap();
        fs::hard_link(&other, &job.destination).unwrap();
        copy_one(&job, &options).unwrap();
        assert_eq!(fs::read_to_string(&job.destination).unwrap(), "new");
        assert_eq!(fs::read_to_string(&other).unwrap(), "old");
    }
}

#[test]
fn one_failure_stops_nobody_else_and_each_is_reported_once() {
    for options in modes() {
        let folder = tempdir().unwrap();
        let jobs: Vec<_> = (0..400).map(|i| job(folder.path(), &i.to_string())).collect();
        for i in (0..jobs.len()).filter(|i| i % 3 != 0) {
            fs::write(source(folder.path(), &i.to_string()), content(i * 400)).unwrap();
        }
        let control = Control::new();
        let (results, _) = run(&jobs, &CopyOptions { threads: 3, ..options }, &control);
        for (i, (job, result)) in jobs.iter().zip(&results).enumerate() {
            match result {
                Ok(report) => assert_eq!((i % 3 != 0, report.bytes), (true, i as u64 * 400)),
                Err(error) => {
                    assert!(i % 3 == 0 && matches!(error, IoError::Open { .. }), "{error}");
                    assert_eq!(error.path(), Some(source(folder.path(), &i.to_string()).as_path()));
                    assert!(!job.destination.exists());
                }
            }
        }
        assert_eq!(control.files(), results.iter().filter(|result| result.is_ok()).count() as u64);
    }
}

#[test]
fn nothing_to_do_and_defaults_are_fine() {
    let folder = tempdir().unwrap();
    let defaults = CopyOptions::default();
    assert!(run(&[], &defaults, &Control::new()).0.is_empty());
    let job = job(folder.path(), "a");
    fs::write(source(folder.path(), "a"), content(5)).unwrap();
    assert_eq!(copy_one(&job, &defaults).unwrap().bytes, 5);
}

#[test]
fn a_copy_lives_with_little_memory_and_many_threads() {
    for options in modes() {
        let folder = tempdir().unwrap();
        let jobs: Vec<_> = (0..20).map(|i| job(folder.path(), &i.to_string())).collect();
        for i in 0..jobs.len() {
            fs::write(source(folder.path(), &i.to_string()), content(i * 20_000)).unwrap();
        }
        let tight = CopyOptions { threads: 16, max_memory: 2 * BLOCK, ..options };
        let (results, plan) = run(&jobs, &tight, &Control::new());
        assert!(plan.memory_bytes <= 2 * BLOCK && plan.threads <= 2, "{plan:?}");
        for (job, (i, result)) in jobs.iter().zip(results.into_iter().enumerate()) {
            assert_eq!(result.unwrap().bytes, i as u64 * 20_000);
            assert!(fs::read(&job.destination).unwrap() == content(i * 20_000));
        }
    }
}

#[test]
fn a_copy_that_reads_back_says_so() {
    for (folder, options) in places() {
        let job = job(folder.path(), "a");
        fs::write(source(folder.path(), "a"), content(3 * BLOCK + 1)).unwrap();
        assert!(!copy_one(&job, &options).unwrap().read_back);
        assert!(copy_one(&job, &CopyOptions { read_back: true, ..options }).unwrap().read_back);
    }
}

#[test]
fn a_cold_source_stays_out_of_the_page_cache_and_a_warm_one_is_read_from_it() {
    for options in modes().into_iter().filter(|options| options.direct) {
        let folder = tempdir().unwrap();
        let (job, source) = (job(folder.path(), "a"), source(folder.path(), "a"));
        fs::write(&source, content(40 * BLOCK)).unwrap();
        let file = fs::File::open(&source).unwrap();
        file.sync_all().unwrap();
        let warm = copy_one(&job, &options).unwrap();
        if warm.mode == CopyMode::Buffered {
            skipped("the page cache's part in a copy", &warm.reason.unwrap_or_default());
            return;
        }
        assert_eq!(warm.mode, CopyMode::Cached);
        assert_eq!(warm.reason.as_deref(), Some("40 of 40 blocks of the source were in the page cache"));
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        assert_eq!(copy_one(&job, &options).unwrap().mode, CopyMode::Direct);
        assert_eq!(copy_one(&job, &options).unwrap().mode, CopyMode::Direct, "a direct read leaves nothing");
    }
}

/// A store in memory that gives a few bytes at a time and fails now and then.
#[derive(Debug)]
struct Stuttering {
    content: Vec<u8>,
    calls: Mutex<u32>,
}

impl ShardSource for Stuttering {
    fn name(&self) -> &Path {
        Path::new("store://bucket/a")
    }

    fn facts(&self) -> SourceFacts {
        SourceFacts { bytes: self.content.len() as u64, ..SourceFacts::default() }
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut calls = self.calls.lock().unwrap();
        *calls += 1;
        if calls.is_multiple_of(7) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let rest = &self.content[usize::try_from(offset).unwrap()..];
        let n = rest.len().min(into.len()).min(5000);
        into[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn check_unchanged(&self) -> Result<(), IoError> {
        Ok(())
    }
}

#[test]
fn a_store_is_read_through_its_trait() {
    for options in modes() {
        let folder = tempdir().unwrap();
        let store = Arc::new(Stuttering { content: content(3 * BLOCK + 77), calls: Mutex::new(0) });
        let job = CopyJob { source: JobSource::Store(store.clone()), ..job(folder.path(), "a") };
        let report = copy_one(&job, &options).unwrap();
        assert!(fs::read(&job.destination).unwrap() == store.content);
        assert_eq!(report.mode, CopyMode::Buffered);
        assert!(report.reason.unwrap().contains("store"));
        let wrong = CopyJob { expected_bytes: Some(1), ..job };
        let error = copy_one(&wrong, &options).unwrap_err();
        assert_eq!(error.path(), Some(Path::new("store://bucket/a")));
    }
}

#[test]
fn a_cancelled_control_tries_nothing() {
    for options in modes() {
        let folder = tempdir().unwrap();
        let jobs: Vec<_> = (0..3).map(|i| job(folder.path(), &i.to_string())).collect();
        let control = Control::new();
        control.cancel();
        let (results, _) = run(&jobs, &options, &control);
        assert!(results.iter().all(|result| matches!(result, Err(IoError::Cancelled))) && results.len() == 3);
    }
}

#[test]
fn a_missing_folder_is_an_error_with_its_path() {
    for options in modes() {
        let folder = tempdir().unwrap();
        let mut job = job(folder.path(), "a");
        fs::write(source(folder.path(), "a"), "x").unwrap();
        job.destination = folder.path().join("missing/a");
        assert_eq!(copy_one(&job, &options).unwrap_err().path(), Some(job.destination.as_path()));
        let root = folder.path().join("missing");
        let options = CopyOptions { root: Some(root.clone()), ..options };
        let error = copy_files(&[job], &options, &Control::new(), &|_, _| panic!("nothing is tried"));
        assert_eq!(error.unwrap_err().path(), Some(root.as_path()));
    }
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
    fn a_copy_is_its_source(
        len in 0usize..400_000,
        block_bytes in 1usize..70_000,
        mode in any::<prop::sample::Index>(),
        threads in 1usize..4,
        seed in any::<u8>(),
    ) {
        let modes = modes();
        let folder = tempdir().unwrap();
        let (job, source) = (job(folder.path(), "a"), source(folder.path(), "a"));
        let bytes: Vec<u8> = content(len).into_iter().map(|byte| byte ^ seed).collect();
        fs::write(&source, &bytes).unwrap();
        let options = CopyOptions { block_bytes, threads, ..mode.get(&modes).clone() };
        let report = copy_one(&job, &options).unwrap();
        prop_assert!(fs::read(&job.destination).unwrap() == bytes);
        prop_assert_eq!(report.digest, digest_file(&source, Algorithm::Sha256, &Control::new()).unwrap().1);
    }
}
