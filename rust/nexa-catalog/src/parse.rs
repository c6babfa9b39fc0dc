//! A catalog's lines in parallel, with results that do not depend on the number of threads.

use std::collections::hash_map::RandomState;

use nexa_io::{Control, threads};
use rayon::prelude::*;

use crate::entries::{Block, Fields};
use crate::excess::Excess;
use crate::source::{Source, Wave};
use crate::unique::{self, Clash, Collector, Names};
use crate::{CatalogError, Code, Entries, Finding, Severity, fast, line, uri};

/// Longest line that is read; an entry has some hundred bytes.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Bytes that one task parses: some hundred lines at least, and hundreds of tasks in a large catalog.
const CHUNK_BYTES: usize = 256 << 10;
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A catalog's entries, and what is wrong with its lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// The sound lines, in their order.
    pub entries: Entries,
    /// What is wrong with the others, in the order of the lines, at most [`MAX_FINDINGS`](crate::MAX_FINDINGS) and one
    /// that counts the rest.
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
/// assert_eq!(parsed.entries.get(0).and_then(|entry| entry.records), Some(100));
/// assert_eq!(parsed.findings[0].line, Some(2));
/// assert_eq!(parsed.findings[0].code.as_str(), "negative-number");
/// # Ok::<(), nexa_catalog::CatalogError>(())
/// ```
pub fn parse(bytes: &[u8], control: &Control) -> Result<Parsed, CatalogError> {
    parse_from(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes), control)
}

/// Parse what a source gives, without a byte order mark.
pub(crate) fn parse_from(source: impl Source + Send, control: &Control) -> Result<Parsed, CatalogError> {
    threads::pool()?.install(|| Parse::default().run(source, control))
}

/// What is known of a catalog while it is read.
#[derive(Default)]
struct Parse {
    blocks: Vec<Block>,
    names: Vec<Names>,
    findings: Vec<Finding>,
    excess: Excess,
    lines: u64,
    key: RandomState,
}

impl Parse {
    fn run(mut self, mut source: impl Source, control: &Control) -> Result<Parsed, CatalogError> {
        control.check()?;
        while let Some(wave) = source.next()? {
            control.check()?;
            match wave {
                Wave::Lines(bytes) => {
                    self.wave(bytes);
                    control.add_bytes(bytes.len() as u64);
                }
                Wave::TooLong(bytes) => {
                    self.lines += 1;
                    self.excess.keep(&mut self.findings, line::too_long(bytes).at(self.lines));
                    control.add_bytes(bytes);
                }
            }
        }
        Ok(self.finish())
    }

    fn wave(&mut self, bytes: &[u8]) {
        let chunks: Vec<&[u8]> = Chunks { rest: bytes }.collect();
        let key = &self.key;
        let parsed: Vec<Chunk> = chunks.into_par_iter().map(|chunk| Chunk::parse(chunk, key)).collect();
        for mut chunk in parsed {
            chunk.block.lines_before = self.lines;
            for finding in chunk.findings {
                let line = finding.line.map(|line| line + self.lines);
                self.excess.keep(&mut self.findings, Finding { line, ..finding });
            }
            self.excess.add(&chunk.excess);
            self.lines += chunk.lines;
            self.blocks.push(chunk.block);
            self.names.push(chunk.names);
        }
    }

    fn finish(mut self) -> Parsed {
        if self.findings.is_empty() && self.blocks.iter().all(|block| block.n_rows() == 0) {
            self.findings.push(empty());
        }
        let clashes = unique::clashes(&self.blocks, &self.names, &self.key);
        drop(self.names);
        let described = clashes.iter().take(crate::MAX_FINDINGS).map(|clash| describe(&self.blocks, clash));
        let described: Vec<Finding> = described.collect();
        let more = clashes.len() - described.len();
        for clash in clashes {
            self.blocks[clash.block].drop_row(clash.row);
        }
        let mut findings = merge(self.findings, described, &mut self.excess);
        self.excess.count(more, Severity::Error);
        findings.extend(self.excess.finding());
        Parsed { entries: Entries::of(self.blocks), findings }
    }
}

