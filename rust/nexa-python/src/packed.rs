//! An epoch of sequences packed into rows of one length.

use nexa_batch::Packing;
use pyo3::prelude::*;

use crate::loader::Assembler;
use crate::order::Order;

/// The rows of one epoch: which pieces of which records each holds.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct PackedEpoch {
    pub(crate) inner: nexa_batch::PackedEpoch,
}

#[pymethods]
impl PackedEpoch {
    /// Packs each `window` positions of `order` into rows of `length`; the assembler has one column of lists.
    #[new]
    #[pyo3(signature = (assembler, order, *, length, window, pad_id, ignore_index))]
    fn new(
        py: Python<'_>,
        assembler: &Assembler,
        order: &Order,
        length: usize,
        window: usize,
        pad_id: f64,
        ignore_index: f64,
    ) -> PyResult<Self> {
        let packing = Packing { length, window, pad_id, ignore_index };
        let (assembler, order) = (&assembler.inner, order.inner.clone());
        let inner =
            crate::door::long_work(py, None, |_| nexa_batch::PackedEpoch::new(assembler, order, packing))?;
        Ok(Self { inner })
    }

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
