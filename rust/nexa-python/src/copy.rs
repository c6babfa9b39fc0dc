//! Copies files with a checksum in the same pass.

use std::path::PathBuf;

use nexa_io::{Algorithm, CopyJob, CopyMode, CopyOptions, Digest, IoError};
use pyo3::prelude::*;

use crate::door::{Control, long_work};
use crate::errors::Raised;

/// What became of one copied file.
#[pyclass(frozen, get_all, module = "nexa_data._core")]
pub struct CopyReport {
    /// Size of the copy.
    bytes: u64,
    /// `algorithm:hex` of its content.
    digest: String,
    /// `direct` or `buffered`.
    mode: &'static str,
    /// Why it was buffered.
    reason: Option<String>,
    /// Modification time of the copy, nanoseconds since the epoch.
    modified_ns: i128,
    /// Inode of the copy.
    inode: u64,
}

/// One file to copy: source, destination, expected bytes, expected digest, algorithm.
type Job = (PathBuf, PathBuf, Option<u64>, Option<String>, String);

fn job((source, destination, expected_bytes, expected, algorithm): Job) -> Result<CopyJob, IoError> {
    let expected: Option<Digest> = expected.map(|text| text.parse()).transpose()?;
    let algorithm: Algorithm = algorithm.parse()?;
    Ok(CopyJob { source, destination, expected_bytes, expected, algorithm })
}

/// Copy each job's source to its destination; the result has, in order, a report or the exception of each.
#[pyfunction]
#[pyo3(signature = (jobs, *, control, threads, block_bytes = 4_194_304, direct = true))]
pub fn copy_files<'py>(
    py: Python<'py>,
    jobs: Vec<Job>,
    control: &Control,
    threads: usize,
    block_bytes: usize,
    direct: bool,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let jobs: Vec<CopyJob> =
        jobs.into_iter().map(job).collect::<Result<_, _>>().map_err(|error| Raised::from(error).0)?;
    let options = CopyOptions { block_bytes, threads, direct };
    let results = long_work(py, Some(control), |control| {
        Ok::<_, IoError>(nexa_io::copy_files(&jobs, &options, control))
    })?;
    results
        .into_iter()
        .map(|result| match result {
            Ok(report) => {
                let report = CopyReport {
                    bytes: report.bytes,
                    digest: report.digest.to_string(),
                    mode: match report.mode {
                        CopyMode::Direct => "direct",
                        CopyMode::Buffered => "buffered",
                    },
                    reason: report.reason,
                    modified_ns: report.modified_ns,
                    inode: report.inode,
                };
                Ok(Bound::new(py, report)?.into_any())
            }
            Err(error) => Ok(Raised::from(error).0.into_value(py).into_bound(py).into_any()),
        })
        .collect()
}

/// Return (bytes, `algorithm:hex`) of a file.
#[pyfunction]
#[pyo3(signature = (path, algorithm = "sha256", *, control = None))]
pub fn digest_file(
    py: Python<'_>,
    path: PathBuf,
    algorithm: &str,
    control: Option<&Control>,
) -> PyResult<(u64, String)> {
    let algorithm: Algorithm = algorithm.parse().map_err(|error: IoError| Raised::from(error).0)?;
    let (bytes, digest) = long_work(py, control, |control| nexa_io::digest_file(&path, algorithm, control))?;
    Ok((bytes, digest.to_string()))
}
