//! The order of an epoch, the plan of a mixture, and lists of records that filters and classes make.

use std::path::PathBuf;
use std::sync::Arc;

use nexa_batch::{LabelRule, Mixing, ShardSpec, Stop};
use nexa_filter::LabelSet;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::door::long_work;
use crate::errors::Raised;

/// (first slot, weights, most records, stop) as Python says it.
type MixingParts = (u64, Vec<u64>, Vec<Option<u64>>, StopRule);

/// `"first"`, `"all"`, or a number of records.
#[derive(FromPyObject)]
pub enum StopRule {
    Records(u64),
    Named(String),
}

impl StopRule {
    fn stop(self) -> PyResult<Stop> {
        match self {
            Self::Records(records) => Ok(Stop::Records(records)),
            Self::Named(name) if name == "first" => Ok(Stop::First),
            Self::Named(name) if name == "all" => Ok(Stop::All),
            Self::Named(name) => Err(PyValueError::new_err(format!("no mixture stops at {name:?}"))),
        }
    }
}

/// The plan of an epoch of several sources.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Mixture {
    inner: Arc<nexa_batch::Mixture>,
}

#[pymethods]
impl Mixture {
    /// `records` are those of each source; `mixings` are (first slot, weights, most records of each, stop).
    #[new]
    fn new(records: Vec<u64>, mixings: Vec<MixingParts>) -> PyResult<Self> {
        let mixings: Vec<Mixing> = mixings
            .into_iter()
            .map(|(from, weights, most, stop)| Ok(Mixing { from, weights, most, stop: stop.stop()? }))
            .collect::<PyResult<_>>()?;
        let inner = nexa_batch::Mixture::plan(&records, &mixings).map_err(|error| Raised::from(error).0)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.inner.len())?)
    }

    /// Return how many records each source gives in the first `slots` slots.
    fn counts(&self, slots: u64) -> PyResult<Vec<u64>> {
        if slots > self.inner.len() {
            return Err(PyIndexError::new_err(format!(
                "the epoch has {} slots, not {slots}",
                self.inner.len()
            )));
        }
        Ok(self.inner.counts(slots))
    }
}

/// The order of one epoch: position → record, in O(1) and without memory.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Order {
    pub(crate) inner: nexa_batch::Order,
}

#[pymethods]
impl Order {
    /// `shuffle=False` gives the records as stored, `block` blocks of so many, `window` of them mixed; `n` is at most 2**63.
    #[new]
    #[pyo3(signature = (n, *, seed = 0, epoch = 0, shuffle = true, block = 0, window = 1))]
    fn new(n: u64, seed: u64, epoch: u64, shuffle: bool, block: u64, window: u64) -> PyResult<Self> {
        if n > 1 << 63 {
            return Err(PyValueError::new_err(format!("an order has at most 2**63 records, not {n}")));
        }
        let inner = match (shuffle, block) {
            (false, _) => nexa_batch::Order::sequential(n),
            (true, 0) => nexa_batch::Order::shuffled(n, seed, epoch),
            (true, _) => nexa_batch::Order::blocks(n, block, window, seed, epoch),
        };
        Ok(Self { inner })
    }

