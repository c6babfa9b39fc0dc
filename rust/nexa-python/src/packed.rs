//! Sequences packed into rows of one length: their lengths, and the rows of an epoch.

use nexa_batch::Packing;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::loader::Assembler;
use crate::order::Order;

/// The sequences of a split, whose lengths are known.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Packer {
    inner: nexa_batch::Packer,
}

#[pymethods]
impl Packer {
    /// Reads every sequence's length, to pack each `window` positions of an order into rows of `length`; the assembler
    /// has one column of lists.
    #[new]
    #[pyo3(signature = (assembler, *, length, window, pad_id, ignore_index))]
    fn new(
        py: Python<'_>,
        assembler: &Assembler,
        length: usize,
        window: usize,
        pad_id: f64,
        ignore_index: f64,
    ) -> PyResult<Self> {
        let packing = Packing { length, window, pad_id, ignore_index };
        let assembler = &assembler.inner;
        let inner = crate::door::long_work(py, None, |_| nexa_batch::Packer::new(assembler, packing))?;
        Ok(Self { inner })
    }

    /// Return the rows of the epoch that has this order.
    fn epoch(&self, py: Python<'_>, order: &Order) -> PyResult<PackedEpoch> {
        let (bound, records) = (order.inner.bound(), self.inner.len());
        if bound != records {
            let message = format!("the order is of {bound} records, the split has {records}");
            return Err(PyValueError::new_err(message));
        }
        let inner = crate::door::long_work(py, None, |_| self.inner.epoch(order.inner.clone()))?;
        Ok(PackedEpoch { inner })
    }
}

/// The rows of one epoch: which pieces of which records each holds.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct PackedEpoch {
    pub(crate) inner: nexa_batch::PackedEpoch,
}

#[pymethods]
impl PackedEpoch {
    /// Rows of the epoch.
    #[getter]
    fn rows(&self) -> u64 {
        self.inner.rows()
    }

    /// Return (window, row in it) of a row.
    fn place(&self, row: u64) -> (u64, u64) {
        self.inner.place(row)
    }
}
