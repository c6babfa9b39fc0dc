//! CSV and TSV: RFC 4180, and what people write beyond it, read straight into typed columns.
//!
//! ```text
//! open:    delimiter, names and types from the first records (`head`, `infer`) or the caller; columns for them (`plan`)
//! cut:     blocks that end at a line's end outside quotes (`ends`)
//! decode:  `column` reads a field in place where it is of the common form, else `field` takes its quotes off first
//! ```
//!
//! # What is accepted
//!
//! Lines end with LF or CRLF; quoted fields may hold either, delimiters, and quotes doubled. A quote within a field that
//! doesn't begin with one is a character. Spaces belong to text and are passed over around numbers. Empty lines are no
//! records. An unquoted field that is one of `nulls` (the empty one, by default) is missing. A record with more or fewer
//! fields than the first is a bad one.

mod column;
mod decode;
mod ends;
mod field;
mod head;
mod infer;
mod plan;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow_schema::SchemaRef;

use self::decode::{Form, Records};
use self::ends::Rows;
use self::head::Head;
use super::format::Format;
use super::open::Opened;
use super::options::ReadOptions;
use super::project::Projection;
use super::text::{Blocks, record_bytes};
use super::width::rows_within;
use crate::RecordError;

/// Open a file of separated fields.
pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Opened, RecordError> {
    let (cutter, head) = begin(path, options)?;
    let all = match &options.schema {
        Some(schema) => known(schema, &head, path, options)?,
        None => head::infer(begin(path, options)?.0, &head, options)?,
    };
    let schema = Projection::new(&all, options.columns.as_deref(), path)?.schema();
    let by_name: HashMap<_, _> =
        schema.fields().iter().enumerate().map(|(place, field)| (field.name(), place)).collect();
    let places: Vec<_> = head.names.iter().map(|name| by_name.get(name).copied()).collect();
    let there: HashSet<_> = places.iter().flatten().copied().collect();
    let form = Form {
        places,
        absent: (0..schema.fields().len()).filter(|place| !there.contains(place)).collect(),
        numeric_nulls: options.nulls.iter().any(|null| null.contains(|c: char| c.is_ascii_digit())),
        names: head.names,
        delimiter: head.delimiter,
        nulls: options.nulls.iter().map(|null| null.clone().into_bytes()).collect(),
        batch_rows: rows_within(&schema, options.batch_rows),
        record_bytes: record_bytes(options),
        path: path.to_owned(),
        wanted: Arc::clone(&schema),
    };
    let no_schema = |detail| RecordError::NoSchema { path: path.to_owned(), detail };
    Ok(Opened {
        path: path.to_owned(),
        format: Format::Csv,
        schema,
        rows: None,
        cutter: Box::new(cutter),
        decoder: Arc::new(Records::new(form).map_err(no_schema)?),
    })
}

/// Begin to cut a file behind its header.
fn begin(path: &Path, options: &ReadOptions) -> Result<(Blocks, Head), RecordError> {
    let mut blocks = Blocks::open(path, options)?;
    let head = Head::read(&mut blocks, path, options)?;
    blocks.begin(head.prefix, Box::new(Rows::new(head.delimiter)));
    Ok((blocks, head))
}

/// Check a given schema: its columns are there once, and those that aren't in the file may be missing.
fn known(
    schema: &SchemaRef,
    head: &Head,
    path: &Path,
    options: &ReadOptions,
) -> Result<SchemaRef, RecordError> {
    let there: HashSet<_> = head.names.iter().collect();
    let mut seen = HashSet::new();
    for field in schema.fields() {
        let name = field.name();
        if !seen.insert(name) {
            let detail = format!("the schema has the column {name:?} twice");
            return Err(RecordError::NoSchema { path: path.to_owned(), detail });
        }
        let wanted = options.columns.as_ref().is_none_or(|columns| columns.contains(name));
        if wanted && !field.is_nullable() && !there.contains(name) {
            let known = head.names.clone();
            return Err(RecordError::MissingColumn { path: path.to_owned(), column: name.clone(), known });
        }
    }
    Ok(Arc::clone(schema))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
