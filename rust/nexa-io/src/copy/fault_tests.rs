//! Copies that are disturbed at an exact place, by every engine: by the source's writer, the disk, the caller.

use std::fs;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use tempfile::{TempDir, tempdir};

use super::*;
use crate::control::Event;

const BLOCK: usize = 8192;
const TOTAL: u64 = 4 * BLOCK as u64 + 5;

struct Fixture {
    _folder: TempDir,
    source: PathBuf,
    job: CopyJob,
    options: CopyOptions,
}

/// Four blocks and a bit, one in flight, by every engine: enough for something to happen in the middle.
fn fixtures() -> Vec<Fixture> {
    let ring = crate::probe::try_uring();
    if let Err(reason) = &ring {
        let _ = writeln!(io::stderr(), "skipped: disturbed copies by io_uring: {reason}");
    }
    let engines = [(Engine::Threads, true), (Engine::IoUring, ring.is_ok())];
    let directs = [true, false];
    let modes = engines.into_iter().filter(|(_, allowed)| *allowed);
    modes.flat_map(|(engine, _)| directs.map(|direct| fixture(engine, direct))).collect()
}

fn fixture(engine: Engine, direct: bool) -> Fixture {
    let folder = tempdir().unwrap();
    let source = folder.path().join("source");
    fs::write(&source, content()).unwrap();
    let job = CopyJob {
        source: JobSource::File(source.clone()),
        destination: folder.path().join("destination"),
        expected_bytes: None,
        expected: None,
        algorithm: Algorithm::Blake3,
    };
    let options = CopyOptions {
        engine,
        direct,
        threads: 1,
        block_bytes: BLOCK,
        max_memory: BLOCK,
        ..CopyOptions::default()
    };
    Fixture { _folder: folder, source, job, options }
}

