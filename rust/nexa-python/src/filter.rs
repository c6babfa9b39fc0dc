//! `filter_by_label`: the lazy iterator over records, and the columnar selection.

use nexa_filter::LabelSet;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyInt, PyIterator, PySet, PyTuple};

/// Which labels pass: by table where that decides exactly as `label in allowed`, else by asking the container.
struct Allowed {
    /// Present if every member is an exact `int` of 64 bits.
    table: Option<LabelSet>,
    container: Py<PyAny>,
}

impl Allowed {
    /// An exact `set` or `frozenset` is copied, so that later changes by the caller don't show.
    fn new(allowed: &Bound<'_, PyAny>) -> PyResult<Self> {
        if !allowed.is_exact_instance_of::<PySet>() && !allowed.is_exact_instance_of::<PyFrozenSet>() {
            return Ok(Self { table: None, container: allowed.clone().unbind() });
        }
        let members: Option<Vec<i64>> = allowed
            .try_iter()?
            .map(|member| {
                let member = member?;
                Ok(if member.is_exact_instance_of::<PyInt>() { member.extract::<i64>().ok() } else { None })
            })
            .collect::<PyResult<_>>()?;
        let items: Vec<Bound<'_, PyAny>> = allowed.try_iter()?.collect::<PyResult<_>>()?;
        let container = PyFrozenSet::new(allowed.py(), items)?.into_any().unbind();
        Ok(Self { table: members.map(LabelSet::new), container })
    }

    fn contains(&self, label: &Bound<'_, PyAny>) -> PyResult<bool> {
        if let Some(table) = &self.table
            && label.is_exact_instance_of::<PyInt>()
        {
            // An int beyond 64 bits equals no member: all of them fit.
            return Ok(label.extract::<i64>().is_ok_and(|label| table.contains(label)));
        }
        self.container.bind(label.py()).contains(label)
    }
}

/// Lazy iterator of the records whose last element is allowed.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct LabelFilter {
    records: Py<PyIterator>,
    allowed: Allowed,
}

#[pymethods]
impl LabelFilter {
    #[new]
    fn new(records: &Bound<'_, PyAny>, allowed_labels: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = Allowed::new(allowed_labels)?;
        Ok(Self { records: records.try_iter()?.unbind(), allowed })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut records = self.records.bind(py).clone();
        for (turn, record) in (&mut records).enumerate() {
            let record = record?;
            if self.allowed.contains(&last(&record)?)? {
                return Ok(Some(record));
            }
            // Nothing may pass for a long time, and a native iterator gives Python no chance to look.
            if turn % 65_536 == 65_535 {
                py.check_signals()?;
            }
        }
        Ok(None)
    }
}

fn last<'py>(record: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(tuple) = record.cast_exact::<PyTuple>() {
        let len = tuple.len();
        if len == 0 {
            return Err(PyIndexError::new_err("tuple index out of range"));
        }
        return tuple.get_item(len - 1);
    }
    record.get_item(-1)
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
