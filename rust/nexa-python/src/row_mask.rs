//! Columns of labels → rows that pass → these rows of other columns, for `nexa_data.filters.tables`.

use std::sync::LazyLock;

use nexa_filter::{Column, LabelSet, LabelType};
use nexa_io::{Alignment, BufferPool, IoError, PooledBuf, available_memory, forks};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffers::Buffer;
use crate::errors::Raised;
use crate::views::View;

/// Results from which on large pages pay.
const LARGE_BYTES: usize = 2 << 20;
/// What waits for reuse at most, large and small.
const MOST_IDLE_BYTES: u64 = 2 << 30;
const SMALL_IDLE_BYTES: usize = 64 << 20;

/// Memory of results: fresh memory costs more than what is written to it, so that of results that died is kept, up to an eighth of what
/// the process may take.
static LARGE: LazyLock<BufferPool> = LazyLock::new(|| {
    let bytes = available_memory().map_or(0, |bytes| (bytes / 8).min(MOST_IDLE_BYTES));
    BufferPool::new(Alignment::HUGE_PAGE, usize::try_from(bytes).unwrap_or(0))
});
static SMALL: LazyLock<BufferPool> =
    LazyLock::new(|| BufferPool::new(Alignment::CACHE_LINE, SMALL_IDLE_BYTES));

fn memory(bytes: usize) -> Result<PooledBuf, IoError> {
    if bytes < LARGE_BYTES { SMALL.take(bytes) } else { LARGE.take(bytes) }
}

/// Allowed labels, as the numbers that stand for them in a column.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct LabelKeys {
    set: LabelSet,
}

#[pymethods]
impl LabelKeys {
    /// Make a set of an array of int64.
    #[new]
    fn new(py: Python<'_>, keys: &Bound<'_, PyAny>) -> PyResult<Self> {
        let view = View::of(keys, "keys")?;
        let keys = view.bytes().as_chunks::<8>().0;
        Ok(Self { set: py.detach(|| LabelSet::new(keys.iter().map(|key| i64::from_ne_bytes(*key)))) })
    }

    /// Say for rows `first..first + rows` of a column of numbers of numpy's type `dtype` which are allowed.
    #[pyo3(signature = (labels, dtype, first, rows, *, threads = 1))]
    fn mask(
        &self,
        py: Python<'_>,
        labels: &Bound<'_, PyAny>,
        dtype: &str,
        first: usize,
        rows: usize,
        threads: usize,
    ) -> PyResult<RowMask> {
        let kind = label_type(dtype)?;
        let view = View::of(labels, "labels")?;
        let labels = view.rows(first, rows, kind.bytes(), "labels")?;
        let inner = py.detach(|| {
            let _inside = forks::enter();
            nexa_filter::RowMask::of_labels(&self.set, kind, labels, threads)
        });
        Ok(RowMask { inner })
    }
}

fn label_type(dtype: &str) -> PyResult<LabelType> {
    Ok(match dtype {
        "int8" => LabelType::I8,
        "int16" => LabelType::I16,
        "int32" => LabelType::I32,
        "int64" => LabelType::I64,
        "uint8" => LabelType::U8,
        "uint16" => LabelType::U16,
        "uint32" => LabelType::U32,
        "uint64" => LabelType::U64,
        "float" | "float32" => LabelType::F32,
        "double" | "float64" => LabelType::F64,
        _ => return Err(PyValueError::new_err(format!("{dtype} is no type of labels"))),
    })
}

/// Which rows pass.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct RowMask {
    inner: nexa_filter::RowMask,
}

#[pymethods]
impl RowMask {
    /// Read a mask of Arrow's layout, from bit `first` on.
    #[staticmethod]
    fn of_bits(mask: &Bound<'_, PyAny>, first: usize, rows: usize) -> PyResult<Self> {
        let view = View::of(mask, "mask")?;
        if first.checked_add(rows).is_none_or(|end| end.div_ceil(8) > view.bytes().len()) {
            return Err(PyValueError::new_err("the mask is shorter than the rows"));
        }
        Ok(Self { inner: nexa_filter::RowMask::of_bits(view.bytes(), first, rows) })
    }

    /// Return the mask of the other rows.
    fn inverted(&self) -> Self {
        Self { inner: self.inner.clone().inverted() }
    }

    /// Return the mask without rows that `valid`, of Arrow's layout, has no bit for, from bit `first` on.
    fn valid(&self, valid: &Bound<'_, PyAny>, first: usize) -> PyResult<Self> {
        Ok(Self { inner: self.inner.clone().valid(View::of(valid, "valid")?.bytes(), first) })
    }

    fn __len__(&self) -> usize {
        self.inner.rows()
    }

    /// Number of rows that pass.
    #[getter]
    fn kept(&self) -> usize {
        self.inner.kept()
    }

    /// Return the mask in Arrow's layout.
    fn bits<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes: Vec<u8> = self.inner.words().iter().flat_map(|word| word.to_le_bytes()).collect();
        PyBytes::new(py, &bytes)
    }

    /// Return the numbers (uint64, ascending) of the rows that pass.
    fn numbers<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes: Vec<u8> = self.inner.numbers().into_iter().flat_map(u64::to_ne_bytes).collect();
        PyBytes::new(py, &bytes)
    }

    /// Return the rows that pass of each of `columns`: (values, bytes of a row, first row).
    #[pyo3(signature = (columns, *, threads = 1))]
    fn take(
        &self,
        py: Python<'_>,
        columns: Vec<(Bound<'_, PyAny>, usize, usize)>,
        threads: usize,
    ) -> PyResult<Vec<Buffer>> {
        let views: Vec<(View, usize, usize)> = columns
            .iter()
            .map(|(values, width, first)| Ok((View::of(values, "values")?, *width, *first)))
            .collect::<PyResult<_>>()?;
        let values: Vec<(&[u8], usize)> = views
            .iter()
            .map(|(view, width, first)| match width {
                0 => Err(PyValueError::new_err("rows of no bytes can't be taken")),
                _ => Ok((view.rows(*first, self.inner.rows(), *width, "values")?, *width)),
            })
            .collect::<PyResult<_>>()?;
        let taken = py.detach(|| {
            let _inside = forks::enter();
            self.take_rows(&values, threads)
        });
        let taken = taken.map_err(|error| Raised::from(error).0)?;
        Ok(taken.into_iter().map(Buffer::owned).collect())
    }

    /// Return the bits of a mask of Arrow's layout, from bit `first` on, of the rows that pass.
    fn take_bits<'py>(
        &self,
        py: Python<'py>,
        mask: &Bound<'py, PyAny>,
        first: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let view = View::of(mask, "mask")?;
        let taken = py.detach(|| self.inner.take_bits(view.bytes(), first));
        Ok(PyBytes::new(py, &taken))
    }
}

impl RowMask {
    fn take_rows(&self, values: &[(&[u8], usize)], threads: usize) -> Result<Vec<PooledBuf>, IoError> {
        let kept = self.inner.kept();
        // A product that wraps is one of rows that don't exist: they were looked for above.
        let mut targets: Vec<PooledBuf> =
            values.iter().map(|(_, width)| memory(kept * width)).collect::<Result<_, _>>()?;
        let columns = values.iter().zip(&mut targets);
        let columns = columns.map(|(&(values, width), target)| Column { values, width, target });
        self.inner.take(columns.collect(), threads);
        Ok(targets)
    }
}