fn content() -> Vec<u8> {
    (0..TOTAL).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

impl Fixture {
    fn copy(&self, control: &Control) -> Result<CopyReport, IoError> {
        let found = Mutex::new(None);
        let jobs = std::slice::from_ref(&self.job);
        copy_files(jobs, &self.options, control, &|_, result| *found.lock().unwrap() = Some(result)).unwrap();
        found.into_inner().unwrap().unwrap()
    }

    /// Copy, and do something to the source once the first block has been copied.
    fn copy_disturbed(&self, disturb: impl Fn(&Path) + Send + Sync + 'static) -> Result<CopyReport, IoError> {
        let source = self.source.clone();
        self.copy(&Control::with_hook(move |_, event, result| {
            if event == Event::Copied(BLOCK as u64) {
                disturb(&source);
            }
            result
        }))
    }

    /// Copy, with the result of some calls replaced: `fault` sees the event and how many of its kind came before.
    fn copy_with(
        &self,
        fault: impl Fn(Event<'_>, u32, io::Result<usize>) -> io::Result<usize> + Send + Sync + 'static,
    ) -> Result<CopyReport, IoError> {
        let (reads, writes) = (AtomicU32::new(0), AtomicU32::new(0));
        self.copy(&Control::with_hook(move |_, event, result| {
            let before = match event {
                Event::Read(..) => reads.fetch_add(1, Ordering::Relaxed),
                Event::Write(..) => writes.fetch_add(1, Ordering::Relaxed),
                Event::Copied(_) | Event::Synced(_) => 0,
            };
            fault(event, before, result)
        }))
    }

    fn assert_whole(&self, result: &Result<CopyReport, IoError>) {
        assert_eq!(result.as_ref().unwrap().bytes, TOTAL);
        assert_eq!(fs::read(&self.job.destination).unwrap(), content(), "{:?}", self.options);
    }

    fn assert_source_changed(&self, result: &Result<CopyReport, IoError>) {
        assert!(
            matches!(result, Err(IoError::SourceChanged { path, .. }) if *path == self.source),
            "{result:?}"
        );
        assert!(!self.job.destination.exists());
    }
}

fn errno(code: Errno) -> io::Error {
    io::Error::from_raw_os_error(code.raw_os_error())
}

#[test]
fn a_source_that_shrinks_meanwhile_is_noticed() {
    for end in [0, BLOCK + 100, 2 * BLOCK, 4 * BLOCK] {
        for fixture in fixtures() {
            let result = fixture.copy_disturbed(move |path| {
                fs::OpenOptions::new().write(true).open(path).unwrap().set_len(end as u64).unwrap();
            });
            fixture.assert_source_changed(&result);
        }
    }
}

#[test]
fn a_source_that_grows_meanwhile_is_noticed() {
    for fixture in fixtures() {
        let result = fixture.copy_disturbed(|path| {
            fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
        });
        fixture.assert_source_changed(&result);
    }
}

#[test]
fn a_source_that_is_rewritten_in_place_is_noticed() {
    for fixture in fixtures() {
        let result = fixture.copy_disturbed(|path| {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(b"X", 0).unwrap();
            // Set by hand: two writes within one tick of the filesystem's clock carry the same time.
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        });
        fixture.assert_source_changed(&result);
    }
}

#[test]
fn a_source_that_is_replaced_by_name_is_still_the_opened_one() {
    for fixture in fixtures() {
        let result = fixture.copy_disturbed(|path| {
            fs::remove_file(path).unwrap();
            fs::write(path, "another").unwrap();
        });
        fixture.assert_whole(&result);
    }
}

#[test]
fn a_cancelled_copy_stops_within_a_block_and_leaves_nothing() {
    for fixture in fixtures() {
        let control = Control::with_hook(|control, event, result| {
            if let Event::Copied(_) = event {
                control.cancel();
            }
            result
        });
        assert!(matches!(fixture.copy(&control), Err(IoError::Cancelled)));
        assert_eq!(control.bytes(), BLOCK as u64);
        assert!(!fixture.job.destination.exists());
    }
}

#[test]
fn a_cancelled_copy_does_not_wait_for_its_bandwidth() {
    for mut fixture in fixtures() {
        fixture.options.max_bandwidth = 1; // The second block would begin after two hours.
        let control = Control::with_hook(|control, event, result| {
            if let Event::Copied(_) = event {
                control.cancel();
            }
            result
        });
        let begun = Instant::now();
        assert!(matches!(fixture.copy(&control), Err(IoError::Cancelled)));
        assert!(begun.elapsed().as_secs() < 3600);
    }
}

#[test]
fn calls_that_are_cut_short_or_interrupted_are_gone_on_with() {
    for fixture in fixtures() {
        let result = fixture.copy_with(|event, before, result| match (event, before % 3) {
            (Event::Read(..) | Event::Write(..), 0) => Err(errno(Errno::INTR)),
            (Event::Read(..) | Event::Write(..), 1) => result.map(|n| n.min(4096)),
            _ => result,
        });
        fixture.assert_whole(&result);
        assert_eq!(result.unwrap().retries, 0);
    }
}

#[test]
fn calls_that_end_off_a_page_go_on_through_the_page_cache() {
    for fixture in fixtures() {
        let result = fixture.copy_with(|event, before, result| match (event, before) {
            (Event::Write(..), 0) => result.map(|n| n.min(1000)),
            _ => result,
        });
        fixture.assert_whole(&result);
        let report = result.unwrap();
        assert_eq!(report.mode, CopyMode::Buffered);
        if fixture.options.direct && !report.reason.as_ref().unwrap().contains("refused") {
            assert!(report.reason.unwrap().contains("gave up at byte 1000"));
        }
    }
}

#[test]
fn a_refused_direct_call_falls_back_and_says_why() {
    for fixture in fixtures().into_iter().filter(|fixture| fixture.options.direct) {
        let result = fixture.copy_with(|event, before, result| match (event, before) {
            (Event::Write(..), 2) => Err(errno(Errno::INVAL)),
            _ => result,
        });
        fixture.assert_whole(&result);
        let report = result.unwrap();
        assert_eq!(report.mode, CopyMode::Buffered);
        let reason = report.reason.unwrap();
        assert!(reason.contains("destination: ") && reason.contains("gave up at byte 16384"), "{reason}");
    }
}

#[test]
fn an_error_that_passes_is_tried_again_and_counted() {
    for fixture in fixtures() {
        let result = fixture.copy_with(|event, before, result| match (event, before) {
            (Event::Read(..), 1) | (Event::Write(..), 2) => Err(errno(Errno::IO)),
            _ => result,
        });
        fixture.assert_whole(&result);
        assert_eq!(result.unwrap().retries, 2);
    }
}

#[test]
fn an_error_that_stays_is_reported_with_its_place_and_leaves_nothing() {
    for mut fixture in fixtures() {
        fixture.options.retries = 1;
        let result = fixture.copy_with(|event, _, result| match event {
            Event::Read(_, offset) if offset >= 2 * BLOCK as u64 => Err(errno(Errno::IO)),
            _ => result,
        });
        let error = result.unwrap_err();
        assert!(
            matches!(&error, IoError::Read { path, offset: 16384, .. } if *path == fixture.source),
            "{error:?}"
        );
        assert!(!fixture.job.destination.exists());
    }
}

#[test]
fn a_stale_handle_begins_the_file_again() {
    for fixture in fixtures() {
        let result = fixture.copy_with(|event, before, result| match (event, before) {
            (Event::Read(..), 3) => Err(errno(Errno::STALE)),
            _ => result,
        });
        fixture.assert_whole(&result);
        let result = fixture.copy_with(|event, _, result| match event {
            Event::Read(..) => Err(errno(Errno::STALE)),
            _ => result,
        });
        assert_eq!(result.unwrap_err().errno(), Some(Errno::STALE.raw_os_error()));
    }
}

#[test]
fn a_disk_that_fills_up_is_named_with_what_is_needed() {
    for code in [Errno::NOSPC, Errno::DQUOT] {
        for fixture in fixtures() {
            let result = fixture.copy_with(move |event, _, result| match event {
                Event::Write(..) => Err(errno(code)),
                _ => result,
            });
            assert!(matches!(result, Err(IoError::NoSpace { needed: TOTAL, .. })), "{result:?}");
            assert!(!fixture.job.destination.exists());
        }
    }
}

#[test]
fn a_bit_that_flips_on_the_disk_is_found_by_reading_back_only() {
    for read_back in [false, true] {
        for mut fixture in fixtures() {
            fixture.options.read_back = read_back;
            let result = fixture.copy_with(|event, _, result| {
                if let Event::Synced(path) = event {
                    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
                    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                    file.write_all_at(&[0xFF], 9000).unwrap();
                    file.sync_all().unwrap();
                }
                result
            });
            if read_back {
                let error = result.unwrap_err();
                let IoError::DigestMismatch { path, .. } = &error else { panic!("{error:?}") };
                assert_eq!(*path, fixture.job.destination);
                assert!(!fixture.job.destination.exists());
            } else {
                assert!(!result.unwrap().read_back);
            }
        }
    }
}

#[test]
fn stale_bytes_behind_a_tail_never_reach_the_disk() {
    for fixture in fixtures() {
        let result = fixture.copy_with(|event, _, result| {
            if let Event::Write(path, offset) = event
                && offset == 4 * BLOCK as u64
            {
                let written = fs::read(path).unwrap();
                assert!(written[usize::try_from(TOTAL).unwrap()..].iter().all(|&byte| byte == 0));
            }
            result
        });
        fixture.assert_whole(&result);
    }
}

#[test]
fn many_files_survive_faults_in_many_places() {
    for base in fixtures() {
        let folder = tempdir().unwrap();
        let jobs: Vec<_> = (0..60)
            .map(|i| {
                let source = folder.path().join(format!("{i}.source"));
                fs::write(&source, vec![u8::try_from(i).unwrap(); i * 1500]).unwrap();
                CopyJob {
                    source: JobSource::File(source),
                    destination: folder.path().join(format!("{i}.copy")),
                    ..base.job.clone()
                }
            })
            .collect();
        let options = CopyOptions { threads: 3, max_memory: 6 * BLOCK, retries: 0, ..base.options };
        let calls = AtomicU32::new(0);
        let control = Control::with_hook(move |_, event, result| match event {
            Event::Read(path, _) | Event::Write(path, _) => {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let number: usize = name.split('.').next().unwrap().parse().unwrap();
                match calls.fetch_add(1, Ordering::Relaxed) % 5 {
                    _ if number % 10 == 7 => Err(errno(Errno::IO)),
                    0 => Err(errno(Errno::INTR)),
                    1 => result.map(|n| n.min(4096)),
                    _ => result,
                }
            }
            _ => result,
        });
        let reported = Mutex::new(vec![0; jobs.len()]);
        copy_files(&jobs, &options, &control, &|index, result| {
            reported.lock().unwrap()[index] += 1;
            assert_eq!(result.is_err(), index % 10 == 7, "{index}: {result:?}");
            assert_eq!(jobs[index].destination.exists(), result.is_ok());
            if result.is_ok() {
                let expected = vec![u8::try_from(index).unwrap(); index * 1500];
                assert!(fs::read(&jobs[index].destination).unwrap() == expected);
            }
        })
        .unwrap();
        assert!(reported.into_inner().unwrap().iter().all(|times| *times == 1));
    }
}
