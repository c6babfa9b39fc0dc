//! Entries by the million: what lines say lies packed in blocks, since an [`Entry`] each would take three times the
//! memory, and half of the parse's time to allocate.

use std::fmt;
use std::ops::Range;

use nexa_io::Digest;
use serde_json::{Map, Value};

use crate::Entry;

/// Entries of one block that is packed from single entries.
const PACKED_TOGETHER: usize = 1024;

/// The entries of a catalog, in the order of their lines.
///
/// ```
/// use nexa_catalog::{Entries, Entry};
///
/// let entries: Entries = [Entry::new("a.arrow"), Entry::new("b.arrow")].into_iter().collect();
/// assert_eq!(entries.len(), 2);
/// assert_eq!(entries.iter().last().map(|entry| entry.uri), Some("b.arrow"));
/// ```
#[derive(Clone, Default)]
pub struct Entries {
    blocks: Vec<Block>,
}

impl Entries {
    pub(crate) fn of(blocks: Vec<Block>) -> Self {
        Self { blocks }
    }

    /// Return the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.rows.len() - block.dropped).sum()
    }

    /// Say whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Go through the entries in the order of their lines.
    pub fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.blocks.iter().flat_map(Block::iter)
    }

    /// Return the entry at a position, counted from 0; walks there.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<EntryRef<'_>> {
        self.iter().nth(index)
    }

    /// Return all entries unpacked.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Entry> {
        self.iter().map(|entry| entry.to_entry()).collect()
    }

    /// Return the sum of the sizes that the catalog states.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.iter().filter_map(|entry| entry.bytes).fold(0, u64::saturating_add)
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        for entry in entries {
            if blocks.last().is_none_or(|block| block.rows.len() == PACKED_TOGETHER) {
                blocks.push(Block::default());
            }
            if let Some(block) = blocks.last_mut() {
                block.push(&entry);
            }
        }
        Self { blocks }
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A look at one of [`Entries`]; the fields are those of an [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EntryRef<'a> {
    /// The line in the catalog, counted from 1.
    pub line: u64,
    /// Where the shard is, as the catalog has it.
    pub uri: &'a str,
    /// The split that the shard belongs to.
    pub split: Option<&'a str>,
    /// The file's size.
    pub bytes: Option<u64>,
    /// The number of records in the shard.
    pub records: Option<u64>,
    /// The file's digest.
    pub checksum: Option<Digest>,
    /// JSON list, or nothing.
    tags: &'a str,
    /// JSON object, or nothing.
    extra: &'a str,
}

impl<'a> EntryRef<'a> {
    /// Return the free labels.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        // Written by us from what was read as such.
        serde_json::from_str(self.tags).unwrap_or_default()
    }

    /// Return the keys that we do not know.
    #[must_use]
    pub fn extra(&self) -> Map<String, Value> {
        serde_json::from_str(self.extra).unwrap_or_default()
    }

    /// Return the keys that we do not know as a JSON object, sorted; `None` where there are none.
    #[must_use]
    pub fn extra_json(&self) -> Option<&'a str> {
        (!self.extra.is_empty()).then_some(self.extra)
    }

    /// Return the entry unpacked.
    #[must_use]
    pub fn to_entry(&self) -> Entry {
        Entry {
            line: self.line,
            uri: self.uri.to_owned(),
            split: self.split.map(str::to_owned),
            bytes: self.bytes,
            records: self.records,
            checksum: self.checksum,
            tags: self.tags(),
            extra: self.extra(),
        }
    }
}

/// The entries of neighbouring lines.
#[derive(Clone, Default)]
pub(crate) struct Block {
    /// The number of lines before the block's first.
    pub(crate) lines_before: u64,
    rows: Vec<Row>,
    /// What the rows have of text, one behind the other.
    text: String,
    dropped: usize,
}

/// One entry: 72 bytes, where a line has some 180.
#[derive(Clone)]
struct Row {
    bytes: u64,
    records: u64,
    /// Counted from the block's first line as 1.
    line: u32,
    /// Where in the text uri, split, tags and extra end; the uri starts where the row before ends.
    ends: [u32; 4],
    checksum: Option<Digest>,
    flags: u8,
}

const HAS_SPLIT: u8 = 1;
const HAS_BYTES: u8 = 2;
const HAS_RECORDS: u8 = 4;
const DROPPED: u8 = 8;

/// What goes into a row; of the texts only the bytes are kept.
pub(crate) struct Fields<'a> {
    pub(crate) line: u64,
    pub(crate) uri: &'a str,
    pub(crate) split: Option<&'a str>,
    pub(crate) bytes: Option<u64>,
    pub(crate) records: Option<u64>,
    pub(crate) checksum: Option<Digest>,
    pub(crate) tags: &'a str,
    pub(crate) extra: &'a str,
}

