//! Blocks of records to batches, bad records put aside.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use nexa_io::PooledBuf;

use super::super::text::{shown, too_long};
use super::super::unit::{BadRecord, Decode, Decoded, Pieces, Unit, Work};
use super::cursor::{Cursor, Flaw, kind};
use super::elements::Elements;
use super::object::{Object, Strangers};
use super::plan;
use crate::RecordError;

/// What parts records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// A line each; empty ones are none.
    Lines,
    /// Elements of one array.
    Array,
}

impl Layout {
    /// Give the first record of `text` and where the next one begins.
    #[inline]
    pub(super) fn split(self, text: &[u8]) -> (&[u8], usize) {
        match (self, memchr::memchr(b'\n', text)) {
            (Self::Array, _) => Elements::split(text),
            (Self::Lines, Some(end)) => (&text[..end], end + 1),
            (Self::Lines, None) => (text, text.len()),
        }
    }
}

/// How records become batches; shared by all units.
pub(super) struct Form {
    pub(super) wanted: SchemaRef,
    /// Columns that the file has.
    pub(super) all: SchemaRef,
    pub(super) strangers: Strangers,
    pub(super) layout: Layout,
    pub(super) batch_rows: usize,
    pub(super) record_bytes: usize,
    pub(super) path: std::path::PathBuf,
}

/// Decodes units; columns that one is through with serve the next, with what they learnt of order and sizes.
pub(super) struct Records {
    form: Arc<Form>,
    idle: Arc<Mutex<Vec<Object>>>,
}

impl Records {
    /// Make a decoder, and the columns of a first unit, so that types that can't be read are refused here.
    pub(super) fn new(form: Form) -> Result<Self, String> {
        let first = form.columns()?;
        Ok(Self { form: Arc::new(form), idle: Arc::new(Mutex::new(vec![first])) })
    }
}

impl Form {
    fn columns(&self) -> Result<Object, String> {
        plan::records(&self.wanted, &self.all, self.strangers)
    }
}

impl Decode for Records {
    fn decode(&self, unit: Unit) -> Result<Pieces, RecordError> {
        let Work::Bytes(text) = unit.work else { return Ok(Box::new(std::iter::empty())) };
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let object = match idle {
            Some(object) => object,
            None => self
                .form
                .columns()
                .map_err(|detail| RecordError::NoSchema { path: self.form.path.clone(), detail })?,
        };
        let utf8 = simdutf8::basic::from_utf8(&text).is_ok();
        let (form, idle) = (Arc::clone(&self.form), Arc::clone(&self.idle));
        Ok(Box::new(Block { form, idle, text, at: 0, offset: unit.offset, utf8, object: Some(object) }))
    }
}

/// One unit on its way.
struct Block {
    form: Arc<Form>,
    idle: Arc<Mutex<Vec<Object>>>,
    text: PooledBuf,
    at: usize,
    offset: u64,
    /// Whether all of it is UTF-8; if not, each record is looked at by itself.
    utf8: bool,
    /// Gone at the end.
    object: Option<Object>,
}

/// Read one record.
fn record(object: &mut Object, text: &[u8], form: &Form, utf8: bool) -> Result<(), Flaw> {
    if text.len() > form.record_bytes {
        return Err(Flaw::new(0, too_long(form.record_bytes)));
    }
    if !utf8 && let Err(error) = simdutf8::compat::from_utf8(text) {
        let at = error.valid_up_to();
        return Err(Flaw::new(at, format!("the byte 0x{:02x} is not UTF-8 here", text[at])));
    }
    let mut cursor = Cursor::new(text);
    cursor.space();
    if cursor.peek() != b'{' {
        let flaw = cursor.unfit("an object");
        return Err(flaw);
    }
    object.read(&mut cursor)?;
    cursor.space();
    if cursor.at < text.len() {
        return Err(cursor.expected("the record's end"));
    }
    Ok(())
}

impl Block {
    /// Read records until a batch is full or the block through.
    fn piece(&mut self, object: &mut Object) -> Result<Decoded, RecordError> {
        let mut bad: Vec<BadRecord> = Vec::new();
        while self.at < self.text.len() && object.rows() + bad.len() < self.form.batch_rows {
            let start = self.at;
            let (text, next) = self.form.layout.split(&self.text[start..]);
            // Before a comma there must be an element; empty lines, and what is behind the last comma, are no records.
            let awaited =
                self.form.layout == Layout::Array && self.text.get(start + text.len()) == Some(&b',');
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            self.at += next;
            if !awaited && text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let rows = object.rows();
            if let Err(flaw) = record(object, text, &self.form, self.utf8) {
                object.truncate(rows);
                bad.push(flawed(flaw, (rows + bad.len()) as u64, self.offset + start as u64, text));
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(object.rows()));
        let batch = object.finish().and_then(|columns| {
            RecordBatch::try_new_with_options(Arc::clone(&self.form.wanted), columns, &options)
        });
        match batch {
            Ok(batch) => Ok(Decoded { batch, bad }),
            Err(error) => Err(RecordError::Corrupt {
                path: self.form.path.clone(),
                batch: None,
                detail: format!("what was read makes no batch: {error}"),
            }),
        }
    }
}

/// Say what is wrong with a record, and where in it.
fn flawed(flaw: Flaw, record: u64, offset: u64, text: &[u8]) -> BadRecord {
    let detail = flaw.detail();
    BadRecord {
        record,
        records: 1,
        offset: Some(offset),
        column: (!detail.column.is_empty()).then_some(detail.column),
        reason: format!("{} (byte {} of the record)", detail.reason, detail.at),
        raw: shown(text),
    }
}

impl Iterator for Block {
    type Item = Result<Decoded, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut object = self.object.take()?;
        let piece = self.piece(&mut object);
        let empty = piece.as_ref().is_ok_and(|piece| piece.records() == 0);
        if self.at < self.text.len() && piece.is_ok() {
            self.object = Some(object);
        } else if piece.is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(object);
        }
        // Nothing but empty lines: the block is through.
        (!empty).then_some(piece)
    }
}

/// Say whether a file's first record reads as the beginning of an object that goes on behind its line.
pub(super) fn goes_on(text: &[u8], layout: Layout) -> bool {
    let mut rest = text;
    while layout == Layout::Lines && !rest.is_empty() {
        let (line, next) = layout.split(rest);
        if !line.iter().all(u8::is_ascii_whitespace) {
            return next < rest.len() && cut_short(line);
        }
        rest = &rest[next..];
    }
    false
}

fn cut_short(line: &[u8]) -> bool {
    let mut cursor = Cursor::new(line);
    cursor.space();
    let first = cursor.peek();
    let mut object = Object::new(Strangers::Skip);
    kind(first) == kind(b'{')
        && object.read(&mut cursor).is_err_and(|flaw| flaw.detail().at >= line.trim_ascii_end().len())
}
