//! Blocks of records to batches, bad records put aside.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use nexa_io::PooledBuf;

use super::super::growing::finish_all;
use super::super::text::{shown, too_long};
use super::super::unit::{BadRecord, Decode, Decoded, Pieces, Unit, Work};
use super::column::Fields;
use super::ends::split;
use super::field::{Field, field, fields};
use super::plan;
use crate::RecordError;

/// How records become batches; shared by all units.
pub(super) struct Form {
    pub(super) wanted: SchemaRef,
    pub(super) names: Vec<String>,
    /// For each column of the file, its place among the wanted ones.
    pub(super) places: Vec<Option<usize>>,
    /// Wanted columns that the file doesn't have.
    pub(super) absent: Vec<usize>,
    pub(super) delimiter: u8,
    pub(super) nulls: Vec<Vec<u8>>,
    /// Whether what stands for a missing value may read as a number.
    pub(super) numeric_nulls: bool,
    pub(super) batch_rows: usize,
    pub(super) record_bytes: usize,
    pub(super) path: std::path::PathBuf,
}

type Columns = Vec<Box<dyn Fields>>;

/// Decodes units; columns that one is through with serve the next, with as much memory as it needed.
pub(super) struct Records {
    form: Arc<Form>,
    idle: Arc<Mutex<Vec<Columns>>>,
}

impl Records {
    /// Make a decoder, and the columns of a first unit, so that types that can't be read are refused here.
    pub(super) fn new(form: Form) -> Result<Self, String> {
        let first = form.columns()?;
        Ok(Self { form: Arc::new(form), idle: Arc::new(Mutex::new(vec![first])) })
    }
}

/// What is wrong with a record, and in which column.
struct Flaw {
    column: Option<String>,
    reason: String,
}

impl From<&str> for Flaw {
    fn from(reason: &str) -> Self {
        Self { column: None, reason: reason.to_owned() }
    }
}

impl Form {
    fn columns(&self) -> Result<Columns, String> {
        self.wanted.fields().iter().map(|field| plan::column(field)).collect()
    }

    fn is_null(&self, text: &[u8]) -> bool {
        self.nulls.iter().any(|null| null == text)
    }

    /// Read one record.
    fn record(&self, columns: &mut Columns, record: &[u8], utf8: bool) -> Result<(), Flaw> {
        if record.len() > self.record_bytes {
            return Err(too_long(self.record_bytes).as_str().into());
        }
        if !utf8 && let Err(error) = simdutf8::compat::from_utf8(record) {
            let at = error.valid_up_to();
            return Err(format!("byte {at} of it, 0x{:02x}, is not UTF-8", record[at]).as_str().into());
        }
        let mut at = 0;
        for (index, place) in self.places.iter().enumerate() {
            // Behind the last field's end no other one begins.
            if at > record.len() {
                return Err(self.ragged(record));
            }
            let place = place.filter(|_| !self.numeric_nulls);
            let quick = place.and_then(|place| columns[place].quick(record, at, self.delimiter));
            at = 1 + match quick {
                Some(end) => end,
                None => self.careful(columns, record, at, index)?,
            };
        }
        // A trailing delimiter opens one field more.
        if at <= record.len() {
            return Err(self.ragged(record));
        }
        self.absent.iter().for_each(|place| columns[*place].null());
        Ok(())
    }

    /// Read a field that isn't of the common form, and give the place behind it.
    fn careful(&self, columns: &mut Columns, record: &[u8], at: usize, index: usize) -> Result<usize, Flaw> {
        let Field { text, quoted, end } = field(record, at, self.delimiter)?;
        let Some(place) = self.places[index] else { return Ok(end) };
        let flaw = |reason| Flaw { column: Some(self.names[index].clone()), reason };
        if !quoted && self.is_null(&text) {
            if !self.wanted.field(place).is_nullable() {
                return Err(flaw("it is missing where the schema allows no null".to_owned()));
            }
            columns[place].null();
            return Ok(end);
        }
        columns[place].careful(&text).map_err(|expected| {
            let dots = if text.len() > 40 { "…" } else { "" };
            let text = String::from_utf8_lossy(&text[..text.len().min(40)]);
            flaw(format!("{text:?}{dots} stands where {expected} is expected"))
        })?;
        Ok(end)
    }

