//! Shards: what one says of itself, and writing one.

use std::path::PathBuf;

use nexa_records::{Element, RecordError, Shard, WriteColumn};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Rows, batches, (column, type) of each, whether it is mapped.
type Info = (u64, usize, Vec<(String, String)>, bool);

/// Return (rows, batches, [(column, type)], mapped) of an Arrow IPC file.
#[pyfunction]
pub fn shard_info(py: Python<'_>, path: PathBuf) -> PyResult<Info> {
    crate::door::long_work(py, None, |_| {
        let shard = Shard::open(&path)?;
        let columns = shard
            .schema()
            .fields()
            .iter()
            .map(|field| (field.name().clone(), field.data_type().to_string()))
            .collect();
        Ok::<_, RecordError>((shard.num_rows(), shard.num_batches(), columns, shard.is_mapped()))
    })
}

/// Write (name, element type, shape of a row, bytes) columns as an Arrow IPC file; returns (bytes, `sha256:hex`).
#[pyfunction]
pub fn write_shard(
    py: Python<'_>,
    path: PathBuf,
    columns: Vec<(String, String, Vec<usize>, PyBuffer<u8>)>,
    rows: usize,
) -> PyResult<(u64, String)> {
    let owned = columns
        .into_iter()
        .map(|(name, element, row_shape, values)| {
            let element: Element = element
                .parse()
                .map_err(|error: nexa_records::UnknownElement| PyValueError::new_err(error.to_string()))?;
            Ok((name, element, row_shape, values.to_vec(py)?))
        })
        .collect::<PyResult<Vec<_>>>()?;
    let (bytes, digest) = crate::door::long_work(py, None, |_| {
        let columns: Vec<_> = owned
            .iter()
            .map(|(name, element, row_shape, values)| WriteColumn {
                name: name.clone(),
                element: *element,
                row_shape: row_shape.clone(),
                values,
            })
            .collect();
        nexa_records::write_shard(&path, &columns, rows)
    })?;
    Ok((bytes, digest.to_string()))
}
