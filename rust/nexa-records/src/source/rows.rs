//! Rows in the making, for formats that give a record at a time: a record becomes a row whole, or a [`BadRecord`].

use std::path::Path;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, SchemaRef};

use super::unit::{BadRecord, Decoded};
use super::value_column::ValueColumn;
use crate::RecordError;

/// Bytes of a bad record that are kept.
const RAW_BYTES: usize = 64 << 10;

/// Bytes of columns after which a batch ends, whatever its rows: a short record may stand for a wide row.
const BATCH_BYTES: usize = 64 << 20;

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) column: Option<String>,
    pub(super) reason: String,
}

impl Flaw {
    pub(super) const fn new(reason: String) -> Self {
        Self { column: None, reason }
    }

    pub(super) fn of(column: &str, reason: String) -> Self {
        Self { column: Some(column.to_owned()), reason }
    }

    /// Make it a bad record of one; the number comes later.
    pub(super) fn bad(self, offset: Option<u64>, raw: &[u8]) -> BadRecord {
        let raw = raw[..raw.len().min(RAW_BYTES)].to_vec();
        BadRecord { record: 0, records: 1, offset, column: self.column, reason: self.reason, raw }
    }
}

/// Make what stands for the rest of a file that can't be got at.
pub(super) const fn lost(records: u64, offset: u64, reason: String) -> BadRecord {
    BadRecord { record: 0, records, offset: Some(offset), column: None, reason, raw: Vec::new() }
}

/// Rows in the making.
pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<ValueColumn>,
    /// Whether the record under way has put something, by column.
    set: Vec<bool>,
    rows: usize,
    records: usize,
    max_records: usize,
    bad: Vec<BadRecord>,
}

impl Rows {
    /// Begin a batch of at most `max_records` records.
    ///
    /// # Errors
    /// [`RecordError::NoSchema`] for a column whose type no record can have.
    pub(super) fn new(schema: &SchemaRef, max_records: usize, path: &Path) -> Result<Self, RecordError> {
        let columns = schema.fields().iter().map(|field| {
            ValueColumn::new(field).ok_or_else(|| RecordError::NoSchema {
                path: path.to_owned(),
                detail: format!(
                    "the schema gives column {:?} the type {}, which its format can't have; choose a number, text, \
                     bytes, or a list of these",
                    field.name(),
                    field.data_type()
                ),
            })
        });
        let columns: Vec<_> = columns.collect::<Result<_, _>>()?;
        let set = vec![false; columns.len()];
        let schema = Arc::clone(schema);
        Ok(Self {
            schema,
            columns,
            set,
            rows: 0,
            records: 0,
            max_records: max_records.max(1),
            bad: Vec::new(),
        })
    }

    /// Give a column to put a value into, forgetting what the same record has put before: the last one wins.
    pub(super) fn set(&mut self, column: usize) -> &mut ValueColumn {
        self.set[column] = true;
        let column = &mut self.columns[column];
        column.forget();
        column
    }

    /// Forget what the record under way has put into a column: it has no value.
    pub(super) fn unset(&mut self, column: usize) {
        self.columns[column].forget();
        self.set[column] = false;
    }

    /// End a record: its values become a row, unless something is wrong with it or with them.
    pub(super) fn end(&mut self, record: Result<(), Flaw>, offset: Option<u64>, raw: &[u8]) {
        self.records += 1;
        let record = record.and_then(|()| self.check());
        if let Err(flaw) = record {
            let mut bad = flaw.bad(offset, raw);
            bad.record = self.records as u64 - 1;
            self.bad.push(bad);
            self.columns.iter_mut().for_each(ValueColumn::forget);
        } else {
            self.rows += 1;
            for (column, set) in self.columns.iter_mut().zip(&self.set) {
                if *set { column.commit() } else { column.commit_null() }
            }
        }
        self.set.fill(false);
    }

    fn check(&self) -> Result<(), Flaw> {
        for (column, set) in self.columns.iter().zip(&self.set) {
            if *set {
                column.check().map_err(|reason| Flaw::of(column.name(), reason))?;
            } else if !column.may_be_null() {
                let reason = "it is missing, and the schema allows no null".to_owned();
                return Err(Flaw::of(column.name(), reason));
            }
        }
        Ok(())
    }

    /// Say whether the batch ends here.
    pub(super) fn is_full(&self) -> bool {
        self.records >= self.max_records
            || self.columns.iter().map(ValueColumn::bytes).sum::<usize>() >= BATCH_BYTES
    }

    /// Say whether no record has ended yet.
    pub(super) const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Make the batch.
    ///
    /// # Errors
    /// [`RecordError::Corrupt`] where Arrow has an objection that was not foreseen here.
    pub(super) fn finish(self, path: &Path) -> Result<Decoded, RecordError> {
        let columns = self.columns.into_iter().map(ValueColumn::finish).collect::<Result<Vec<_>, _>>();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = columns
            .and_then(|columns| RecordBatch::try_new_with_options(self.schema, columns, &options))
            .map_err(|error| RecordError::Corrupt {
                path: path.to_owned(),
                batch: None,
                detail: error.to_string(),
            })?;
        Ok(Decoded { batch, bad: self.bad })
    }
}

/// Make a field that may be null: what one file always has another may lack.
pub(super) fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}
