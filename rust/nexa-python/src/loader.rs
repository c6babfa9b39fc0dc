//! Batches: the order of an epoch, the assembler of a split, and claims on batches to come.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use nexa_batch::{BatchBuffers, BatchError, Counters, Rows, ShardSpec, Store};
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::buffers::Buffer;
use crate::errors::Raised;

/// The order of one epoch: position → record, in O(1) and without memory.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Order {
    inner: nexa_batch::Order,
}

#[pymethods]
impl Order {
    /// `shuffle=False` gives the records as stored; `n` is at most 2**63.
    #[new]
    #[pyo3(signature = (n, *, seed = 0, epoch = 0, shuffle = true))]
    fn new(n: u64, seed: u64, epoch: u64, shuffle: bool) -> PyResult<Self> {
        if n > 1 << 63 {
            return Err(PyValueError::new_err(format!("an order has at most 2**63 records, not {n}")));
        }
        let inner = if shuffle {
            nexa_batch::Order::shuffled(n, seed, epoch)
        } else {
            nexa_batch::Order::sequential(n)
        };
        Ok(Self { inner })
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.inner.len())?)
    }

    /// Return the record at `position`.
    fn record(&self, position: u64) -> PyResult<u64> {
        self.check(position)?;
        Ok(self.inner.record(position))
    }

    /// Return the position of `record`.
    fn position(&self, record: u64) -> PyResult<u64> {
        self.check(record)?;
        Ok(self.inner.position(record))
    }

    /// Return the records at positions `start..start + rows`; beyond the end they begin again at the first.
    fn records(&self, py: Python<'_>, start: u64, rows: usize) -> PyResult<Vec<u64>> {
        let n = self.inner.len();
        if n == 0 && rows > 0 {
            return Err(PyIndexError::new_err("the epoch has no records"));
        }
        Ok(py.detach(|| (0..rows as u64).map(|at| self.inner.record((start % n.max(1) + at) % n)).collect()))
    }
}

impl Order {
    fn check(&self, value: u64) -> PyResult<()> {
        if value < self.inner.len() {
            return Ok(());
        }
        Err(PyIndexError::new_err(format!(
            "{value} is out of range: the epoch has {} records",
            self.inner.len()
        )))
    }
}

/// Assembles batches of one split into pooled, aligned buffers.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Assembler {
    inner: nexa_batch::Assembler,
}

#[pymethods]
impl Assembler {
    /// `shards` are (path, records) in order; only the first is read now.
    #[new]
    #[pyo3(signature = (shards, columns, *, max_idle_bytes = 268_435_456))]
    fn new(
        py: Python<'_>,
        shards: Vec<(PathBuf, u64)>,
        columns: Vec<String>,
        max_idle_bytes: usize,
    ) -> PyResult<Self> {
        let shards = shards.into_iter().map(|(path, records)| ShardSpec { path, records }).collect();
        let store = crate::door::long_work(py, None, |_| Store::open(shards, &columns))?;
        Ok(Self { inner: nexa_batch::Assembler::new(Arc::new(store), max_idle_bytes) })
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.inner.store().len())?)
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

    /// What was done so far, by name: counts, and times in seconds.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.inner.counters().stats();
        let found = PyDict::new(py);
        found.set_item("batches", stats.batches)?;
        found.set_item("records", stats.records)?;
        found.set_item("bytes", stats.bytes)?;
        found.set_item("assembled", stats.assembled)?;
        found.set_item("assembling_s", stats.assembling.as_secs_f64())?;
        found.set_item("waited_s", stats.waited.as_secs_f64())?;
        found.set_item("queued_s", stats.queued.as_secs_f64())?;
        found.set_item("ready_s", stats.ready.as_secs_f64())?;
        found.set_item("seconds", stats.span.as_secs_f64())?;
        found.set_item("ahead", stats.ahead)?;
        Ok(found)
    }

    /// Batches submitted and neither taken nor given up.
    #[getter]
    fn ahead(&self) -> u64 {
        self.inner.counters().ahead()
    }

    /// Assemble `records` in their order, now; a buffer a column.
    fn take<'py>(&self, py: Python<'py>, records: Vec<u64>) -> PyResult<Bound<'py, PyTuple>> {
        self.assemble(py, &Rows::Listed(records))
    }

    /// Assemble positions `start..start + rows` of an epoch, now; a buffer a column.
    fn take_ordered<'py>(
        &self,
        py: Python<'py>,
        order: &Order,
        start: u64,
        rows: usize,
    ) -> PyResult<Bound<'py, PyTuple>> {
        self.assemble(py, &self.ordered(order, start, rows)?)
    }

    /// Start assembling positions `start..start + rows` of an epoch on the pool of threads.
    fn submit(&self, order: &Order, start: u64, rows: usize) -> PyResult<Ticket> {
        let ticket = nexa_batch::Ticket::submit(&self.inner, self.ordered(order, start, rows)?)
            .map_err(|error| Raised::from(error).0)?;
        Ok(Ticket { inner: Mutex::new(Some(ticket)), counters: Arc::clone(self.inner.counters()) })
    }
}

impl Assembler {
    fn assemble<'py>(&self, py: Python<'py>, rows: &Rows) -> PyResult<Bound<'py, PyTuple>> {
        let asked = Instant::now();
        let outcome = py.detach(|| {
            let _inside = nexa_io::forks::enter();
            self.inner.assemble(rows)
        });
        hand_over(py, outcome, self.inner.counters(), asked)
    }

    fn ordered(&self, order: &Order, start: u64, rows: usize) -> PyResult<Rows> {
        let records = self.inner.store().len();
        if order.inner.len() != records {
            return Err(PyValueError::new_err(format!(
                "the order is of {} records, the split has {records}",
                order.inner.len()
            )));
        }
        if records == 0 && rows > 0 {
            return Err(PyIndexError::new_err("the split has no records"));
        }
        Ok(Rows::Ordered { order: order.inner.clone(), start: start % records.max(1), len: rows })
    }
}

/// A batch that is being assembled; `wait` may be called once.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Ticket {
    inner: Mutex<Option<nexa_batch::Ticket>>,
    counters: Arc<Counters>,
}

#[pymethods]
impl Ticket {
    /// Return the batch, a buffer a column, once it is ready; Ctrl-C is raised at once.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let ticket = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ticket = ticket.ok_or_else(|| PyRuntimeError::new_err("this batch was taken already"))?;
        let asked = Instant::now();
        let outcome = py.detach(|| ticket.wait(|| Python::attach(look_for_signals)))?;
        hand_over(py, outcome, &self.counters, asked)
    }
}

fn look_for_signals(py: Python<'_>) -> PyResult<()> {
    py.check_signals()
}

/// Export a batch that Python asked for at `asked`, and count it.
fn hand_over<'py>(
    py: Python<'py>,
    outcome: Result<BatchBuffers, BatchError>,
    counters: &Counters,
    asked: Instant,
) -> PyResult<Bound<'py, PyTuple>> {
    let batch = outcome.map_err(|error| Raised::from(error).0)?;
    counters.took(batch.rows, batch.columns.iter().map(nexa_io::PooledBuf::len).sum(), asked);
    let buffers: Vec<_> = batch
        .columns
        .into_iter()
        .map(|memory| Bound::new(py, Buffer::new(memory)))
        .collect::<PyResult<_>>()?;
    PyTuple::new(py, buffers)
}
