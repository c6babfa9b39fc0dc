//! Copies files with a checksum in the same pass.

use std::path::PathBuf;

use nexa_io::{Algorithm, CopyJob, CopyMode, CopyOptions, Digest, IoError, JobSource};
use pyo3::prelude::*;

use crate::door::{Control, long_work_telling};
use crate::errors::Raised;

/// What became of one copied file.
#[pyclass(frozen, get_all, module = "nexa_data._core")]
pub struct CopyReport {
    /// Size of the copy.
    bytes: u64,
    /// `algorithm:hex` of its content.
    digest: String,
    /// `direct`, `cached` or `buffered`.
    mode: &'static str,
    /// Why it was not direct.
    reason: Option<String>,
    /// Modification time of the copy, nanoseconds since the epoch.
    modified_ns: i128,
    /// Inode of the copy.
    inode: u64,
    /// Times that a read or write was tried again.
    retries: u32,
    /// Whether the copy was read again from the disk and found equal.
    read_back: bool,
    /// Modification time, inode and device of the source.
    source: (i128, u64, u64),
}

/// One file to copy: source, destination, expected bytes, expected digest, algorithm.
type Job = (PathBuf, PathBuf, Option<u64>, Option<String>, String);

fn job((source, destination, expected_bytes, expected, algorithm): Job) -> Result<CopyJob, IoError> {
    let expected: Option<Digest> = expected.map(|text| text.parse()).transpose()?;
    let algorithm: Algorithm = algorithm.parse()?;
    Ok(CopyJob { source: JobSource::File(source), destination, expected_bytes, expected, algorithm })
}

/// What a copy ran with.
#[pyclass(frozen, get_all, module = "nexa_data._core")]
pub struct CopyPlan {
    /// `io_uring` or `threads`.
    engine: &'static str,
    /// Why not `io_uring`, where that was not what was asked for.
    engine_reason: Option<String>,
    /// Threads that moved blocks.
    threads: usize,
    /// Bytes per read and write.
    block_bytes: usize,
    /// Bytes of memory for blocks.
    memory_bytes: usize,
}

impl From<nexa_io::CopyPlan> for CopyPlan {
    fn from(plan: nexa_io::CopyPlan) -> Self {
        let nexa_io::CopyPlan { engine, engine_reason, threads, block_bytes, memory_bytes, alignment: _ } =
            plan;
        Self { engine: engine.name(), engine_reason, threads, block_bytes, memory_bytes }
    }
}

/// Copy each job's source to its destination; `on_done` is called with lists of (job's index, report or exception),
/// each job once, as soon as its copy is durable.
#[pyfunction]
#[pyo3(signature = (
    jobs, *, on_done, control, root = None, engine = "auto", direct = true, threads = 0, block_bytes = 0,
    max_memory = 0, max_bandwidth = 0, read_back = false, retries = 3,
))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python function")]
pub fn copy_files(
    py: Python<'_>,
    jobs: Vec<Job>,
    on_done: Bound<'_, PyAny>,
    control: &Control,
    root: Option<PathBuf>,
    engine: &str,
    direct: bool,
    threads: usize,
    block_bytes: usize,
    max_memory: usize,
    max_bandwidth: u64,
    read_back: bool,
    retries: u32,
) -> PyResult<CopyPlan> {
    let jobs: Vec<CopyJob> =
        jobs.into_iter().map(job).collect::<Result<_, _>>().map_err(|error| Raised::from(error).0)?;
    let engine = engine.parse().map_err(|error: IoError| Raised::from(error).0)?;
    let options = CopyOptions {
        root,
        engine,
        direct,
        threads,
        block_bytes,
        max_memory,
        max_bandwidth,
        read_back,
        retries,
    };
    let plan = long_work_telling(
        py,
        Some(control),
        |control, tell| nexa_io::copy_files(&jobs, &options, control, &|index, result| tell((index, result))),
        |results: Vec<(usize, Result<nexa_io::CopyReport, IoError>)>| {
            let results: Vec<_> = results
                .into_iter()
                .map(|(index, result)| Ok((index, outcome(py, result)?)))
                .collect::<PyResult<_>>()?;
            on_done.call1((results,))?;
            Ok(())
        },
    )?;
    Ok(plan.into())
}

fn outcome(py: Python<'_>, result: Result<nexa_io::CopyReport, IoError>) -> PyResult<Bound<'_, PyAny>> {
    let report = match result {
        Ok(report) => report,
        Err(error) => return Ok(Raised::from(error).0.into_value(py).into_bound(py).into_any()),
    };
    let report = CopyReport {
        bytes: report.bytes,
        digest: report.digest.to_string(),
        mode: match report.mode {
            CopyMode::Direct => "direct",
            CopyMode::Cached => "cached",
            CopyMode::Buffered => "buffered",
        },
        reason: report.reason,
        modified_ns: report.modified_ns,
        inode: report.inode,
        retries: report.retries,
        read_back: report.read_back,
        source: (report.source.modified_ns, report.source.inode, report.source.device),
    };
    Ok(Bound::new(py, report)?.into_any())
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
    let (bytes, digest) =
        crate::door::long_work(py, control, |control| nexa_io::digest_file(&path, algorithm, control))?;
    Ok((bytes, digest.to_string()))
}
