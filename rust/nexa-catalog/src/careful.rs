//! The naive twin of [`parse`](crate::parse): line by line on one thread, by the rules alone.
//!
//! The tests and the fuzz target hold [`parse`](crate::parse) against it; nothing else uses it.

use std::collections::HashMap;

use crate::excess::Excess;
use crate::parse::{BYTE_ORDER_MARK, Parsed, conflict, duplicate, empty, merge};
use crate::{Entry, line, uri};

/// Parse a catalog as [`parse`](crate::parse) does, slowly and plainly.
#[must_use]
pub fn parse_carefully(bytes: &[u8]) -> Parsed {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut excess = Excess::default();
    let mut entries = Vec::new();
    let mut findings = Vec::new();
    for (text, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        let (entry, found) = line::parse(text, number);
        entries.extend(entry);
        for finding in found {
            excess.keep(&mut findings, finding);
        }
    }
    if entries.is_empty() && findings.is_empty() {
        findings.push(empty());
    }
    let mut first_lines: HashMap<String, u64> = HashMap::new();
    for entry in &entries {
        first_lines.entry(name(entry)).or_insert(entry.line);
    }
    let mut clashes = Vec::new();
    entries.retain(|entry| {
        let name = name(entry);
        let first_line = first_lines.get(&name).copied().unwrap_or_default();
        let folder = name.match_indices('/').map(|(end, _)| &name[..end]).find_map(|folder| {
            first_lines.get(folder).map(|first_line| conflict(&entry.uri, folder, *first_line))
        });
        let clash = if first_line < entry.line { Some(duplicate(&entry.uri, first_line)) } else { folder };
        let sound = clash.is_none();
        clashes.extend(clash.map(|clash| clash.at(entry.line)));
        sound
    });
    let mut findings = merge(findings, clashes, &mut excess);
    findings.extend(excess.finding());
    Parsed { entries: entries.into_iter().collect(), findings }
}

fn name(entry: &Entry) -> String {
    uri::identity_by_rules(&entry.uri).unwrap_or_else(|_| entry.uri.clone())
}
