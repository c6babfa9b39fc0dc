//! What rows look like, and which are equal, as they pass.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use nexa_quality::{Group, Options, Place, QualityError, label_keys, row_hashes};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrow_c::import_batch;
use crate::errors::Raised;

/// Statistics of the rows of one split, taken in batch by batch.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct RowStatistics(Mutex<nexa_quality::RowStatistics>);

#[pymethods]
impl RowStatistics {
    /// Make one that has seen nothing; `names` are those of a vector column's elements, `counted` columns whose values are
    /// all counted.
    #[new]
    #[pyo3(signature = (*, names = HashMap::new(), counted = Vec::new()))]
    fn new(names: HashMap<String, Vec<String>>, counted: Vec<String>) -> Self {
        let options = Options { names, counted };
        Self(Mutex::new(nexa_quality::RowStatistics::new(Arc::new(options))))
    }

    /// Take in a record batch, the first row of which has number `first_row` in its split.
    fn add(&self, py: Python<'_>, batch: &Bound<'_, PyAny>, first_row: u64) -> PyResult<()> {
        let batch = import_batch(batch)?;
        py.detach(|| self.seen().add(&batch, first_row)).map_err(|error| Raised::from(error).0)
    }

    /// Take in what another has seen of other rows.
    fn merge(&self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<()> {
        let theirs = other.get();
        if std::ptr::eq(self, theirs) {
            return Err(PyValueError::new_err("statistics can't be merged with themselves"));
        }
        py.detach(|| {
            let theirs = theirs.seen().clone();
            self.seen().merge(&theirs)
        })
        .map_err(|error| Raised::from(error).0)
    }

    /// Return what was found, as the JSON of a `SplitQuality`, and the columns whose types can't be looked at.
    fn summary<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, Vec<String>)> {
        let summary = py.detach(|| self.seen().summary()).map_err(|error| Raised::from(error).0)?;
        let json = serde_json::to_vec(&summary).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok((PyBytes::new(py, &json), summary.skipped))
    }

    /// Return all values of a column and their counts, as JSON, the most frequent first; None if they were too many to be counted.
    fn counts<'py>(&self, py: Python<'py>, column: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let Some(counts) = py.detach(|| self.seen().counts(column)) else { return Ok(None) };
        let json = serde_json::to_vec(&counts).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Some(PyBytes::new(py, &json)))
    }

    /// Return a column's values (float64) of the rows in the sample; NaN for what is missing.
    fn sampled<'py>(&self, py: Python<'py>, column: &str) -> PyResult<Bound<'py, PyBytes>> {
        let found = py.detach(|| {
            let mut seen = self.seen();
            seen.sampled(column).map(|values| values.iter().flat_map(|value| value.to_ne_bytes()).collect())
        });
        let bytes: Vec<u8> =
            found.ok_or_else(|| PyValueError::new_err(format!("there is no column {column:?}")))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Rows that came.
    fn __len__(&self) -> usize {
        usize::try_from(self.seen().rows()).unwrap_or(usize::MAX)
    }
}

impl RowStatistics {
    fn seen(&self) -> MutexGuard<'_, nexa_quality::RowStatistics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// (split, row, label's key) of a row.
type At = (u8, u64, i64);
/// (rows of the group, the first of them).
type Rows = (u64, Vec<At>);
/// (split, the other split, rows of `split` that the other has, (row, its twin) of some).
type Leak = (u8, u8, u64, Vec<(At, At)>);
/// (duplicates of each split, conflicts of each, largest groups, groups of several labels, leaks).
type Found = (Vec<u64>, Vec<u64>, Vec<Rows>, Vec<Rows>, Vec<Leak>);

/// Finds rows that are equal, by hashes of 128 bits; beyond `bound_bytes` of memory they go to a folder in `folder`.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Duplicates(Mutex<Option<nexa_quality::Duplicates>>);

#[pymethods]
impl Duplicates {
    /// Make one that has no rows.
    #[new]
    #[pyo3(signature = (*, folder, bound_bytes))]
    fn new(folder: PathBuf, bound_bytes: usize) -> Self {
        Self(Mutex::new(Some(nexa_quality::Duplicates::new(bound_bytes, folder))))
    }

    /// Take in rows of a split, the first of which has number `first_row` there: equal are those that agree in `columns`.
    #[pyo3(signature = (split, first_row, batch, columns, label = None))]
    fn add(
        &self,
        py: Python<'_>,
        split: u8,
        first_row: u64,
        batch: &Bound<'_, PyAny>,
        columns: Vec<String>,
        label: Option<String>,
    ) -> PyResult<()> {
        let batch = import_batch(batch)?;
        py.detach(|| {
            let columns = columns.iter().map(|name| place(&batch, name)).collect::<Result<Vec<_>, _>>()?;
            let hashes = row_hashes(&batch, &columns)?;
            let labels = label.map(|name| label_keys(&batch, place(&batch, &name)?)).transpose()?;
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            held.as_mut().map_or(Ok(()), |held| held.add(split, first_row, &hashes, labels.as_deref()))
        })
        .map_err(|error| Raised::from(error).0)
    }

    /// Return what rows of splits 0 to `splits` - 1 are equal; nothing can be added after.
    fn finish(&self, py: Python<'_>, splits: u8) -> PyResult<Found> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let held = held.ok_or_else(|| PyValueError::new_err("what was added was searched already"))?;
        let found = py.detach(|| held.finish(splits)).map_err(|error| Raised::from(error).0)?;
        let leak = |leak: nexa_quality::Leak| {
            let samples = leak.samples.iter().map(|(row, twin)| (at(row), at(twin))).collect();
            (leak.split, leak.other, leak.rows, samples)
        };
        Ok((
            found.duplicates,
            found.conflicts,
            found.groups.iter().map(rows).collect(),
            found.conflict_groups.iter().map(rows).collect(),
            found.leaks.into_iter().map(leak).collect(),
        ))
    }
}

const fn at(place: &Place) -> At {
    (place.split, place.row, place.label.cast_signed())
}

fn rows(group: &Group) -> Rows {
    (group.count, group.rows.iter().map(at).collect())
}

fn place(batch: &RecordBatch, name: &str) -> Result<usize, QualityError> {
    batch.schema_ref().index_of(name).map_err(|_| QualityError::Missing {
        column: name.to_owned(),
        known: batch
            .schema_ref()
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect::<Vec<_>>()
            .join(", "),
    })
}