    /// Return the order of a mixture whose sources have given `done` records before; `table` has a record for each of theirs.
    #[staticmethod]
    #[pyo3(signature = (mixture, done, *, seed = 0, epoch = 0, shuffle = true, table = None))]
    fn mixed(
        mixture: &Mixture,
        done: Vec<u64>,
        seed: u64,
        epoch: u64,
        shuffle: bool,
        table: Option<&Selection>,
    ) -> PyResult<Self> {
        let table = table.map(|table| Arc::clone(&table.inner));
        let inner = nexa_batch::Order::mixed(Arc::clone(&mixture.inner), &done, seed, epoch, shuffle, table);
        Ok(Self { inner: inner.map_err(|error| Raised::from(error).0)? })
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.inner.len())?)
    }

    /// Return the record at `position`.
    fn record(&self, position: u64) -> PyResult<u64> {
        self.check(position)?;
        Ok(self.inner.record(position))
    }

    /// Return the position of `record`; None for a mixture, which may hold it several times or not at all.
    fn position(&self, record: u64) -> PyResult<Option<u64>> {
        self.check(record)?;
        Ok(self.inner.position(record))
    }

    /// Return the records at positions `start..start + rows`; beyond the end they begin again at the first.
    fn records(&self, py: Python<'_>, start: u64, rows: usize) -> PyResult<Vec<u64>> {
        if self.inner.is_empty() && rows > 0 {
            return Err(PyIndexError::new_err("the epoch has no records"));
        }
        Ok(py.detach(|| {
            let mut found = Vec::with_capacity(rows);
            if rows > 0 {
                self.inner.fill(start, rows, &mut found);
            }
            found
        }))
    }

    /// Return what `records` returns as bytes, eight a number.
    fn record_bytes<'py>(&self, py: Python<'py>, start: u64, rows: usize) -> PyResult<Bound<'py, PyBytes>> {
        let found = self.records(py, start, rows)?;
        PyBytes::new_with(py, size_of_val(found.as_slice()), |bytes| {
            for (place, number) in bytes.as_chunks_mut().0.iter_mut().zip(&found) {
                *place = number.to_ne_bytes();
            }
            Ok(())
        })
    }

    /// Return the ranges (first, end) of records that positions `start..start + rows` are taken from, in the order of need.
    fn ranges(&self, start: u64, rows: u64) -> Vec<(u64, u64)> {
        self.inner.ranges(start, rows).into_iter().map(|range| (range.start, range.end)).collect()
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

/// A list of record numbers, four bytes each where they fit.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Selection {
    pub(crate) inner: Arc<nexa_batch::Selection>,
}

#[pymethods]
impl Selection {
    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.inner.len())?)
    }

    fn __getitem__(&self, index: u64) -> PyResult<u64> {
        let found = self.inner.get(index);
        found.ok_or_else(|| {
            PyIndexError::new_err(format!("{index} is out of range: {} are selected", self.inner.len()))
        })
    }
}

/// (path, records) of the shards of a part, and (labels, whether they are denied) of its rule.
type Part = (Vec<(PathBuf, u64)>, Option<(Vec<i64>, bool)>);

/// Return the records whose labels pass the rule of their part, and how many of each part.
#[pyfunction]
pub fn select_by_label(py: Python<'_>, parts: Vec<Part>, column: String) -> PyResult<(Selection, Vec<u64>)> {
    let parts: Vec<_> = parts
        .into_iter()
        .map(|(shards, rule)| {
            let rule = rule.map(|(labels, deny)| LabelRule { labels: LabelSet::new(labels), deny });
            (specs(shards), rule)
        })
        .collect();
    let (kept, counts) = long_work(py, None, |_| nexa_batch::select_by_label(&parts, &column))?;
    Ok((Selection { inner: Arc::new(kept) }, counts))
}

/// Return (labels, records of each, the records label by label) of shards, or of what of them is in `chosen`.
#[pyfunction]
#[pyo3(signature = (shards, column, chosen = None))]
pub fn group_by_label(
    py: Python<'_>,
    shards: Vec<(PathBuf, u64)>,
    column: String,
    chosen: Option<&Selection>,
) -> PyResult<(Vec<i64>, Vec<u64>, Selection)> {
    let (shards, chosen) = (specs(shards), chosen.map(|chosen| Arc::clone(&chosen.inner)));
    let found = long_work(py, None, |_| nexa_batch::group_by_label(&shards, &column, chosen.as_deref()))?;
    Ok((found.labels, found.counts, Selection { inner: Arc::new(found.records) }))
}

/// Shards as (path, records).
pub(crate) fn specs(shards: Vec<(PathBuf, u64)>) -> Vec<ShardSpec> {
    shards.into_iter().map(|(path, records)| ShardSpec { path, records }).collect()
}
