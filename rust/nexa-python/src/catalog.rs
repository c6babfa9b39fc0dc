//! Catalogs: parsing, and the check against their shards.

use std::path::PathBuf;

use nexa_catalog::{CatalogError, Checks, Entry, Finding, Parsed};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::door::{Control, long_work};
use crate::errors::Raised;

/// Line, uri, split, bytes, records, checksum, tags, other keys as JSON.
type Row =
    (u64, String, Option<String>, Option<u64>, Option<u64>, Option<String>, Vec<String>, Option<String>);

/// Return (entries, findings) of a catalog file; a line with an error yields a finding and no entry.
#[pyfunction]
#[pyo3(signature = (path, *, control = None))]
pub fn parse_catalog<'py>(
    py: Python<'py>,
    path: PathBuf,
    control: Option<&Control>,
) -> PyResult<(Vec<Row>, Bound<'py, PyList>)> {
    let parsed = long_work(py, control, |_| nexa_catalog::load(&path).map(|(_, parsed)| parsed))?;
    let findings = export(py, &parsed.findings)?;
    Ok((parsed.entries.into_iter().map(row).collect(), findings))
}

fn row(entry: Entry) -> Row {
    let extra = (!entry.extra.is_empty()).then(|| serde_json::Value::Object(entry.extra).to_string());
    let checksum = entry.checksum.map(|digest| digest.to_string());
    (entry.line, entry.uri, entry.split, entry.bytes, entry.records, checksum, entry.tags, extra)
}

/// Return (number of entries, findings) after checking a catalog file and the shards that it names.
#[pyfunction]
#[pyo3(signature = (path, *, shards = true, footers = true, content = false, for_staging = false, control = None))]
pub fn validate_catalog<'py>(
    py: Python<'py>,
    path: PathBuf,
    shards: bool,
    footers: bool,
    content: bool,
    for_staging: bool,
    control: Option<&Control>,
) -> PyResult<(usize, Bound<'py, PyList>)> {
    let checks = Checks { shards, footers, content, for_staging };
    let (count, findings) = long_work(py, control, |control| {
        let (root, Parsed { entries, mut findings }) = nexa_catalog::load(&path)?;
        findings.extend(nexa_catalog::validate(&root, &entries, &checks, control)?);
        findings.sort_by_key(|finding| finding.line);
        Ok::<_, CatalogError>((entries.len(), findings))
    })?;
    Ok((count, export(py, &findings)?))
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
