//! Ragged columns as Python takes them: two buffers, or a list of str or bytes.

use nexa_batch::RaggedBatch;
use nexa_records::RaggedKind;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::buffers::Buffer;

/// Return (values, offsets or mask, items or width) of lists, and a list of text or bytes.
pub(crate) fn export(py: Python<'_>, column: RaggedBatch) -> PyResult<Bound<'_, PyAny>> {
    let RaggedBatch { kind, values, index, items } = column;
    match kind {
        RaggedKind::List => {
            let buffers = (Buffer::owned(values), Buffer::owned(index), items);
            Ok(buffers.into_pyobject(py)?.into_any())
        }
        RaggedKind::Text => {
            let texts = rows(&values, &index).map(|row| PyString::from_bytes(py, row));
            Ok(PyList::new(py, texts.collect::<PyResult<Vec<_>>>()?)?.into_any())
        }
        RaggedKind::Bytes => {
            let rows: Vec<_> = rows(&values, &index).map(|row| PyBytes::new(py, row)).collect();
            Ok(PyList::new(py, rows)?.into_any())
        }
    }
}

/// Cut the values at the offsets.
fn rows<'a>(values: &'a [u8], offsets: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let at = |each: &[u8; 8]| usize::try_from(i64::from_ne_bytes(*each)).unwrap_or(0);
    offsets.as_chunks::<8>().0.windows(2).map(move |pair| &values[at(&pair[0])..at(&pair[1])])
}
