//! Batches of rows to the shards of splits, and what the rows of each split look like.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nexa_records::{Element, FixedColumn, RecordError, ShardBound, SplitGather as Gather, fixed_column};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrow_c::{ArrowBatch, import_batch};
use crate::errors::Raised;
use crate::moments::{ClassCounts, Moments};
use crate::views::View;

/// Gathers rows into shards, a split each; what it returns is written by `write_shard`.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct SplitGather {
    gather: Mutex<Gather>,
    seen: Vec<(Py<Moments>, Option<Py<ClassCounts>>)>,
}

#[pymethods]
impl SplitGather {
    /// Make one for as many splits as there are (moments, class counts) to take in their first and second columns.
    #[new]
    #[pyo3(signature = (seen, *, shard_rows, shard_bytes))]
    fn new(
        seen: Vec<(Py<Moments>, Option<Py<ClassCounts>>)>,
        shard_rows: Option<usize>,
        shard_bytes: usize,
    ) -> Self {
        let bound = ShardBound { rows: shard_rows, bytes: shard_bytes };
        let gather = Mutex::new(Gather::new(seen.len(), bound));
        Self { gather, seen }
    }

    /// Take in a batch, of which `splits` (uint8, one a row) says where each row belongs: beyond the last split, nowhere.
    fn add(&self, py: Python<'_>, batch: &Bound<'_, PyAny>, splits: &Bound<'_, PyAny>) -> PyResult<()> {
        let batch = import_batch(batch)?;
        let splits = View::of(splits, "splits")?;
        let split_of = splits.bytes();
        let Some(field) = batch.schema_ref().fields().first() else {
            return Err(PyValueError::new_err("no column"));
        };
        // On this thread: a batch takes less than another thread would to begin, beside those that decode.
        py.detach(|| {
            let mut gather = self.gather.lock().unwrap_or_else(PoisonError::into_inner);
            gather.add(&batch, split_of)?;
            let features = fixed_column(batch.column(0), field, Path::new("batch"))?;
            let labels = match self.seen.first() {
                Some((_, Some(_))) => Some(class_ids(&batch)?),
                _ => None,
            };
            self.seen.iter().try_for_each(|(moments, _)| moments.get().fits(&features))?;
            for (at, (moments, classes)) in self.seen.iter().enumerate() {
                moments.get().add_rows(&features, gather.numbers(at));
                if let (Some(classes), Some(labels)) = (classes, &labels) {
                    classes.get().add_rows(labels, gather.numbers(at));
                }
            }
            Ok::<_, RecordError>(())
        })
        .map_err(|error| Raised::from(error).0)
    }

    /// Return (split, rows) of the next shard that the last batch fills, None once there is none.
    fn next_full(&self, py: Python<'_>) -> PyResult<Option<(usize, ArrowBatch)>> {
        let full = py.detach(|| self.gather.lock().unwrap_or_else(PoisonError::into_inner).next_full());
        Ok(full.map_err(|error| Raised::from(error).0)?.map(|(split, batch)| (split, ArrowBatch(batch))))
    }

    /// Return (split, rows) of what is left of each split.
    fn finish(&self, py: Python<'_>) -> PyResult<Vec<(usize, ArrowBatch)>> {
        let left = py.detach(|| self.gather.lock().unwrap_or_else(PoisonError::into_inner).finish());
        let left = left.map_err(|error| Raised::from(error).0)?;
        Ok(left.into_iter().map(|(split, batch)| (split, ArrowBatch(batch))).collect())
    }
}

fn class_ids(batch: &arrow_array::RecordBatch) -> Result<FixedColumn, RecordError> {
    let schema = batch.schema_ref();
    let refused = || RecordError::UnsupportedColumn {
        path: "batch".into(),
        column: schema.fields().get(1).map_or_else(String::new, |field| field.name().clone()),
        found: schema.fields().get(1).map_or_else(String::new, |field| field.data_type().to_string()),
        detail: "class ids are int64".to_owned(),
    };
    let field = schema.fields().get(1).ok_or_else(refused)?;
    let ids = fixed_column(batch.column(1), field, Path::new("batch"))?;
    if ids.element == Element::I64 && ids.row_shape.is_empty() { Ok(ids) } else { Err(refused()) }
}
