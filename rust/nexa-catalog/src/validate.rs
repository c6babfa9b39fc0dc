//! The catalog's entries against the files that they speak of.

use std::path::{Path, PathBuf};

use nexa_io::{Control, IoError, digest_file, threads};
use rayon::prelude::*;

use crate::excess::Excess;
use crate::footers::{self, Reference};
use crate::same_file::SharedFiles;
use crate::stat::Status;
use crate::{CatalogError, Code, Entries, EntryRef, Finding, Location, Severity, locate, staged_name};

/// Entries whose findings are in memory at one time, before those that are too many are only counted.
const ENTRIES_AT_ONCE: usize = 16_384;

/// Which checks to run, from cheap to dear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// Each shard is there, is a regular file and has its size: a system call or two a shard.
    pub shards: bool,
    /// Each Arrow shard has its number of records, and the columns of the first one: reads the footers.
    pub footers: bool,
    /// Each shard has its checksum: reads every byte.
    pub content: bool,
    /// Uris that cannot be staged (absolute ones, links out of the catalog's folder) are errors, not warnings.
    pub for_staging: bool,
}

impl Default for Checks {
    /// Check that the shards are there and that their footers agree, and leave their content alone.
    fn default() -> Self {
        Self { shards: true, footers: true, content: false, for_staging: false }
    }
}

/// Hold a catalog's entries against their files.
///
/// # Args
///
/// - `root`: the catalog's folder.
/// - `entries`: the entries, from [`parse`](crate::parse), which found the names that stand twice.
/// - `checks`: what to check.
/// - `control`: cancels the work, and counts the entries that are done, or where content is checked the files and bytes read.
///
/// # Returns
///
/// The findings in the order of the entries' lines, the same for every number of threads.
///
/// # Errors
///
/// [`CatalogError::Cancelled`], or [`CatalogError::Io`] where the thread pool cannot be made; what is wrong with a shard
/// is a finding.
pub fn validate(
    root: &Path,
    entries: &Entries,
    checks: &Checks,
    control: &Control,
) -> Result<Vec<Finding>, CatalogError> {
    let pool = threads::pool()?;
    // A root that cannot be resolved is missing, and so is every shard under it: that is what will be said.
    let resolved_root = std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let reference =
        if checks.footers { pool.install(|| footers::reference(root, entries, control))? } else { None };
    let shared = SharedFiles::new(root, entries);
    let check = Check { root, resolved_root, checks, control, reference, shared };
    let mut findings = Vec::new();
    let mut excess = Excess::default();
    let mut entries = entries.iter();
    let mut wave: Vec<EntryRef<'_>> = Vec::new();
    loop {
        wave.clear();
        wave.extend(entries.by_ref().take(ENTRIES_AT_ONCE));
        if wave.is_empty() {
            break;
        }
        for finding in pool.install(|| check.wave(&wave))?.into_iter().flatten() {
            excess.keep(&mut findings, finding);
        }
    }
    findings.sort_by_key(|finding| finding.line);
    findings.extend(excess.finding());
    Ok(findings)
}

/// What all entries are checked against.
struct Check<'a> {
    root: &'a Path,
    resolved_root: PathBuf,
    checks: &'a Checks,
    control: &'a Control,
    reference: Option<Reference>,
    shared: SharedFiles,
}

impl Check<'_> {
    fn wave(&self, wave: &[EntryRef<'_>]) -> Result<Vec<Vec<Finding>>, IoError> {
        let status = || Status::new(self.root, &self.resolved_root, self.checks.for_staging);
        wave.par_iter().map_init(status, |status, entry| self.entry(entry, status)).collect()
    }

    fn entry(&self, entry: &EntryRef<'_>, status: &mut Status<'_>) -> Result<Vec<Finding>, IoError> {
        self.control.check()?;
        let Checks { shards, footers, content, .. } = *self.checks;
        let well = shards && status.is_well(entry);
        // Most entries end here, without so much as a path.
        let done = well && !footers && !content && self.shared.is_empty();
        let mut findings = Vec::new();
        if !done && let Some(location) = self.locate(entry, &mut findings) {
            let looked_at = shards || footers || content;
            // A shard that is not there, or is no file, must not be opened: a pipe would block for ever.
            if looked_at && (well || status.check(entry, &location, &mut findings)) {
                self.file(entry, location.path(), &mut findings)?;
            }
            findings.extend(self.shared.finding(entry, &location));
        }
        if !self.checks.content {
            self.control.add_file();
        }
        Ok(findings.into_iter().map(|finding| finding.at(entry.line).of(entry.uri)).collect())
    }

    fn locate(&self, entry: &EntryRef<'_>, findings: &mut Vec<Finding>) -> Option<Location> {
        let location = match locate(entry.uri, self.root) {
            Ok(location) => location,
            Err(problem) => {
                findings
                    .push(Finding::new(problem.code(), problem.to_string()).key("uri").fix(problem.remedy()));
                return None;
            }
        };
        if self.checks.for_staging {
            if let Err(problem) = staged_name(entry.uri) {
                findings
                    .push(Finding::new(problem.code(), problem.to_string()).key("uri").fix(problem.remedy()));
            }
        } else if matches!(location, Location::Absolute { .. }) {
            let finding =
                Finding::new(Code::UnsafeUri, "the uri is absolute: the catalog cannot be moved or staged");
            let remedy = "name the shard by a path relative to the catalog's folder";
            findings.push(finding.severity(Severity::Warning).key("uri").fix(remedy));
        }
        Some(location)
    }

    fn file(&self, entry: &EntryRef<'_>, path: &Path, findings: &mut Vec<Finding>) -> Result<(), IoError> {
        if self.checks.footers {
            footers::check(entry, path, self.reference.as_ref(), findings);
        }
        if self.checks.content {
            self.content(entry, path, findings)?;
        }
        Ok(())
    }

    fn content(&self, entry: &EntryRef<'_>, path: &Path, findings: &mut Vec<Finding>) -> Result<(), IoError> {
        let Some(expected) = entry.checksum else { return Ok(()) };
        match digest_file(path, expected.algorithm(), self.control) {
            Ok((_, found)) if found == expected => {}
            Ok((_, found)) => {
                let message = format!("the shard's checksum is {found}, the catalog says {expected}");
                let remedy =
                    "restore the shard from its source, or write the catalog anew if it was meant to change";
                findings.push(Finding::new(Code::WrongChecksum, message).key("checksum").fix(remedy));
            }
            Err(IoError::Cancelled) => return Err(IoError::Cancelled),
            Err(error) => findings.push(unreadable(error.to_string())),
        }
        Ok(())
    }
}

pub(crate) fn unreadable(message: String) -> Finding {
    Finding::new(Code::UnreadableShard, message).key("uri").fix("restore the shard from its source")
}
