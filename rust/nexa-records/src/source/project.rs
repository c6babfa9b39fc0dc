//! Which of a file's columns are read, and in which order they are given.

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema, SchemaRef};

use crate::RecordError;
use crate::shard::column_index;

/// Columns of a file in the order that the caller wants.
#[derive(Clone, Debug)]
pub(super) struct Projection {
    /// Indices into the file's schema, as wanted.
    columns: Vec<usize>,
    /// Where each wanted column lies in a batch that has them in the file's order; `None` if that is the order.
    order: Option<Vec<usize>>,
    schema: SchemaRef,
}

impl Projection {
    /// Look up the wanted columns; `None` wants all.
    ///
    /// # Errors
    /// [`RecordError::MissingColumn`] for one that the file doesn't have, [`RecordError::Corrupt`] for one that it has
    /// twice.
    pub(super) fn new(schema: &Schema, wanted: Option<&[String]>, path: &Path) -> Result<Self, RecordError> {
        let columns = match wanted {
            None => (0..schema.fields().len()).collect(),
            Some(names) => {
                names.iter().map(|name| column_index(schema, name, path)).collect::<Result<Vec<_>, _>>()?
            }
        };
        let mut sorted = columns.clone();
        sorted.sort_unstable();
        let order = (sorted != columns)
            .then(|| columns.iter().map(|column| sorted.partition_point(|other| other < column)).collect());
        let fields: Vec<_> = columns.iter().map(|column| Arc::clone(&schema.fields()[*column])).collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        Ok(Self { columns, order, schema })
    }

    /// Give the schema of what [`arrange`](Self::arrange) returns.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Give the wanted columns' indices into the file's schema, in the wanted order.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().copied()
    }

    /// Return a batch of the wanted columns in the file's order as one in the wanted order.
    pub(super) fn arrange(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let arranged = match &self.order {
            Some(order) => batch.project(order)?,
            None => batch.clone(),
        };
        arranged.with_schema(self.schema())
    }
}
