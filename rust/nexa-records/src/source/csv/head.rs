//! What a file's first records say about it: the delimiter, the columns' names and their types.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};

use super::super::options::{Infer, ReadOptions};
use super::super::text::{BOM, Blocks};
use super::super::unit::{Cut, Work};
use super::ends::split;
use super::field::fields;
use super::infer::Seen;
use crate::RecordError;

/// Delimiters that are recognised; the first of those that fit equally well.
const DELIMITERS: [u8; 4] = *b",\t;|";

/// Records that say which one it is.
const LOOKED_AT: usize = 20;

/// Columns that a file may have.
const MAX_COLUMNS: usize = 1 << 16;

/// Bytes that the first record may have; the head is longer.
const MAX_HEADER: usize = 1 << 19;

/// What is known of a file before its records are read.
pub(super) struct Head {
    pub(super) delimiter: u8,
    /// Names of its columns.
    pub(super) names: Vec<String>,
    /// Bytes before the first record.
    pub(super) prefix: usize,
}

/// Say whether a byte can part fields: it must be none that quotes, ends lines or stands in numbers and words.
const fn may_part(delimiter: u8) -> bool {
    delimiter.is_ascii()
        && !delimiter.is_ascii_alphanumeric()
        && !matches!(delimiter, b'"' | b'\n' | b'\r' | b'+' | b'-' | b'.')
}

fn refused(path: &Path, detail: impl Into<String>) -> RecordError {
    RecordError::NoSchema { path: path.to_owned(), detail: detail.into() }
}

/// Give the first record that isn't empty, and where the next one begins.
fn first(text: &[u8], delimiter: u8) -> Option<(&[u8], usize)> {
    let mut at = 0;
    while at < text.len() {
        let (record, next) = split(&text[at..], delimiter, true);
        at += next;
        if !record.is_empty() {
            return Some((record, at));
        }
    }
    None
}

impl Head {
    /// Read what a file begins with.
    pub(super) fn read(blocks: &mut Blocks, path: &Path, options: &ReadOptions) -> Result<Self, RecordError> {
        let head = blocks.head()?;
        let text = head.strip_prefix(BOM).unwrap_or(head);
        let bom = head.len() - text.len();
        let delimiter = options.delimiter.unwrap_or_else(|| recognise(text));
        if !may_part(delimiter) {
            let shown = delimiter as char;
            return Err(refused(
                path,
                format!("{shown:?} can't be the delimiter: records and numbers have it for themselves"),
            ));
        }
        let blank = text.iter().all(|byte| matches!(byte, b' ' | b'\r' | b'\n'));
        let Some((record, behind)) = first(text, delimiter).filter(|_| !blank) else {
            // Without a line there are no columns, unless a schema says them.
            let names = given_names(options).unwrap_or_default();
            return Ok(Self { delimiter, names, prefix: head.len() });
        };
        if behind == text.len() && record.len() >= MAX_HEADER {
            return Err(refused(
                path,
                format!("its first record is longer than {MAX_HEADER} bytes; is it a CSV file?"),
            ));
        }
        let fields = fields(record, delimiter)
            .map_err(|reason| refused(path, format!("its first record: {reason}")))?;
        if fields.len() > MAX_COLUMNS {
            return Err(refused(
                path,
                format!("its first record has more than {MAX_COLUMNS} fields; is it a CSV file?"),
            ));
        }
        if options.header {
            let names = fields.iter().enumerate().map(|(index, field)| name(&field.text, index));
            let names = names.collect::<Result<Vec<_>, _>>().map_err(|reason| refused(path, reason))?;
            return Ok(Self { delimiter, names: unique(names, path)?, prefix: bom + behind });
        }
        let names = given_names(options).unwrap_or_else(|| (0..fields.len()).map(numbered).collect());
        Ok(Self { delimiter, names, prefix: bom })
    }
}

/// The columns' names, where a schema says them and the file doesn't.
fn given_names(options: &ReadOptions) -> Option<Vec<String>> {
    let schema = options.schema.as_ref()?;
    Some(schema.fields().iter().map(|field| field.name().clone()).collect())
}

fn numbered(index: usize) -> String {
    format!("column{index}")
}

fn name(text: &[u8], index: usize) -> Result<String, String> {
    let name =
        std::str::from_utf8(text).map_err(|_| format!("the name of its column {index} is not UTF-8"))?;
    // An index without a name is how data frames are often written.
    Ok(if name.is_empty() { numbered(index) } else { name.to_owned() })
}

fn unique(names: Vec<String>, path: &Path) -> Result<Vec<String>, RecordError> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        None => Ok(names),
        Some(twice) => Err(refused(
            path,
            format!("its header has the column {twice:?} twice; rename one, or say that there is no header"),
        )),
    }
}

/// Choose the delimiter that parts the first records into equally many fields, the more the better.
fn recognise(text: &[u8]) -> u8 {
    let score = |delimiter: u8| {
        let (mut at, mut counts) = (0, Vec::new());
        while at < text.len() && counts.len() < LOOKED_AT {
            let (record, next) = split(&text[at..], delimiter, true);
            at += next;
            // A record that the head ends within says nothing.
            if !record.is_empty() && (at < text.len() || counts.is_empty() || text.ends_with(b"\n")) {
                counts.push(fields(record, delimiter).map_or(0, |fields| fields.len()));
            }
        }
        let most = counts.first().copied().unwrap_or(0);
        let equal = counts.iter().filter(|count| **count == most).count();
        if most < 2 { (0, 0) } else { (equal * 100 / counts.len(), most) }
    };
    let mut best = (DELIMITERS[0], (0, 0));
    for delimiter in DELIMITERS {
        let scored = score(delimiter);
        if scored > best.1 {
            best = (delimiter, scored);
        }
    }
    best.0
}

/// Find the types of a file's columns in its records, in a pass of its own.
pub(super) fn infer(
    mut blocks: Blocks,
    head: &Head,
    options: &ReadOptions,
) -> Result<SchemaRef, RecordError> {
    let mut left = match options.infer {
        Infer::Records(records) => records.get(),
        Infer::Whole => u64::MAX,
    };
    let mut seen = vec![Seen::Nothing; head.names.len()];
    while left > 0 {
        let Some(unit) = blocks.next()? else { break };
        let Work::Bytes(text) = unit.work else { continue };
        let mut at = 0;
        while at < text.len() && left > 0 {
            let (record, next) = split(&text[at..], head.delimiter, true);
            at += next;
            left -= u64::from(!record.is_empty());
            look(&mut seen, record, head.delimiter, &options.nulls);
        }
    }
    let fields = head.names.iter().zip(seen).map(|(name, seen)| Field::new(name, seen.data_type(), true));
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// Look at a record; one that is bad tells nothing.
fn look(seen: &mut [Seen], record: &[u8], delimiter: u8, nulls: &[String]) {
    let Ok(fields) = fields(record, delimiter) else { return };
    if fields.len() != seen.len() || std::str::from_utf8(record).is_err() {
        return;
    }
    for (seen, field) in seen.iter_mut().zip(fields) {
        let missing = !field.quoted && nulls.iter().any(|null| null.as_bytes() == &*field.text);
        if !missing {
            *seen = seen.with(Seen::of(&field.text, field.quoted));
        }
    }
}
