//! What a shard's footer says, against the catalog and against the first shard.

use std::path::Path;

use arrow_schema::SchemaRef;
use nexa_io::{Control, IoError};
use nexa_records::{RecordError, Summary, check_schema};
use rayon::prelude::*;

use crate::validate::unreadable;
use crate::{Code, Entries, EntryRef, Finding, locate};

const EXTENSIONS: [&str; 3] = ["arrow", "feather", "ipc"];

/// The first readable shard, whose columns all others should have.
pub(crate) struct Reference {
    schema: SchemaRef,
    uri: String,
}

/// Find the first shard of the catalog that can be read, so that the threads compare with the same one.
pub(crate) fn reference(
    root: &Path,
    entries: &Entries,
    control: &Control,
) -> Result<Option<Reference>, IoError> {
    let mut entries = entries.iter();
    // Mostly it is the very first; the groups grow for the sake of catalogs that have none.
    let mut at_once = 1;
    loop {
        let group: Vec<EntryRef<'_>> = entries.by_ref().take(at_once).collect();
        control.check()?;
        let found = group.par_iter().find_map_first(|entry| open(root, entry));
        if found.is_some() || group.is_empty() {
            return Ok(found);
        }
        at_once = (2 * at_once).min(4096);
    }
}

fn open(root: &Path, entry: &EntryRef<'_>) -> Option<Reference> {
    let location = locate(entry.uri, root).ok()?;
    let path = location.path();
    // Only regular files: opening a pipe would wait for its writer.
    if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return None;
    }
    let Summary { schema, .. } = Summary::read(path, false).ok()??;
    Some(Reference { schema, uri: entry.uri.to_owned() })
}

/// Check one shard's footer; files of other formats are not looked into.
pub(crate) fn check(
    entry: &EntryRef<'_>,
    path: &Path,
    reference: Option<&Reference>,
    findings: &mut Vec<Finding>,
) {
    let Summary { schema, num_rows } = match Summary::read(path, named_as_arrow(path)) {
        Ok(Some(summary)) => summary,
        Ok(None) => return,
        Err(error) => {
            findings.push(unreadable(error.to_string()));
            return;
        }
    };
    if let Some(records) = entry.records.filter(|records| *records != num_rows) {
        let message = format!("the shard has {num_rows} records, the catalog says {records}");
        let remedy = "restore the shard from its source, or write the catalog anew if it was meant to change";
        findings.push(Finding::new(Code::WrongRecords, message).key("records").fix(remedy));
    }
    if let Some(reference) = reference
        && let Err(error) = check_schema(&reference.schema, &schema, path)
    {
        findings.push(mismatch(&error, reference));
    }
}

fn mismatch(error: &RecordError, reference: &Reference) -> Finding {
    let finding = match error {
        RecordError::SchemaMismatch { column, expected, found, .. } => {
            let message = format!("the column {column:?} is {found}, in {} it is {expected}", reference.uri);
            Finding::new(Code::SchemaMismatch, message).key(column)
        }
        other => Finding::new(Code::SchemaMismatch, other.to_string()),
    };
    finding.fix("write all shards of a catalog with one schema")
}

fn named_as_arrow(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}
