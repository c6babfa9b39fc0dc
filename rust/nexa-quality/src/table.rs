//! Statistics of all columns of some rows, batch by batch.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use nexa_io::threads;
use rayon::prelude::*;

use crate::cells::{Cells, Part};
use crate::column::{Column, Scratch};
use crate::distinct::COUNTED;
use crate::error::QualityError;
use crate::sample::{SAMPLE_ROWS, Sample};
use crate::summary::{Summary, Value, counted, summarise};

/// Elements up to which those of a vector are columns of their own.
pub const EXPANDED: usize = 1024;

/// Bytes of a block, which is looked at once for each of its columns and stays in the second cache meanwhile.
const BLOCK_BYTES: usize = 128 << 10;
/// Bytes that the sample's values may take.
const SAMPLE_BYTES: usize = 32 << 20;
const FEWEST_SAMPLED: usize = 4096;

/// What to call columns, and which to count to the end.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of the elements of a column of vectors, by its name.
    pub names: HashMap<String, Vec<String>>,
    /// Columns whose distinct values are counted one by one however many they are, such as class labels.
    pub counted: Vec<String>,
}

/// Statistics of the rows of one split.
#[derive(Clone, Debug)]
pub struct RowStatistics {
    options: Arc<Options>,
    schema: Option<SchemaRef>,
    /// Of each column: the batch's column that it is part of.
    places: Vec<usize>,
    columns: Vec<Column>,
    skipped: Vec<String>,
    rows: u64,
    sample: Sample,
}

impl RowStatistics {
    /// Make one that has seen nothing.
    #[must_use]
    pub fn new(options: Arc<Options>) -> Self {
        Self {
            options,
            schema: None,
            places: Vec::new(),
            columns: Vec::new(),
            skipped: Vec::new(),
            rows: 0,
            sample: Sample::new(SAMPLE_ROWS),
        }
    }

    /// Take in a batch.
    ///
    /// # Args
    ///
    /// - `batch`: some rows; every batch has the same columns.
    /// - `first`: number of its first row among all; which rows are in the sample depends on their numbers alone.
    ///
    /// # Errors
    /// [`QualityError::Schema`] where the columns are others than before, [`QualityError::Io`] without threads.
    pub fn add(&mut self, batch: &RecordBatch, first: u64) -> Result<(), QualityError> {
        let cells: Vec<Option<Cells<'_>>> =
            batch.columns().iter().map(|array| Cells::of(array.as_ref())).collect();
        self.plan(batch, &cells)?;
        let rows = batch.num_rows();
        let chosen = self.sample.choose(first, rows);
        let block = block_rows(&cells);
        let pool = threads::pool().map_err(QualityError::Io)?;
        let share = self.columns.len().div_ceil(pool.current_num_threads()).max(1);
        let take_in = |(columns, places): (&mut [Column], &[usize])| {
            let mut scratch = Scratch::default();
            for start in (0..rows).step_by(block) {
                let block = start..rows.min(start + block);
                let sampled = within(&chosen, &block);
                for (column, &place) in columns.iter_mut().zip(places) {
                    if let Some(cells) = &cells[place] {
                        column.add(cells, first, block.clone(), &mut scratch);
                        column.keep(cells, first, sampled);
                    }
                }
            }
        };
        let parts = self.columns.chunks_mut(share).zip(self.places.chunks(share));
        if pool.current_num_threads() == 1 {
            parts.for_each(take_in);
        } else {
            let parts: Vec<_> = parts.collect();
            pool.install(|| parts.into_par_iter().for_each(take_in));
        }
        self.rows += rows as u64;
        self.prune(self.sample.slack());
        Ok(())
    }

    /// Take in what another has seen, of other rows.
    ///
    /// # Errors
    /// [`QualityError::Schema`] where its columns are others.
    pub fn merge(&mut self, other: &Self) -> Result<(), QualityError> {
        let Some(theirs) = &other.schema else { return Ok(()) };
        match &self.schema {
            None => {
                *self = other.clone();
                return Ok(());
            }
            Some(ours) => same_columns(ours, theirs)?,
        }
        for (ours, theirs) in self.columns.iter_mut().zip(&other.columns) {
            ours.merge(theirs);
        }
        self.sample.merge(&other.sample);
        self.rows += other.rows;
        self.prune(self.sample.slack());
        Ok(())
    }

