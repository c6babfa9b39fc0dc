//! Batches: the assembler of a split, and claims on batches to come.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nexa_batch::{BatchBuffers, Rows, Store};
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::buffers::Buffer;
use crate::errors::Raised;
use crate::order::{Order, Selection, specs};

/// Assembles batches of one split into pooled, aligned buffers.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Assembler {
    inner: nexa_batch::Assembler,
}

#[pymethods]
impl Assembler {
    /// `shards` are (path, records) in order, of which only the first is read now; `selection` are those that are served.
    #[new]
    #[pyo3(signature = (shards, columns, *, selection = None, max_idle_bytes = 268_435_456))]
    fn new(
        py: Python<'_>,
        shards: Vec<(PathBuf, u64)>,
        columns: Vec<String>,
        selection: Option<&Selection>,
        max_idle_bytes: usize,
    ) -> PyResult<Self> {
        let shards = specs(shards);
        let store = crate::door::long_work(py, None, |_| Store::open(shards, &columns))?;
        let inner = nexa_batch::Assembler::new(Arc::new(store), max_idle_bytes);
        Ok(Self {
            inner: match selection {
                Some(selection) => inner.selecting(Arc::clone(&selection.inner)),
                None => inner,
            },
        })
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.inner.len())?)
    }

    /// (name, element type by numpy's name, shape of a row) of each column.
    #[getter]
    fn columns(&self) -> Vec<(String, &'static str, Vec<usize>)> {
        let columns = self.inner.store().columns();
        columns.iter().map(|spec| (spec.name.clone(), spec.element.name(), spec.row_shape.clone())).collect()
    }

    /// Bytes of a record over all columns.
    #[getter]
    fn record_bytes(&self) -> usize {
        self.inner.store().columns().iter().map(|spec| spec.row_bytes).sum()
    }

    /// (buffers idle, bytes idle, buffers in use) of the pool.
    fn pool_stats(&self) -> (usize, usize, usize) {
        let stats = self.inner.pool().stats();
        (stats.idle_buffers, stats.idle_bytes, stats.live_buffers)
    }

    /// Assemble `records` in their order, now; a buffer a column.
    fn take<'py>(&self, py: Python<'py>, records: Vec<u64>) -> PyResult<Bound<'py, PyTuple>> {
        let batch = py.detach(|| self.inner.assemble(&Rows::Listed(records)));
        export(py, batch.map_err(|error| Raised::from(error).0)?)
    }

    /// Assemble positions `start..start + rows` of an epoch, now; a buffer a column.
    fn take_ordered<'py>(
        &self,
        py: Python<'py>,
        order: &Order,
        start: u64,
        rows: usize,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let wanted = self.ordered(order, start, rows)?;
        let batch = py.detach(|| self.inner.assemble(&wanted));
        export(py, batch.map_err(|error| Raised::from(error).0)?)
    }

    /// Start assembling positions `start..start + rows` of an epoch on the pool of threads.
    fn submit(&self, order: &Order, start: u64, rows: usize) -> PyResult<Ticket> {
        let ticket = nexa_batch::Ticket::submit(&self.inner, self.ordered(order, start, rows)?)
            .map_err(|error| Raised::from(error).0)?;
        Ok(Ticket { inner: Mutex::new(Some(ticket)) })
    }
}

impl Assembler {
    fn ordered(&self, order: &Order, start: u64, rows: usize) -> PyResult<Rows> {
        let records = self.inner.len();
        if order.inner.bound() != records {
            return Err(PyValueError::new_err(format!(
                "the order is of {} records, the split has {records}",
                order.inner.bound()
            )));
        }
        let positions = order.inner.len();
        if positions == 0 && rows > 0 {
            return Err(PyIndexError::new_err("the split has no records"));
        }
        Ok(Rows::Ordered { order: order.inner.clone(), start: start % positions.max(1), len: rows })
    }
}

/// A batch that is being assembled; `wait` may be called once.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Ticket {
    inner: Mutex<Option<nexa_batch::Ticket>>,
}

#[pymethods]
impl Ticket {
    /// Return the batch, a buffer a column, once it is ready; Ctrl-C is raised at once.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let ticket = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ticket = ticket.ok_or_else(|| PyRuntimeError::new_err("this batch was taken already"))?;
        let outcome = py.detach(|| ticket.wait(|| Python::attach(look_for_signals)))?;
        export(py, outcome.map_err(|error| Raised::from(error).0)?)
    }
}

fn look_for_signals(py: Python<'_>) -> PyResult<()> {
    py.check_signals()
}

fn export(py: Python<'_>, batch: BatchBuffers) -> PyResult<Bound<'_, PyTuple>> {
    let buffers: Vec<_> = batch
        .columns
        .into_iter()
        .map(|memory| Bound::new(py, Buffer::new(memory)))
        .collect::<PyResult<_>>()?;
    PyTuple::new(py, buffers)
}
