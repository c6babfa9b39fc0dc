//! One file from source to destination: read, hashed and written block by block, then proved and made durable.
//!
//! ```text
//! open the source (regular, no link); its size is as promised
//! create the destination, not the source itself; reserve its space
//! for each block: read, hash while it is in the cache, write
//! source unchanged?  digest as promised?
//! cut the padding, sync, drop cached pages, report
//! any error: remove the destination
//! ```
//!
//! 1. Space is reserved before the first byte, so a full disk says so at once and not after an hour. The reservation
//!    keeps the visible size: a partial file never looks complete.
//! 2. The digest is of the bytes that were written, from the very buffer that was written.
//! 3. The source is compared with itself after the last read: size and time of modification.
//! 4. The digest is judged before the sync: bad data is not worth waiting for the disk.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::control::Control;
use crate::copy::{CopyJob, CopyMode, CopyOptions, CopyReport};
use crate::digest::{Digest, Hasher};
use crate::direct::Side;
use crate::error::IoError;
use crate::pool::BufferPool;
use crate::regular::{Facts, Links, open_to_read, open_to_write};

/// Copy one file; on any error nothing is left at the destination.
///
/// `pool` hands out blocks aligned to a page; `options.block_bytes` is a multiple of it.
pub(crate) fn copy_one(
    job: &CopyJob,
    options: &CopyOptions,
    pool: &BufferPool,
    control: &Control,
) -> Result<CopyReport, IoError> {
    control.check()?;
    let (source, before) = open_to_read(&job.source, Links::Refuse)?;
    check_size(&job.source, job.expected_bytes, before.bytes)?;
    let mut reader = Side::new(source, &job.source, options.direct);
    let (target, unfinished) = create(job, &before)?;
    let mut writer = Side::new(target, &job.destination, options.direct);

    let mut pass = Pass::new(job);
    let needed = before.bytes;
    run_blocks(&mut reader, &mut writer, needed, options, pool, control, &mut pass)
        .map_err(|error| name_full_disk(error, &job.destination, needed))?;
    check_unchanged(&before, &Facts::of(&reader.file, &job.source)?, &job.source)?;
    let digest = pass.verify(job)?;

    writer.file.set_len(needed).map_err(|source| write_error(&job.destination, needed, source))?;
    writer.file.sync_data().map_err(|source| {
        let error = IoError::Sync { path: job.destination.clone(), source };
        name_full_disk(error, &job.destination, needed)
    })?;
    reader.drop_pages();
    writer.drop_pages();
    let written = Facts::of(&writer.file, &job.destination)?;
    unfinished.keep();
    control.add_file();
    Ok(report(&reader, &writer, digest, &written))
}

fn run_blocks(
    reader: &mut Side<'_>,
    writer: &mut Side<'_>,
    total: u64,
    options: &CopyOptions,
    pool: &BufferPool,
    control: &Control,
    pass: &mut Pass,
) -> Result<(), IoError> {
    let block_bytes = options.block_bytes;
    let mut block = pool.take(block_bytes)?;
    let mut offset = 0;
    while offset < total {
        control.check()?;
        let wanted = usize::try_from(total - offset).map_or(block_bytes, |rest| rest.min(block_bytes));
        let found = reader.fill(&mut block, wanted, offset, control)?;
        if found != wanted {
            let (word, end) = if found < wanted { ("ends", "") } else { ("goes on", " or later") };
            let detail = format!("it had {total} bytes, now it {word} at {}{end}", offset + found as u64);
            return Err(IoError::SourceChanged { path: reader.path.to_owned(), detail });
        }
        pass.update(&block[..wanted]);
        writer.write(&mut block, wanted, offset, control)?;
        offset += wanted as u64;
        control.add_bytes(wanted as u64);
    }
    Ok(())
}

/// The digests of one pass: the one that is asked for, and the promised one's where that is of another kind.
struct Pass {
    asked: Hasher,
    promised: Option<Hasher>,
}

