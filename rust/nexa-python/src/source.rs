//! Source files: what one is, what its columns are, and its records in order.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::SchemaRef;
use nexa_records::{BadRecord, Format, Infer, Opened, ReadOptions, Scan};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule};

use crate::arrow_c::{ArrowBatch, export_schema, import_schema};
use crate::door::long_work;
use crate::errors::Raised;

/// (record, records, offset, column, reason, raw bytes) of what could not be decoded.
type Bad<'py> = (u64, u64, Option<u64>, Option<String>, String, Bound<'py, PyBytes>);

/// A source file, opened: its schema is known, no record was decoded beyond what that took.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct SourceReader {
    path: PathBuf,
    format: Format,
    options: ReadOptions,
    schema: SchemaRef,
    rows: Option<u64>,
    /// What was opened, for the first who reads.
    opened: Mutex<Option<Opened>>,
}

#[pymethods]
impl SourceReader {
    #[new]
    #[pyo3(signature = (path, format, *, columns = None, schema = None, strict = false, types = None, infer_records = None, batch_rows = None,
        block_bytes = None, record_bytes = None, delimiter = None, header = true, nulls = None))]
    #[expect(clippy::too_many_arguments, reason = "keywords, each with a default")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        format: &str,
        columns: Option<Vec<String>>,
        schema: Option<Bound<'_, PyAny>>,
        strict: bool,
        types: Option<Bound<'_, PyAny>>,
        infer_records: Option<u64>,
        batch_rows: Option<usize>,
        block_bytes: Option<usize>,
        record_bytes: Option<usize>,
        delimiter: Option<&str>,
        header: bool,
        nulls: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let format: Format = format.parse().map_err(PyValueError::new_err)?;
        let defaults = ReadOptions::default();
        let mut options = ReadOptions {
            columns,
            schema: schema.map(|schema| import_schema(&schema).map(Arc::new)).transpose()?,
            strict,
            types: types.map(|types| import_schema(&types).map(Arc::new)).transpose()?,
            infer: infer_records
                .map_or(defaults.infer, |n| NonZero::new(n).map_or(Infer::Whole, Infer::Records)),
            batch_rows: batch_rows.unwrap_or(defaults.batch_rows).max(1),
            block_bytes: block_bytes.unwrap_or(defaults.block_bytes).max(1),
            record_bytes: record_bytes.unwrap_or(defaults.record_bytes).max(1),
            delimiter: delimiter.map(one_byte).transpose()?,
            header,
            nulls: nulls.unwrap_or_else(|| defaults.nulls.clone()),
            ..defaults
        };
        let opened = long_work(py, None, |_| nexa_records::open(&path, format, &options))?;
        let (schema, rows) = (Arc::clone(&opened.schema), opened.rows);
        if format.is_untyped() {
            // What was inferred once is not inferred again.
            options.strict = options.refuses_strangers();
            options.schema = Some(Arc::clone(&schema));
        }
        Ok(Self { path, format, options, schema, rows, opened: Mutex::new(Some(opened)) })
    }

    /// Records, where the file says how many without being decoded.
    #[getter]
    const fn rows(&self) -> Option<u64> {
        self.rows
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        export_schema(py, &self.schema)
    }

    /// Start to read all records, in order; it may be called again.
    #[pyo3(signature = (*, threads = None))]
    fn batches(&self, py: Python<'_>, threads: Option<usize>) -> PyResult<SourceBatches> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        let opened = match opened {
            Some(opened) => opened,
            None => long_work(py, None, |_| nexa_records::open(&self.path, self.format, &self.options))?,
        };
        let threads = threads.unwrap_or_else(nexa_io::threads::default_threads);
        Ok(SourceBatches { scan: Mutex::new(opened.scan(threads)) })
    }
}

/// The records of a source in order: iterate for `(first record, batch, bad records)`.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct SourceBatches {
    scan: Mutex<Scan>,
}

#[pymethods]
impl SourceBatches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<(u64, ArrowBatch, Vec<Bad<'py>>)>> {
        let (first, piece) = py.detach(|| {
            let mut scan = self.scan.lock().unwrap_or_else(PoisonError::into_inner);
            let first = scan.records();
            Ok::<_, PyErr>((first, scan.next_polling(signals)?))
        })?;
        let Some(piece) = piece else { return Ok(None) };
        let decoded = piece.map_err(|error| Raised::from(&error).0)?;
        let bad = decoded.bad.into_iter().map(|bad| tuple(py, bad)).collect();
        Ok(Some((first, ArrowBatch(decoded.batch), bad)))
    }
}

/// Raise what a signal's handler raised while nobody held the interpreter.
fn signals() -> PyResult<()> {
    Python::attach(|py: Python<'_>| -> PyResult<()> {
        py.check_signals()?;
        Ok(())
    })
}

fn tuple(py: Python<'_>, bad: BadRecord) -> Bad<'_> {
    let BadRecord { record, records, offset, column, reason, raw } = bad;
    (record, records, offset, column, reason, PyBytes::new(py, &raw))
}

fn one_byte(text: &str) -> PyResult<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(PyValueError::new_err(format!("delimiter is one ASCII character, not {text:?}"))),
    }
}

/// Return what the file's first bytes and its name say that it is: (format or None, compression or None).
#[pyfunction]
pub fn recognise_source(
    py: Python<'_>,
    path: PathBuf,
) -> PyResult<(Option<&'static str>, Option<&'static str>)> {
    let recognised = long_work(py, None, |_| nexa_records::recognise(&path))?;
    Ok((recognised.format.map(Format::name), recognised.compression.name()))
}
