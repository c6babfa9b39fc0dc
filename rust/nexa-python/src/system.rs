//! What machine and file system this is, and the few file operations that Python lacks.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::Raised;

/// Set the number of threads of the native core; False if its pool runs already, with another number.
#[pyfunction]
pub fn set_threads(threads: usize) -> bool {
    nexa_io::threads::configure(threads)
}

/// Return the number of threads that the native core uses unless told otherwise.
#[pyfunction]
pub fn default_threads() -> usize {
    nexa_io::threads::default_threads()
}

/// Let no batch be in the middle of its assembly when this process forks; `after_fork` opens the gate again.
#[pyfunction]
pub fn before_fork() {
    nexa_io::forks::close();
}

/// Go on after a fork, in the parent.
#[pyfunction]
pub fn after_fork() {
    nexa_io::forks::open();
}

/// Go on after a fork, in the child.
#[pyfunction]
pub fn after_fork_in_child() {
    nexa_io::forks::open_in_child();
}

/// Swap two paths of one file system in one step.
#[pyfunction]
pub fn exchange_paths(first: PathBuf, second: PathBuf) -> PyResult<()> {
    nexa_io::place::exchange(&first, &second).map_err(|error| Raised::from(error).0)
}

/// Return (name, is it a network file system) of the file system that holds `path`.
#[pyfunction]
pub fn filesystem(path: PathBuf) -> PyResult<(String, bool)> {
    let facts = || Ok((nexa_io::place::fs_type_name(&path)?, nexa_io::place::is_network(&path)?));
    facts().map_err(|error: nexa_io::IoError| Raised::from(error).0)
}

/// Try what the file system of `folder` can do; the trial's file is removed.
#[pyfunction]
pub fn probe(py: Python<'_>, folder: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let found = crate::door::long_work(py, None, |_| nexa_io::probe(&folder))?;
    let report = PyDict::new(py);
    report.set_item("filesystem", found.filesystem)?;
    report.set_item("direct_io", found.direct_io.err())?;
    report.set_item("io_uring", found.io_uring.err())?;
    report.set_item("free_bytes", found.free_bytes)?;
    report.set_item("total_bytes", found.total_bytes)?;
    Ok(report)
}

/// Return version, profile, target and the CPU features that the digests use.
#[pyfunction]
pub fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    info.set_item("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS))?;
    info.set_item("cpu_features", cpu_features())?;
    Ok(info)
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let known = [
        ("sse4.2", std::is_x86_feature_detected!("sse4.2")),
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("sha", std::is_x86_feature_detected!("sha")),
    ];
    known.into_iter().filter_map(|(name, here)| here.then_some(name)).collect()
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    let known = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("sha2", std::arch::is_aarch64_feature_detected!("sha2")),
        ("crc", std::arch::is_aarch64_feature_detected!("crc")),
    ];
    known.into_iter().filter_map(|(name, here)| here.then_some(name)).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}
