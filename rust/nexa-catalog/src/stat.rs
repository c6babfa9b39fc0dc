//! What the filesystem alone knows about a shard: that it is there, is a file, has its size and lies in the folder.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::validate::unreadable;
use crate::{Code, Entry, Finding, Location, Severity};

/// Check one shard; give whether it is a file that can be opened.
pub(crate) fn check(
    entry: &Entry,
    location: &Location,
    resolved_root: &Path,
    for_staging: bool,
    findings: &mut Vec<Finding>,
) -> bool {
    let path = location.path();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            findings.push(absent(path, &error));
            return false;
        }
    };
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "a folder" } else { "a pipe, socket or device" };
        let finding = Finding::new(Code::NotAFile, format!("{} is {what}", path.display()));
        findings.push(finding.key("uri").fix("name a regular file, or take the line out"));
        return false;
    }
    if matches!(location, Location::Inside { .. }) {
        findings.extend(escape(path, resolved_root, for_staging));
    }
    if let Some(bytes) = entry.bytes.filter(|bytes| *bytes != metadata.len()) {
        let message = format!("the shard has {} bytes, the catalog says {bytes}", metadata.len());
        let remedy = "restore the shard from its source, or write the catalog anew if it was meant to change";
        findings.push(Finding::new(Code::WrongSize, message).key("bytes").fix(remedy));
    }
    true
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