impl Pass {
    fn new(job: &CopyJob) -> Self {
        let promised = job.expected.map(|digest| digest.algorithm()).filter(|&kind| kind != job.algorithm);
        Self { asked: Hasher::new(job.algorithm), promised: promised.map(Hasher::new) }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.asked.update(bytes);
        if let Some(hasher) = &mut self.promised {
            hasher.update(bytes);
        }
    }

    fn verify(self, job: &CopyJob) -> Result<Digest, IoError> {
        let asked = self.asked.finish();
        let found = self.promised.map_or(asked, Hasher::finish);
        match job.expected {
            Some(expected) if expected != found => {
                Err(IoError::DigestMismatch { path: job.source.clone(), expected, found })
            }
            _ => Ok(asked),
        }
    }
}

/// Removes a destination that did not get finished, whichever way the copy ends.
struct Unfinished<'a>(Option<&'a Path>);

impl Unfinished<'_> {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            // The error that brought us here is the one to report.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn create<'a>(job: &'a CopyJob, source: &Facts) -> Result<(File, Unfinished<'a>), IoError> {
    let path = &job.destination;
    let (file, facts) = open_to_write(path).map_err(|error| name_full_disk(error, path, source.bytes))?;
    if facts.same_file(source) {
        return Err(IoError::SameFile { from: job.source.clone(), to: path.clone() });
    }
    let unfinished = Unfinished(Some(path));
    file.set_len(0).map_err(|source| write_error(path, 0, source))?;
    reserve(&file, source.bytes)
        .map_err(|error| name_full_disk(write_error(path, 0, error), path, source.bytes))?;
    Ok((file, unfinished))
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    if bytes == 0 {
        return Ok(()); // Reserving nothing is EINVAL.
    }
    loop {
        match fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes) {
            Err(Errno::INTR) => {}
            // Filesystems that cannot reserve still write.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _bytes: u64) -> io::Result<()> {
    Ok(())
}

fn check_size(path: &Path, expected: Option<u64>, found: u64) -> Result<(), IoError> {
    match expected {
        Some(expected) if expected != found => {
            Err(IoError::SizeMismatch { path: path.to_owned(), expected, found })
        }
        _ => Ok(()),
    }
}

fn check_unchanged(before: &Facts, after: &Facts, path: &Path) -> Result<(), IoError> {
    let detail = if before.bytes != after.bytes {
        format!("it had {} bytes, now {}", before.bytes, after.bytes)
    } else if before.modified_ns != after.modified_ns {
        format!("it was modified at {} ns, now at {} ns", before.modified_ns, after.modified_ns)
    } else {
        return Ok(());
    };
    Err(IoError::SourceChanged { path: path.to_owned(), detail })
}

fn write_error(path: &Path, offset: u64, source: io::Error) -> IoError {
    IoError::Write { path: path.to_owned(), offset, source }
}

/// Say "no space" for what the destination's filesystem calls so, at whichever call it did.
fn name_full_disk(error: IoError, destination: &Path, needed: u64) -> IoError {
    let full = [Errno::NOSPC.raw_os_error(), Errno::DQUOT.raw_os_error()];
    let is_full = |source: &io::Error| source.raw_os_error().is_some_and(|code| full.contains(&code));
    match error {
        IoError::Open { path, source }
        | IoError::Write { path, source, .. }
        | IoError::Sync { path, source }
            if path == destination && is_full(&source) =>
        {
            IoError::NoSpace { path, needed, source }
        }
        other => other,
    }
}

fn report(reader: &Side<'_>, writer: &Side<'_>, digest: Digest, written: &Facts) -> CopyReport {
    let mode = if reader.is_direct() && writer.is_direct() { CopyMode::Direct } else { CopyMode::Buffered };
    let reason = match (reader.reason(), writer.reason()) {
        (None, None) => None,
        (Some(read), Some(write)) if read == write => Some(read.to_owned()),
        (Some(read), None) => Some(format!("source: {read}; destination is written directly")),
        (None, Some(write)) => Some(format!("destination: {write}; source is read directly")),
        (Some(read), Some(write)) => Some(format!("source: {read}; destination: {write}")),
    };
    CopyReport {
        bytes: written.bytes,
        digest,
        mode,
        reason,
        modified_ns: written.modified_ns,
        inode: written.inode,
    }
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
