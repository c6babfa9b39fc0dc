//! Batches: the assembler of a split, and claims on batches to come.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use nexa_batch::{BatchBuffers, BatchError, Conversion, Counters, Form, Forms, Padding, Rows, Store};
use nexa_records::Access;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::buffers::Buffer;
use crate::errors::Raised;
use crate::order::{Order, Selection, specs};
use crate::packed::PackedEpoch;
use crate::ragged;

/// Assembles batches of one split into pooled, aligned buffers.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Assembler {
    pub(crate) inner: nexa_batch::Assembler,
}

#[pymethods]
impl Assembler {
    /// `shards` are (path, records) in order, of which only the first is read now; `selection` are those that are served.
    ///
    /// `convert` has (type, scale, shift) of columns that change on the way, `pad` (widths, value, truncate) of lists
    /// that become of one width. With `borrow`, records that lie together are handed out where they lie. With `direct`,
    /// the blocks of an order by blocks are read past the page cache; None: if the shards are more than memory holds.
    #[new]
    #[pyo3(signature = (
        shards, columns, *, convert = HashMap::new(), pad = HashMap::new(), borrow = false, direct = Some(false),
        selection = None, max_idle_bytes = 268_435_456
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of one Python call")]
    fn new(
        py: Python<'_>,
        shards: Vec<(PathBuf, u64)>,
        columns: Vec<String>,
        convert: HashMap<String, (String, f64, f64)>,
        pad: HashMap<String, (Vec<usize>, f64, bool)>,
        borrow: bool,
        direct: Option<bool>,
        selection: Option<&Selection>,
        max_idle_bytes: usize,
    ) -> PyResult<Self> {
        let shards = specs(shards);
        let wanted = forms(convert, pad)?;
        let access = if borrow { Access::Private } else { Access::Shared };
        let inner = crate::door::long_work(py, None, |_| {
            let store = Store::open_as(shards, &columns, access)?;
            let forms = Forms::new(&store, &wanted)?;
            Ok::<_, BatchError>(nexa_batch::Assembler::with_forms(Arc::new(store), forms, max_idle_bytes))
        })?;
        let inner = match direct {
            Some(true) => inner.reading_directly(None),
            // Batches, the training loop and the rest of the process want the other half.
            None if inner.store().is_beyond_memory() => {
                inner.reading_directly(nexa_io::available_memory().map(|left| left / 2))
            }
            _ => inner,
        };
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

    /// (name, type by torch's name, shape of a row) of each column of equal rows, as a batch has it.
    #[getter]
    fn columns(&self) -> Vec<(String, &'static str, Vec<usize>)> {
        let plans = self.inner.forms().fixed.iter();
        plans.map(|plan| (plan.name.clone(), plan.target.name(), plan.row_shape.clone())).collect()
    }

    /// (name, `list`, `text` or `bytes`, type, shape of an item, whether padded) of each column of ragged rows.
    #[getter]
    fn ragged(&self) -> Vec<(String, &'static str, &'static str, Vec<usize>, bool)> {
        let plans = self.inner.forms().ragged.iter();
        plans
            .map(|plan| {
                let spec = &plan.spec;
                let shape = spec.item_shape.clone();
                (spec.name.clone(), spec.kind.name(), plan.target.name(), shape, plan.is_padded())
            })
            .collect()
    }

    /// Bytes of a record over all columns of a batch; of ragged ones, the average of the first shard.
    #[getter]
    fn record_bytes(&self, py: Python<'_>) -> PyResult<usize> {
        let fixed: usize = self.inner.forms().fixed.iter().map(|plan| plan.row_bytes).sum();
        let ragged = crate::door::long_work(py, None, |_| self.inner.mean_ragged_bytes())?;
        Ok(fixed + ragged)
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
        let direct = self.inner.direct_stats();
        let used = direct.as_ref().is_some_and(|direct| direct.bytes > 0);
        let direct = direct.unwrap_or_default();
        found.set_item("source", if used { "direct" } else { "mapped" })?;
        found.set_item("source_reason", direct.reason)?;
        found.set_item("direct_bytes", direct.bytes)?;
        found.set_item("window_bytes", direct.held_bytes)?;
        Ok(found)
    }

    /// Batches submitted and neither taken nor given up.
    #[getter]
    fn ahead(&self) -> u64 {
        self.inner.counters().ahead()
    }

    /// Assemble `records` (integers, or a buffer of 64-bit ones) in their order, now; a buffer a column.
    fn take<'py>(&self, records: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
        self.assemble(records.py(), &Rows::Listed(numbers(records)?))
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

    /// Assemble packed rows `start..start + rows` of an epoch, now: ids, labels, positions, bounds of documents.
    fn take_packed<'py>(
        &self,
        py: Python<'py>,
        epoch: &PackedEpoch,
        start: u64,
        rows: usize,
    ) -> PyResult<Bound<'py, PyTuple>> {
        self.assemble(py, &Rows::Packed { epoch: epoch.inner.clone(), start, len: rows })
    }

    /// Start assembling packed rows `start..start + rows` of an epoch on the pool of threads.
    fn submit_packed(&self, epoch: &PackedEpoch, start: u64, rows: usize) -> PyResult<Ticket> {
        let wanted = Rows::Packed { epoch: epoch.inner.clone(), start, len: rows };
        let ticket =
            nexa_batch::Ticket::submit(&self.inner, wanted).map_err(|error| Raised::from(error).0)?;
        Ok(Ticket { inner: Mutex::new(Some(ticket)), counters: Arc::clone(self.inner.counters()) })
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

/// Read record numbers, from a buffer at once if there is one.
fn numbers(records: &Bound<'_, PyAny>) -> PyResult<Vec<u64>> {
    if let Ok(buffer) = PyBuffer::<u64>::get(records) {
        return buffer.to_vec(records.py());
    }
    if let Ok(buffer) = PyBuffer::<i64>::get(records) {
        let index = |record: i64| {
            u64::try_from(record)
                .map_err(|_| PyIndexError::new_err(format!("record {record} is out of range")))
        };
        return buffer.to_vec(records.py())?.into_iter().map(index).collect();
    }
    records.extract()
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
    counters.took(batch.rows, batch.bytes(), asked);
    let columns = batch.columns.into_iter().map(|memory| Ok(Bound::new(py, Buffer::new(memory))?.into_any()));
    let ragged = batch.ragged.into_iter().map(|column| ragged::export(py, column));
    PyTuple::new(py, columns.chain(ragged).collect::<PyResult<Vec<_>>>()?)
}

fn forms(
    convert: HashMap<String, (String, f64, f64)>,
    pad: HashMap<String, (Vec<usize>, f64, bool)>,
) -> PyResult<HashMap<String, Form>> {
    let mut forms: HashMap<String, Form> = HashMap::new();
    for (column, (target, scale, shift)) in convert {
        let target = target
            .parse()
            .map_err(|error: nexa_records::UnknownElement| PyValueError::new_err(error.to_string()))?;
        forms.entry(column).or_default().conversion = Some(Conversion { target, scale, shift });
    }
    for (column, (widths, value, truncate)) in pad {
        forms.entry(column).or_default().padding = Some(Padding { widths, value, truncate });
    }
    Ok(forms)
}
