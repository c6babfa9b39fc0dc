//! Catalogs: parsing, and the check against their shards.

use std::collections::HashSet;
use std::path::PathBuf;

use nexa_catalog::{CatalogError, Checks, Code, Entries, EntryRef, Finding, Parsed};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::door::{Control, long_work};
use crate::errors::Raised;

/// Line, uri, split, bytes, records, checksum, tags, other keys as JSON.
type Row<'a> =
    (u64, &'a str, Option<&'a str>, Option<u64>, Option<u64>, Option<String>, Vec<String>, Option<&'a str>);

/// A catalog file's lines, held natively; its entries become Python objects only when they are asked for.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct CatalogLines {
    root: PathBuf,
    parsed: Parsed,
}

#[pymethods]
impl CatalogLines {
    fn __len__(&self) -> usize {
        self.parsed.entries.len()
    }

    /// Sum of the sizes that the lines state.
    #[getter]
    fn bytes(&self) -> u64 {
        self.parsed.entries.bytes()
    }

    /// Return what is wrong with the lines, in their order; a line with an error is no entry.
    fn findings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        export(py, &self.parsed.findings)
    }

    /// Return all entries.
    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for entry in self.parsed.entries.iter() {
            list.append(row(&entry))?;
        }
        Ok(list)
    }

    /// Return what is wrong with the lines and with the shards that they name, in the order of the lines.
    ///
    /// `lines` confines the check of shards to those of these lines; `control` counts the shards that are done, or with
    /// `content` the bytes that are read.
    #[pyo3(signature = (*, lines = None, shards = true, footers = true, content = false, for_staging = false, control = None))]
    #[expect(clippy::too_many_arguments, reason = "keywords of one Python call")]
    fn validate<'py>(
        &self,
        py: Python<'py>,
        lines: Option<HashSet<u64>>,
        shards: bool,
        footers: bool,
        content: bool,
        for_staging: bool,
        control: Option<&Control>,
    ) -> PyResult<Bound<'py, PyList>> {
        let checks = Checks { shards, footers, content, for_staging };
        let Self { root, parsed } = self;
        let findings = long_work(py, control, |control| {
            let some: Option<Entries> = lines.map(|lines| {
                let wanted = parsed.entries.iter().filter(|entry| lines.contains(&entry.line));
                wanted.map(|entry| entry.to_entry()).collect()
            });
            let entries = some.as_ref().unwrap_or(&parsed.entries);
            let of_shards = nexa_catalog::validate(root, entries, &checks, control)?;
            let mut findings = [&parsed.findings[..], &of_shards].concat();
            // Those that count the rest belong to no line, and stand last.
            findings.sort_by_key(|finding| (finding.code == Code::TooManyFindings, finding.line));
            Ok::<_, CatalogError>(findings)
        })?;
        export(py, &findings)
    }
}

/// Read a catalog file; what is wrong with its lines is found, not raised. `control` counts the bytes that are done.
#[pyfunction]
#[pyo3(signature = (path, *, control = None))]
pub fn read_catalog(py: Python<'_>, path: PathBuf, control: Option<&Control>) -> PyResult<CatalogLines> {
    let (root, parsed) = long_work(py, control, |control| nexa_catalog::load(&path, control))?;
    Ok(CatalogLines { root, parsed })
}

fn row<'a>(entry: &EntryRef<'a>) -> Row<'a> {
    let checksum = entry.checksum.map(|digest| digest.to_string());
    let tags = entry.tags();
    (entry.line, entry.uri, entry.split, entry.bytes, entry.records, checksum, tags, entry.extra_json())
}

/// Return the name, relative to the artifact's `shards/` folder, under which a uri is staged.
#[pyfunction]
pub fn staged_name(uri: &str) -> PyResult<String> {
    nexa_catalog::staged_name(uri).map_err(|problem| Raised::from(problem).0)
}

fn export<'py>(py: Python<'py>, findings: &[Finding]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    let severity = py.import("nexa_data.findings")?.getattr("Severity")?;
    for finding in findings {
        let item = PyDict::new(py);
        item.set_item("code", finding.code.as_str())?;
        item.set_item("severity", severity.call1((finding.severity.as_str(),))?)?;
        item.set_item("message", &finding.message)?;
        item.set_item("column", &finding.column)?;
        item.set_item("shard", &finding.shard)?;
        item.set_item("line", finding.line)?;
        item.set_item("remedy", &finding.remedy)?;
        list.append(item)?;
    }
    Ok(list)
}
