//! A catalog's lines in parallel, with results that do not depend on the number of threads.

use std::collections::HashMap;
use std::collections::hash_map;

use nexa_io::{Control, threads};
use rayon::prelude::*;

use crate::{CatalogError, Code, Entry, Finding, Severity, line, uri};

/// Longest line that is read; an entry has some hundred bytes.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Most findings that are kept. Beyond, they are counted: a file of another format would otherwise give a finding
/// for each of its millions of lines.
pub const MAX_FINDINGS: usize = 10_000;

/// Bytes that one task parses: some hundred lines at least, and hundreds of tasks in a large catalog.
const CHUNK_BYTES: usize = 256 << 10;
/// Tasks whose findings are in memory at one time.
const CHUNKS_AT_ONCE: usize = 32;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A catalog's entries, and what is wrong with its lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// The sound lines, in their order.
    pub entries: Vec<Entry>,
    /// What is wrong with the others, in the order of the lines, at most [`MAX_FINDINGS`] and one that counts the
    /// rest.
    pub findings: Vec<Finding>,
}

/// Parse a catalog.
///
/// Lines end with a newline, with or without a carriage return before it; the last one need not. Blank lines and a
/// UTF-8 byte order mark are ignored. A line with an error gives no entry, and does not keep the others from being
/// read; a warning does not cost the entry.
///
/// # Args
///
/// - `bytes`: the whole catalog.
/// - `control`: cancels the work, and counts the bytes that are done.
///
/// # Errors
///
/// [`CatalogError::Cancelled`], or [`CatalogError::Io`] where the thread pool cannot be made; never for the bytes.
///
/// ```
/// let catalog = b"{\"uri\": \"a.arrow\", \"records\": 100}\n{\"uri\": \"b.arrow\", \"records\": -1}\n";
/// let parsed = nexa_catalog::parse(catalog, &nexa_io::Control::default())?;
/// assert_eq!(parsed.entries[0].records, Some(100));
/// assert_eq!(parsed.findings[0].line, Some(2));
/// assert_eq!(parsed.findings[0].code.as_str(), "negative-number");
/// # Ok::<(), nexa_catalog::CatalogError>(())
/// ```
pub fn parse(bytes: &[u8], control: &Control) -> Result<Parsed, CatalogError> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let pool = threads::pool()?;
    let mut parsed = Parsed::default();
    let mut excess = Excess::default();
    let mut lines = 0u64;
    let mut chunks = Chunks { rest: bytes };
    loop {
        let wave: Vec<&[u8]> = chunks.by_ref().take(CHUNKS_AT_ONCE).collect();
        if wave.is_empty() {
            break;
        }
        control.check()?;
        let results: Vec<Chunk> = pool.install(|| wave.par_iter().map(|chunk| Chunk::parse(chunk)).collect());
        for (chunk, bytes) in results.into_iter().zip(&wave) {
            control.add_bytes(bytes.len() as u64);
            lines = chunk.append(lines, &mut parsed, &mut excess);
        }
    }
    if parsed.entries.is_empty() && parsed.findings.is_empty() {
        let finding = Finding::new(Code::EmptyCatalog, "the catalog has no entries");
        parsed.findings.push(finding.fix("write one JSON object a line, with the key uri"));
    }
    drop_duplicates(&mut parsed, &mut excess);
    parsed.findings.extend(excess.finding());
    Ok(parsed)
}

/// Cuts bytes after newlines, into pieces whose bounds depend on the bytes alone.
struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self
            .rest
            .get(CHUNK_BYTES..)
            .and_then(|later| memchr::memchr(b'\n', later))
            .map_or(self.rest.len(), |newline| CHUNK_BYTES + newline + 1);
        let (chunk, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(chunk)
    }
}

/// What one task found, with lines counted from the chunk's first as 1.
struct Chunk {
    entries: Vec<Entry>,
    findings: Vec<Finding>,
    excess: Excess,
    lines: u64,
}

impl Chunk {
    fn parse(bytes: &[u8]) -> Self {
        let mut chunk =
            Self { entries: Vec::new(), findings: Vec::new(), excess: Excess::default(), lines: 0 };
        for text in bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n') {
            chunk.lines += 1;
            let (entry, findings) = line::parse(text, chunk.lines);
            chunk.entries.extend(entry);
            for finding in findings {
                chunk.excess.keep(&mut chunk.findings, finding);
            }
        }
        chunk
    }

    /// Add the chunk to the catalog, whose earlier chunks had `before` lines; give the lines so far.
    fn append(self, before: u64, parsed: &mut Parsed, excess: &mut Excess) -> u64 {
        parsed
            .entries
            .extend(self.entries.into_iter().map(|entry| Entry { line: entry.line + before, ..entry }));
        for finding in self.findings {
            let line = finding.line.map(|line| line + before);
            excess.keep(&mut parsed.findings, Finding { line, ..finding });
        }
        excess.add(&self.excess);
        before + self.lines
    }
}

/// The findings that were counted and not kept.
#[derive(Default)]
pub(crate) struct Excess {
    count: u64,
    worst: Option<Severity>,
}

impl Excess {
    pub(crate) fn keep(&mut self, findings: &mut Vec<Finding>, finding: Finding) {
        if findings.len() < MAX_FINDINGS {
            findings.push(finding);
        } else {
            self.count += 1;
            self.worst = self.worst.max(Some(finding.severity));
        }
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.worst = self.worst.max(other.worst);
    }

    pub(crate) fn finding(&self) -> Option<Finding> {
        let worst = self.worst?;
        let message = format!("{} more findings are not listed", self.count);
        let finding = Finding::new(Code::TooManyFindings, message).severity(worst);
        Some(finding.fix("mend what is listed and check again; perhaps the file is not a catalog"))
    }
}

/// Take out the entries whose uri leads where an earlier line's does.
fn drop_duplicates(parsed: &mut Parsed, excess: &mut Excess) {
    let mut first_lines: HashMap<String, u64> = HashMap::with_capacity(parsed.entries.len());
    let mut duplicates = Vec::new();
    parsed.entries.retain(|entry| {
        // An entry's uri was found sound when its line was parsed.
        let name = uri::identity(&entry.uri).unwrap_or_else(|_| entry.uri.clone());
        match first_lines.entry(name) {
            hash_map::Entry::Vacant(free) => {
                free.insert(entry.line);
                true
            }
            hash_map::Entry::Occupied(taken) => {
                duplicates.push(duplicate(entry, *taken.get()));
                false
            }
        }
    });
    if !duplicates.is_empty() {
        let found = std::mem::take(&mut parsed.findings);
        let mut all: Vec<Finding> = found.into_iter().chain(duplicates).collect();
        all.sort_by_key(|finding| finding.line);
        for finding in all {
            excess.keep(&mut parsed.findings, finding);
        }
    }
}

pub(crate) fn duplicate(entry: &Entry, first_line: u64) -> Finding {
    Finding::new(Code::DuplicateUri, format!("the uri leads to the same shard as line {first_line}"))
        .at(entry.line)
        .of(&entry.uri)
        .key("uri")
        .fix("keep one of the lines")
}