impl Block {
    /// Make room for so many rows and so much text.
    pub(crate) fn with_capacity(rows: usize, text: usize) -> Self {
        Self { rows: Vec::with_capacity(rows), text: String::with_capacity(text), ..Self::default() }
    }

    /// Add a row, whose line is counted from the block's first as 1.
    pub(crate) fn add(&mut self, fields: &Fields<'_>) {
        let mut ends = [0; 4];
        let parts = [fields.uri, fields.split.unwrap_or_default(), fields.tags, fields.extra];
        for (end, part) in ends.iter_mut().zip(parts) {
            self.text.push_str(part);
            *end = narrow(self.text.len());
        }
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        self.rows.push(Row {
            bytes: fields.bytes.unwrap_or_default(),
            records: fields.records.unwrap_or_default(),
            line: u32::try_from(fields.line).expect("a block has less than 4 G lines"),
            ends,
            checksum: fields.checksum,
            flags: flag(fields.split.is_some(), HAS_SPLIT)
                | flag(fields.bytes.is_some(), HAS_BYTES)
                | flag(fields.records.is_some(), HAS_RECORDS),
        });
    }

    pub(crate) fn push(&mut self, entry: &Entry) {
        let tags = if entry.tags.is_empty() { String::new() } else { Value::from(&*entry.tags).to_string() };
        let extra = if entry.extra.is_empty() {
            String::new()
        } else {
            Value::Object(entry.extra.clone()).to_string()
        };
        self.add(&Fields {
            line: entry.line,
            uri: &entry.uri,
            split: entry.split.as_deref(),
            bytes: entry.bytes,
            records: entry.records,
            checksum: entry.checksum,
            tags: &tags,
            extra: &extra,
        });
    }

    /// Give back what was reserved and not used.
    pub(crate) fn shrink(&mut self) {
        self.rows.shrink_to_fit();
        self.text.shrink_to_fit();
    }

    /// Return the number of rows, dropped ones included.
    pub(crate) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// Take a row out; the others keep their numbers.
    pub(crate) fn drop_row(&mut self, row: usize) {
        self.rows[row].flags |= DROPPED;
        self.dropped += 1;
    }

    pub(crate) fn uri(&self, row: usize) -> &str {
        &self.text[self.spans(row)[0].clone()]
    }

    pub(crate) fn line(&self, row: usize) -> u64 {
        self.lines_before + u64::from(self.rows[row].line)
    }

    fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        (0..self.rows.len()).filter(|row| self.rows[*row].flags & DROPPED == 0).map(|row| self.look(row))
    }

    fn spans(&self, row: usize) -> [Range<usize>; 4] {
        let start = row.checked_sub(1).map_or(0, |before| self.rows[before].ends[3]);
        let [uri, split, tags, extra] = self.rows[row].ends;
        [start..uri, uri..split, split..tags, tags..extra].map(|span| span.start as usize..span.end as usize)
    }

    fn look(&self, row: usize) -> EntryRef<'_> {
        let [uri, split, tags, extra] = self.spans(row).map(|span| &self.text[span]);
        let Row { bytes, records, checksum, flags, .. } = self.rows[row];
        EntryRef {
            line: self.line(row),
            uri,
            split: (flags & HAS_SPLIT != 0).then_some(split),
            bytes: (flags & HAS_BYTES != 0).then_some(bytes),
            records: (flags & HAS_RECORDS != 0).then_some(records),
            checksum,
            tags,
            extra,
        }
    }
}

/// A block has the text of one chunk of lines, far below 4 GiB; 1,024 entries beyond that are refused loudly.
fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).expect("the text of a block has less than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_small() {
        assert_eq!(size_of::<Row>(), 72);
    }

    #[test]
    fn entries_come_back_as_they_were_packed_but_for_those_dropped() {
        let full = Entry {
            line: 2,
            split: Some(String::new()),
            bytes: Some(0),
            records: Some(u64::MAX),
            checksum: "crc32c:e3069283".parse().ok(),
            tags: vec!["a \"b\"".to_owned(), "é".to_owned()],
            extra: [("x".to_owned(), Value::from(1.5))].into_iter().collect(),
            ..Entry::new("b")
        };
        let all: Vec<Entry> = (0..3000)
            .map(|_| [Entry { line: 1, ..Entry::new("a") }, full.clone()])
            .collect::<Vec<_>>()
            .concat();
        let mut packed: Entries = all.iter().cloned().collect();
        assert_eq!((packed.to_vec(), packed.len()), (all.clone(), 6000));
        packed.blocks[0].drop_row(0);
        assert_eq!((packed.to_vec(), packed.len()), (all[1..].to_vec(), 5999));
    }
}
