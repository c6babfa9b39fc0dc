//! JSON Lines (jsonlines.org, and RFC 8259 for a line): an object a record, read straight into typed columns.
//!
//! ```text
//! open:    types from the caller's schema, or from the first records (`infer`); columns for them (`plan`)
//! cut:     blocks that end at a line's end, or at a comma between the elements of one array (`elements`)
//! decode:  `object` guesses the next key, its column reads the value (`value`), unwanted ones are read past (`skip`)
//! ```
//!
//! # What is accepted
//!
//! A line holds an object as RFC 8259 has it; empty lines are none. Also `NaN`, `Infinity` and `-Infinity` as floats,
//! since Python's `json` writes them. Of a key that comes twice the last value counts. A key that is missing is null. What
//! is a bad record doesn't depend on which columns are wanted, but for values that their column's type doesn't fit.

mod cursor;
mod decode;
mod elements;
mod infer;
mod object;
mod plan;
mod skip;
mod string;
pub(super) mod value;

use std::path::Path;
use std::sync::Arc;

use arrow_schema::SchemaRef;

use self::decode::{Form, Layout, Records};
use self::elements::Elements;
use self::infer::Found;
use self::object::Strangers;
use super::format::Format;
use super::open::Opened;
use super::options::{Infer, ReadOptions};
use super::project::Projection;
use super::text::{BOM, Blocks, Lines, record_bytes};
use super::unit::{Cut, Unit, Work};
use super::width::rows_within;
use crate::RecordError;

/// Open a file of JSON lines, or of one array.
pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Opened, RecordError> {
    let (cutter, layout) = blocks(path, options)?;
    let all = match &options.schema {
        Some(schema) => Arc::clone(schema),
        None => infer(path, options)?,
    };
    let strangers = if options.refuses_strangers() { Strangers::Refuse } else { Strangers::Skip };
    let schema = Projection::new(&all, options.columns.as_deref(), path)?.schema();
    let form = Form {
        wanted: Arc::clone(&schema),
        all,
        strangers,
        layout,
        batch_rows: rows_within(&schema, options.batch_rows),
        record_bytes: record_bytes(options),
        path: path.to_owned(),
    };
    let decoder = Records::new(form).map_err(|detail| no_schema(path, detail))?;
    Ok(Opened {
        path: path.to_owned(),
        format: Format::Jsonl,
        schema,
        rows: None,
        cutter: Box::new(cutter),
        decoder: Arc::new(decoder),
    })
}

fn no_schema(path: &Path, detail: String) -> RecordError {
    RecordError::NoSchema { path: path.to_owned(), detail }
}

/// Begin to cut a file, as what its beginning says it is.
fn blocks(path: &Path, options: &ReadOptions) -> Result<(Blocks, Layout), RecordError> {
    let mut blocks = Blocks::open(path, options)?;
    let head = blocks.head()?;
    let text = head.strip_prefix(BOM).unwrap_or(head);
    let space = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let prefix = head.len() - text.len();
    if text.get(space) == Some(&b'[') && !one_line(&text[space..]) {
        blocks.begin(prefix + space + 1, Box::new(Elements::default()));
        return Ok((blocks, Layout::Array));
    }
    if decode::goes_on(text, Layout::Lines) {
        let detail =
            "its first object goes on over several lines; write an object a line, or one array of objects";
        return Err(RecordError::NotOfFormat {
            path: path.to_owned(),
            format: Format::Jsonl.name(),
            detail: detail.to_owned(),
        });
    }
    blocks.begin(prefix, Box::new(Lines));
    Ok((blocks, Layout::Lines))
}

/// Say whether the list that `text` begins with ends on its line and another record follows: then it is a bad line.
fn one_line(text: &[u8]) -> bool {
    let (line, next) = Layout::Lines.split(text);
    line.trim_ascii_end().ends_with(b"]") && text[next..].iter().any(|byte| !byte.is_ascii_whitespace())
}

/// Find columns and types in the file's records, in a pass of its own.
fn infer(path: &Path, options: &ReadOptions) -> Result<SchemaRef, RecordError> {
    let (mut blocks, layout) = blocks(path, options)?;
    let limit = match options.infer {
        Infer::Records(records) => records.get(),
        Infer::Whole => u64::MAX,
    };
    let mut found = Found::new(options.types.as_deref());
    while found.records() < limit {
        let Some(unit) = blocks.next()? else { break };
        look(&mut found, unit, layout, limit).map_err(|detail| no_schema(path, detail))?;
    }
    Ok(Arc::new(found.schema().map_err(|detail| no_schema(path, detail))?))
}

fn look(found: &mut Found, unit: Unit, layout: Layout, limit: u64) -> Result<(), String> {
    let text = match unit.work {
        Work::Bytes(text) => text,
        Work::Lost(bad) => return found.lost(bad),
        Work::Part(_) => return Ok(()),
    };
    let mut at = 0;
    while at < text.len() && found.records() < limit {
        let (record, next) = layout.split(&text[at..]);
        at += next;
        if !record.iter().all(u8::is_ascii_whitespace) {
            found.look(record)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
