//! Shards: what one says of itself, and writing one.

use std::path::PathBuf;

use nexa_records::{RecordError, Shard};
use pyo3::prelude::*;

use crate::arrow_c::import_batch;

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

/// Write the rows of record batches, in order, as an Arrow IPC file; returns (bytes, `sha256:hex`).
///
/// Who doesn't want it `durable` syncs it later, beside other work.
#[pyfunction]
#[pyo3(signature = (path, batches, *, durable = true))]
pub fn write_shard(
    py: Python<'_>,
    path: PathBuf,
    batches: Vec<Bound<'_, PyAny>>,
    durable: bool,
) -> PyResult<(u64, String)> {
    let batches: Vec<_> = batches.iter().map(import_batch).collect::<PyResult<_>>()?;
    let (bytes, digest) =
        crate::door::long_work(py, None, |_| nexa_records::write_batches(&path, &batches, durable))?;
    Ok((bytes, digest.to_string()))
}
