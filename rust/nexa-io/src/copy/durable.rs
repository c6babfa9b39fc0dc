//! Makes written files durable in batches, beside the engine that goes on writing, and reports each once it is.
//!
//! ```text
//! wait for a written file; gather more until it is time for a sync, or the batch is large
//! few files: sync each.  many: sync the whole filesystem once
//! read back, where that is asked for;  report
//! ```
//!
//! 1. A sync costs a commit of the filesystem's journal and a flush of the disk's cache, whether for one file or for a
//!    thousand: two thousand small files synced in a row take longer than their bytes.
//! 2. Syncing the filesystem waits for other processes' dirty pages too, so a few files are synced one by one.
//! 3. Before Linux 5.8 that call said nothing about failed writes: there every file is synced by itself. Since then it
//!    tells of those after the descriptor was opened, so that one is opened before the first write.
//! 4. The disk does nothing else during a flush, so syncs take a twentieth of the time at most: the longer one took, the
//!    later is the next. What is not reported yet is copied again after a crash, so it is never kept for more than ten
//!    seconds of work.

use std::fs::File;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::blocks::Blocks;
use super::side::Side;
use super::target::{Kept, name_full_disk};
use super::transfer::{Transfer, Way};
use super::{Context, CopyJob, CopyReport};
use crate::buffer::AlignedBuf;
use crate::control::Event;
use crate::digest::Hasher;
use crate::error::IoError;

/// A file whose last block is written and whose digest is right.
#[derive(Debug)]
pub(crate) struct Written {
    pub index: usize,
    pub kept: Kept,
    pub report: CopyReport,
}

const LEAST_INTERVAL: Duration = Duration::from_secs(1);
const MOST_INTERVAL: Duration = Duration::from_secs(10);
/// How much longer than a sync the time until the next one is.
const SYNC_SHARE: u32 = 20;
/// Files are open until they are synced, and an ordinary user may have 1,024 open.
const BATCH_FILES: usize = 256;
/// Up to as many files are synced one by one.
const FEW: usize = 8;
const READ_BACK_BYTES: usize = 1 << 20;

/// Open what a whole filesystem is synced by, before anything is written to it; `None` where files are synced one by one.
pub(crate) fn filesystem(jobs: &[CopyJob]) -> Option<File> {
    // The files of a run lie in one artifact, so on one filesystem.
    let folder = jobs.first()?.destination.parent()?;
    if whole_syncs_tell() { File::open(folder).ok() } else { None }
}

/// Take in written files until the senders are gone; report each, durable, through the context.
pub(crate) fn run(written: &Receiver<Written>, filesystem: Option<&File>, context: &Context<'_>) {
    let (mut last, mut interval) = (Instant::now(), LEAST_INTERVAL);
    while let Ok(first) = written.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_FILES {
            match written.recv_timeout(interval.saturating_sub(last.elapsed())) {
                Ok(next) => batch.push(next),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        let begun = Instant::now();
        settle(batch, filesystem, context);
        last = Instant::now();
        interval = ((last - begun) * SYNC_SHARE).clamp(LEAST_INTERVAL, MOST_INTERVAL);
    }
}

fn settle(batch: Vec<Written>, filesystem: Option<&File>, context: &Context<'_>) {
    let whole = filesystem.filter(|_| batch.len() > FEW).map(sync_filesystem);
    for Written { index, kept, mut report } in batch {
        let synced = match &whole {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(std::io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0))),
            None => kept.file.sync_data(),
        };
        let result = synced
            .map_err(|source| IoError::Sync { path: kept.path.clone(), source })
            .map_err(|error| name_full_disk(error, &kept.path, report.bytes))
            .and_then(|()| {
                if !kept.direct {
                    drop_pages(&kept.file);
                }
                drop(context.control.event(Event::Synced(&kept.path), Ok(0)));
                if context.options.read_back {
                    read_back(&kept, &report, context)?;
                    report.read_back = true;
                }
                Ok(report)
            });
        if result.is_err() {
            // What is not proven must not stay under the name; the error says why it is gone.
            let _ = std::fs::remove_file(&kept.path);
        }
        context.done(index, result);
    }
}

/// Read the file as the disk has it and compare its digest.
fn read_back(kept: &Kept, report: &CopyReport, context: &Context<'_>) -> Result<(), IoError> {
    let file = File::open(&kept.path).map_err(|source| IoError::Open { path: kept.path.clone(), source })?;
    let side = Side::new(file, kept.path.clone(), context.options.direct);
    side.drop_pages(0, 0);
    let mut buffer = AlignedBuf::zeroed(READ_BACK_BYTES, context.plan.alignment)?;
    let mut hasher = Hasher::new(report.digest.algorithm());
    let blocks = Blocks::new(report.bytes, READ_BACK_BYTES, context.plan.alignment);
    for block in (0..).map_while(|index| blocks.get(index)) {
        let mut transfer = Transfer::new(Way::Read, block);
        context.control.check()?;
        transfer.run(&side, false, context.options.retries, context.control, |range, offset| {
            Ok(rustix::io::pread(side.file(), &mut buffer[range], offset)?)
        })?;
        hasher.update(&buffer[..block.len]);
    }
    side.drop_pages(0, 0);
    match hasher.finish() {
        found if found == report.digest => Ok(()),
        found => Err(IoError::DigestMismatch { path: kept.path.clone(), expected: report.digest, found }),
    }
}

fn drop_pages(file: &File) {
    #[cfg(target_os = "linux")]
    // Advice: a refusal costs memory for a while, nothing else.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

#[cfg(target_os = "linux")]
fn sync_filesystem(file: &File) -> std::io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_filesystem(file: &File) -> std::io::Result<()> {
    file.sync_all()
}

/// Say whether syncing a filesystem reports failed writes: since Linux 5.8.
fn whole_syncs_tell() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    cfg!(target_os = "linux") && is_since_5_8(&release)
}

fn is_since_5_8(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (5, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_apart() {
        let table = [
            ("5.7.19", false),
            ("5.8.0-rc1", true),
            ("5.15.0-91-generic", true),
            ("4.18.0-553.el8", false),
            ("6.18.44", true),
            ("10.0", true),
            ("", false),
        ];
        for (release, tells) in table {
            assert_eq!(is_since_5_8(release), tells, "{release}");
        }
    }
}