    /// Return what was found.
    ///
    /// # Errors
    /// [`QualityError::Io`] without threads.
    pub fn summary(&mut self) -> Result<Summary, QualityError> {
        self.prune(0);
        let pool = threads::pool().map_err(QualityError::Io)?;
        let columns = pool.install(|| self.columns.par_iter().map(summarise).collect());
        Ok(Summary::new(self.rows, self.sample.len(), columns, self.skipped.clone()))
    }

    /// Return a column's values of the sample's rows, in the order in which they came: NaN for what is missing, the length of
    /// a text or list. `None` if there is no such column.
    pub fn sampled(&mut self, name: &str) -> Option<&[f64]> {
        self.prune(0);
        self.columns.iter().find(|column| column.name == name).map(Column::sampled)
    }

    /// Return all values of a column and how often each comes, the most frequent first; `None` if there is no such column, or
    /// if they were too many to be counted.
    #[must_use]
    pub fn counts(&self, name: &str) -> Option<Vec<(Value, u64)>> {
        self.columns.iter().find(|column| column.name == name).and_then(counted)
    }

    /// Return the rows that came.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    fn prune(&mut self, slack: usize) {
        if let Some(kept) = self.sample.prune(slack) {
            for column in &mut self.columns {
                column.prune(&kept);
            }
        }
    }

    fn plan(&mut self, batch: &RecordBatch, cells: &[Option<Cells<'_>>]) -> Result<(), QualityError> {
        let schema = batch.schema();
        if let Some(known) = &self.schema {
            return same_columns(known, &schema);
        }
        for (place, (field, cells)) in schema.fields().iter().zip(cells).enumerate() {
            let Some(cells) = cells else {
                self.skipped.push(field.name().clone());
                continue;
            };
            let width = cells.width();
            let vector = matches!(field.data_type(), DataType::FixedSizeList(..));
            let names = self.options.names.get(field.name());
            let dtype = name_of(field.data_type());
            let parts: Vec<(String, Part)> = if !vector {
                vec![(field.name().clone(), Part::One(0))]
            } else if width > EXPANDED {
                vec![(field.name().clone(), Part::All)]
            } else {
                let name = |at: usize| match names.and_then(|names| names.get(at)) {
                    Some(name) => name.clone(),
                    None => format!("{}[{at}]", field.name()),
                };
                (0..width).map(|at| (name(at), Part::One(at))).collect()
            };
            let counted = if self.options.counted.contains(field.name()) {
                usize::MAX
            } else if parts.len() > 128 {
                COUNTED / 8
            } else {
                COUNTED
            };
            for (name, part) in parts {
                self.columns.push(Column::new(name, dtype.clone(), cells, part, counted));
                self.places.push(place);
            }
        }
        let room = SAMPLE_BYTES / (8 * self.columns.len().max(1));
        self.sample = Sample::new(room.clamp(FEWEST_SAMPLED, SAMPLE_ROWS));
        self.schema = Some(schema);
        Ok(())
    }
}

/// Return the name of a type: as numpy has it for numbers, of a vector its elements'.
fn name_of(kind: &DataType) -> String {
    match kind {
        DataType::FixedSizeList(field, _) => name_of(field.data_type()),
        DataType::List(field) | DataType::LargeList(field) => format!("list<{}>", name_of(field.data_type())),
        DataType::Utf8 | DataType::LargeUtf8 => "string".to_owned(),
        DataType::LargeBinary => "binary".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

fn same_columns(known: &SchemaRef, other: &SchemaRef) -> Result<(), QualityError> {
    let kinds = |schema: &SchemaRef| -> Vec<_> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    if Arc::ptr_eq(known, other) || kinds(known) == kinds(other) {
        return Ok(());
    }
    Err(QualityError::Schema { known: listed(known), found: listed(other) })
}

fn listed(schema: &SchemaRef) -> String {
    let columns: Vec<_> =
        schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    columns.join(", ")
}

/// Return those of some ascending rows that lie in a block.
fn within<'a>(rows: &'a [u32], block: &Range<usize>) -> &'a [u32] {
    let before = |end: usize| rows.partition_point(|&row| (row as usize) < end);
    &rows[before(block.start)..before(block.end)]
}

fn block_rows(cells: &[Option<Cells<'_>>]) -> usize {
    let row: usize = cells.iter().flatten().map(|cells| 4 * cells.width()).sum();
    (BLOCK_BYTES / row.max(1)).clamp(64, 4096)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