pub(crate) fn empty() -> Finding {
    let finding = Finding::new(Code::EmptyCatalog, "the catalog has no entries");
    finding.fix("write one JSON object a line, with the key uri")
}

/// Bring findings into the order of their lines, those of `left` first on a line, and keep as many as are kept.
pub(crate) fn merge(left: Vec<Finding>, right: Vec<Finding>, excess: &mut Excess) -> Vec<Finding> {
    if right.is_empty() {
        return left;
    }
    let mut all = [left, right].concat();
    all.sort_by_key(|finding| finding.line);
    let mut kept = Vec::new();
    for finding in all {
        excess.keep(&mut kept, finding);
    }
    kept
}

fn describe(blocks: &[Block], clash: &Clash) -> Finding {
    let block = &blocks[clash.block];
    let uri = block.uri(clash.row);
    let finding = match clash.folder_bytes {
        None => duplicate(uri, clash.first_line),
        Some(bytes) => {
            let name = uri::identity(uri).unwrap_or_default();
            conflict(uri, &name[..bytes], clash.first_line)
        }
    };
    finding.at(block.line(clash.row))
}

pub(crate) fn duplicate(uri: &str, first_line: u64) -> Finding {
    Finding::new(Code::DuplicateUri, format!("the uri leads to the same shard as line {first_line}"))
        .of(uri)
        .key("uri")
        .fix("keep one of the lines")
}

pub(crate) fn conflict(uri: &str, folder: &str, first_line: u64) -> Finding {
    let message = format!("the uri needs {folder:?} to be a folder, which is the shard of line {first_line}");
    Finding::new(Code::NameConflict, message).of(uri).key("uri").fix("rename one of the two shards")
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
#[derive(Default)]
struct Chunk {
    block: Block,
    names: Names,
    findings: Vec<Finding>,
    excess: Excess,
    lines: u64,
}

impl Chunk {
    fn parse(bytes: &[u8], key: &RandomState) -> Self {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let rows = memchr::memchr_iter(b'\n', bytes).count() + 1;
        let mut chunk = Self { block: Block::with_capacity(rows, bytes.len() / 4), ..Self::default() };
        let mut names = Collector::new(key, rows);
        let mut scratch = fast::Scratch::default();
        // All at once, which is quicker; where it fails, each line is looked at alone.
        let text = std::str::from_utf8(bytes).ok();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]) {
            chunk.lines += 1;
            let line = &bytes[start..end];
            let text = text.map_or_else(|| std::str::from_utf8(line).ok(), |text| text.get(start..end));
            let fast = text.and_then(|text| fast::read(text.trim_ascii(), &mut scratch));
            match fast {
                Some(found) => chunk.add(&found, &scratch, &mut names),
                None => chunk.add_carefully(line, &mut names),
            }
            start = end + 1;
        }
        chunk.block.shrink();
        chunk.names = names.finish();
        chunk
    }

    fn add(&mut self, found: &fast::Line<'_>, scratch: &fast::Scratch<'_>, names: &mut Collector<'_>) {
        names.add(&found.name);
        self.block.add(&Fields {
            line: self.lines,
            uri: found.uri,
            split: found.split,
            bytes: found.bytes,
            records: found.records,
            checksum: found.checksum,
            tags: &scratch.tags,
            extra: &scratch.extra,
        });
    }

    fn add_carefully(&mut self, line: &[u8], names: &mut Collector<'_>) {
        let (entry, findings) = line::parse(line, self.lines);
        if let Some(entry) = entry {
            // An entry's uri was found sound when its line was parsed.
            names.add(&uri::identity(&entry.uri).unwrap_or_default());
            self.block.push(&entry);
        }
        for finding in findings {
            self.excess.keep(&mut self.findings, finding);
        }
    }
}
