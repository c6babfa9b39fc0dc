//! What the filesystem alone knows about a shard: that it is there, is a file, has its size and lies in the folder.
//!
//! ```text
//! for each shard with a plain relative name:
//!     its folder, unless it is the last shard's: open it, and see whether its real path is in the catalog's folder
//!     status of the last name in that folder, links not followed
//!     a regular file of the right size → all is well
//! otherwise: ask about the whole path with links followed, and resolve it
//! ```
//!
//! 1. Where a folder's real path is known, and the last name is no link, the file's real path is the two joined. So a
//!    folder is resolved once and not once a shard, which costs a system call a component.
//! 2. In an open folder the system looks up one name rather than a path, and no path has to be put together: that pays
//!    for what the check does besides asking.
//! 3. What is unusual goes the careful way, which asks the system about each shard alone: the fast way only ever says
//!    that all is well.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use crate::validate::unreadable;
use crate::{Code, EntryRef, Finding, Location, Severity, uri};

/// Checks shards against their files; one for each thread, since it remembers the last folder.
pub(crate) struct Status<'a> {
    root: &'a Path,
    resolved_root: &'a Path,
    for_staging: bool,
    folder: Option<Folder>,
}

/// A folder that shards lie in, by its name relative to the catalog's; open, if all in it is in the catalog's folder.
struct Folder {
    name: String,
    handle: Option<OwnedFd>,
}

impl<'a> Status<'a> {
    pub(crate) fn new(root: &'a Path, resolved_root: &'a Path, for_staging: bool) -> Self {
        Self { root, resolved_root, for_staging, folder: None }
    }

    /// Say whether a shard is a regular file of its size, within the catalog's folder; `false` means to look again.
    pub(crate) fn is_well(&mut self, entry: &EntryRef<'_>) -> bool {
        if !uri::is_normal(entry.uri) {
            return false;
        }
        let (folder, name) = entry.uri.rsplit_once('/').unwrap_or(("", entry.uri));
        if self.folder.as_ref().is_none_or(|last| last.name != folder) {
            self.folder = Some(Folder { name: folder.to_owned(), handle: self.open_inside(folder) });
        }
        let Some(handle) = self.folder.as_ref().and_then(|folder| folder.handle.as_ref()) else {
            return false;
        };
        rustix::fs::statat(handle, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|status| {
            FileType::from_raw_mode(status.st_mode) == FileType::RegularFile
                && entry.bytes.is_none_or(|bytes| u64::try_from(status.st_size) == Ok(bytes))
        })
    }

    fn open_inside(&self, folder: &str) -> Option<OwnedFd> {
        let resolved = fs::canonicalize(self.root.join(folder)).ok()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(&resolved, flags, Mode::empty()).ok();
        handle.filter(|_| resolved.starts_with(self.resolved_root))
    }

    /// Check one shard; give whether it is a file that can be opened.
    pub(crate) fn check(
        &self,
        entry: &EntryRef<'_>,
        location: &Location,
        findings: &mut Vec<Finding>,
    ) -> bool {
        let inside = matches!(location, Location::Inside { .. });
        let Some(metadata) = self.check_carefully(location.path(), inside, findings) else { return false };
        if let Some(bytes) = entry.bytes.filter(|bytes| *bytes != metadata.len()) {
            let message = format!("the shard has {} bytes, the catalog says {bytes}", metadata.len());
            let remedy =
                "restore the shard from its source, or write the catalog anew if it was meant to change";
            findings.push(Finding::new(Code::WrongSize, message).key("bytes").fix(remedy));
        }
        true
    }

    /// Give what a path leads to, if that is a regular file.
    fn check_carefully(&self, path: &Path, inside: bool, findings: &mut Vec<Finding>) -> Option<Metadata> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                findings.push(absent(path, &error));
                return None;
            }
        };
        if !metadata.is_file() {
            let what = if metadata.is_dir() { "a folder" } else { "a pipe, socket or device" };
            let finding = Finding::new(Code::NotAFile, format!("{} is {what}", path.display()));
            findings.push(finding.key("uri").fix("name a regular file, or take the line out"));
            return None;
        }
        if inside {
            findings.extend(escape(path, self.resolved_root, self.for_staging));
        }
        Some(metadata)
    }
}

fn absent(path: &Path, error: &io::Error) -> Finding {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            let dangling = fs::symlink_metadata(path).is_ok();
            let what = if dangling { "is a link to nothing" } else { "is not there" };
            Finding::new(Code::MissingShard, format!("{} {what}", path.display()))
                .key("uri")
                .fix("restore the shard from its source, or take the line out")
        }
        _ => unreadable(format!("{} cannot be inspected: {error}", path.display())),
    }
}

/// Find links, in the name or in its folders, that lead out of the catalog's folder.
fn escape(path: &Path, resolved_root: &Path, for_staging: bool) -> Option<Finding> {
    let resolved = match fs::canonicalize(path) {
        Ok(resolved) => resolved,
        Err(error) => return Some(absent(path, &error)),
    };
    if resolved.starts_with(resolved_root) {
        return None;
    }
    let message = format!("a symbolic link leads out of the catalog's folder, to {}", resolved.display());
    let severity = if for_staging { Severity::Error } else { Severity::Warning };
    let finding = Finding::new(Code::UnsafeSymlink, message).severity(severity).key("uri");
    Some(finding.fix("put the shard itself, or a hard link, in the catalog's folder"))
}