    #[cold]
    fn ragged(&self, record: &[u8]) -> Flaw {
        match fields(record, self.delimiter) {
            Ok(found) => {
                let (found, expected) = (found.len(), self.places.len());
                format!("it has {found} fields where {expected} are expected").as_str().into()
            }
            Err(reason) => reason.into(),
        }
    }
}

impl Decode for Records {
    fn decode(&self, unit: Unit) -> Result<Pieces, RecordError> {
        let Work::Bytes(text) = unit.work else { return Ok(Box::new(std::iter::empty())) };
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let columns = match idle {
            Some(columns) => columns,
            None => self
                .form
                .columns()
                .map_err(|detail| RecordError::NoSchema { path: self.form.path.clone(), detail })?,
        };
        let utf8 = simdutf8::basic::from_utf8(&text).is_ok();
        let quotes = memchr::memchr(b'"', &text).is_some();
        let (form, idle) = (Arc::clone(&self.form), Arc::clone(&self.idle));
        Ok(Box::new(Block {
            form,
            idle,
            text,
            at: 0,
            offset: unit.offset,
            utf8,
            quotes,
            columns: Some(columns),
        }))
    }
}

/// One unit on its way.
struct Block {
    form: Arc<Form>,
    idle: Arc<Mutex<Vec<Columns>>>,
    text: PooledBuf,
    at: usize,
    offset: u64,
    /// Whether all of it is UTF-8; if not, each record is looked at by itself.
    utf8: bool,
    /// Whether it has any quote.
    quotes: bool,
    /// Gone at the end.
    columns: Option<Columns>,
}

impl Block {
    /// Read records until a batch is full or the block through.
    fn piece(&mut self, columns: &mut Columns) -> Result<Decoded, RecordError> {
        let (mut rows, mut bad) = (0, Vec::new());
        while self.at < self.text.len() && rows + bad.len() < self.form.batch_rows {
            let start = self.at;
            let (record, next) = split(&self.text[start..], self.form.delimiter, self.quotes);
            self.at += next;
            if record.is_empty() {
                continue;
            }
            match self.form.record(columns, record, self.utf8) {
                Ok(()) => rows += 1,
                Err(flaw) => {
                    columns.iter_mut().for_each(|column| column.truncate(rows));
                    bad.push(flawed(flaw, (rows + bad.len()) as u64, self.offset + start as u64, record));
                }
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = finish_all(columns).and_then(|columns| {
            RecordBatch::try_new_with_options(Arc::clone(&self.form.wanted), columns, &options)
        });
        let broken = |error| RecordError::Corrupt {
            path: self.form.path.clone(),
            batch: None,
            detail: format!("what was read makes no batch: {error}"),
        };
        Ok(Decoded { batch: batch.map_err(broken)?, bad })
    }
}

fn flawed(flaw: Flaw, record: u64, offset: u64, text: &[u8]) -> BadRecord {
    let Flaw { column, reason } = flaw;
    BadRecord { record, records: 1, offset: Some(offset), column, reason, raw: shown(text) }
}

impl Iterator for Block {
    type Item = Result<Decoded, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut columns = self.columns.take()?;
        let piece = self.piece(&mut columns);
        let empty = piece.as_ref().is_ok_and(|piece| piece.records() == 0);
        if self.at < self.text.len() && piece.is_ok() {
            self.columns = Some(columns);
        } else if piece.is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(columns);
        }
        // Nothing but empty lines: the block is through.
        (!empty).then_some(piece)
    }
}
