//! `filter_by_label`: the lazy iterator over records, and the columnar selection.

use nexa_filter::LabelSet;
use pyo3::PyTraverseError;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;

use crate::allowed::Allowed;
use crate::records::Records;

/// Lazy iterator of the records whose last element is allowed.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct LabelFilter {
    records: Records,
    allowed: Allowed,
}

#[pymethods]
impl LabelFilter {
    #[new]
    fn new(records: &Bound<'_, PyAny>, allowed_labels: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = Allowed::new(allowed_labels)?;
        Ok(Self { records: Records::new(records)?, allowed })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.records.next(py, &self.allowed)
    }

    /// No `__clear__` beside it: both fields are older than this object, so a cycle leads through something that was
    /// changed after it, which can be cleared.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.records.source())?;
        visit.call(self.allowed.container())
    }
}

/// Return the rows (uint64, ascending) whose label is allowed, as a buffer.
#[pyfunction]
#[pyo3(signature = (labels, allowed, *, invert = false))]
pub fn select_labels(
    py: Python<'_>,
    labels: &Bound<'_, PyAny>,
    allowed: Vec<i64>,
    invert: bool,
) -> PyResult<Vec<u8>> {
    let labels: PyBuffer<i64> = PyBuffer::get(labels)
        .map_err(|_| PyTypeError::new_err("labels must be a contiguous array of int64"))?;
    if !labels.is_c_contiguous() || labels.dimensions() != 1 {
        return Err(PyValueError::new_err("labels must be a contiguous array of int64 of one dimension"));
    }
    let labels = labels.to_vec(py)?;
    let rows = py.detach(|| LabelSet::new(allowed).select(&labels, invert));
    Ok(rows.into_iter().flat_map(u64::to_ne_bytes).collect())
}
