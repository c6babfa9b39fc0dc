//! The catalog's entries against the files that they speak of.

use std::collections::HashMap;
use std::collections::hash_map;
use std::path::{Path, PathBuf};

use nexa_io::{Control, IoError, digest_file, threads};
use rayon::prelude::*;

use crate::footers::{self, Reference};
use crate::parse::{Excess, duplicate};
use crate::{CatalogError, Code, Entry, Finding, Location, Severity, locate, staged_name, stat};

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
/// - `entries`: the entries, from [`parse`](crate::parse).
/// - `checks`: what to check.
/// - `control`: cancels the work, and counts the bytes that are read for checksums.
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
    entries: &[Entry],
    checks: &Checks,
    control: &Control,
) -> Result<Vec<Finding>, CatalogError> {
    let pool = threads::pool()?;
    // A root that cannot be resolved is missing, and so is every shard under it: that is what will be said.
    let resolved_root = std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let reference = if checks.footers { footers::reference(root, entries, control)? } else { None };
    let check = Check { root, resolved_root, checks, control, reference };
    let found: Vec<Vec<Finding>> =
        pool.install(|| entries.par_iter().map(|entry| check.entry(entry)).collect::<Result<_, _>>())?;
    let mut all: Vec<Finding> = found.into_iter().flatten().chain(same_file(root, entries)).collect();
    all.sort_by_key(|finding| finding.line);
    let mut excess = Excess::default();
    let mut findings = Vec::with_capacity(all.len().min(crate::MAX_FINDINGS));
    for finding in all {
        excess.keep(&mut findings, finding);
    }
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
}

impl Check<'_> {
    fn entry(&self, entry: &Entry) -> Result<Vec<Finding>, IoError> {
        self.control.check()?;
        let mut findings = Vec::new();
        if let Some(location) = self.locate(entry, &mut findings) {
            self.file(entry, &location, &mut findings)?;
        }
        Ok(findings.into_iter().map(|finding| finding.at(entry.line).of(&entry.uri)).collect())
    }

    fn locate(&self, entry: &Entry, findings: &mut Vec<Finding>) -> Option<Location> {
        let location = match locate(&entry.uri, self.root) {
            Ok(location) => location,
            Err(problem) => {
                findings
                    .push(Finding::new(problem.code(), problem.to_string()).key("uri").fix(problem.remedy()));
                return None;
            }
        };
        if self.checks.for_staging {
            if let Err(problem) = staged_name(&entry.uri) {
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

    fn file(&self, entry: &Entry, location: &Location, findings: &mut Vec<Finding>) -> Result<(), IoError> {
        let Checks { shards, footers, content, for_staging } = *self.checks;
        if !(shards || footers || content) {
            return Ok(());
        }
        // A shard that is not there, or is no file, must not be opened: a pipe would block for ever.
        let readable = stat::check(entry, location, &self.resolved_root, for_staging, findings);
        if readable && footers {
            footers::check(entry, location.path(), self.reference.as_ref(), findings);
        }
        if readable && content {
            self.content(entry, location.path(), findings)?;
        }
        Ok(())
    }

    fn content(&self, entry: &Entry, path: &Path, findings: &mut Vec<Finding>) -> Result<(), IoError> {
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

/// Find absolute uris that lead to the same file as another line's: [`parse`](crate::parse) knows no folder, and so
/// sees only equal names.
fn same_file(root: &Path, entries: &[Entry]) -> Vec<Finding> {
    let mut first_lines: HashMap<PathBuf, u64> = HashMap::with_capacity(entries.len());
    let mut findings = Vec::new();
    for entry in entries {
        let Ok(location) = locate(&entry.uri, root) else { continue };
        match first_lines.entry(location.path().to_owned()) {
            hash_map::Entry::Vacant(free) => {
                free.insert(entry.line);
            }
            hash_map::Entry::Occupied(taken) => findings.push(duplicate(entry, *taken.get())),
        }
    }
    findings
}
