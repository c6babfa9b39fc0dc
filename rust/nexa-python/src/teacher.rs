//! What a teacher was asked and answered: the journal, and answers as Arrow columns.

use std::path::PathBuf;

use nexa_teacher::{Journal, JournalError, KEY_BYTES, Key, Kind, MAX_BODY_BYTES, Mode};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::arrow_c::ArrowBatch;
use crate::errors::Raised;

/// (key, attempt, error, choices, prompt tokens, answered tokens, cut) of an answer that is durable.
type Settled<'py> = (Bound<'py, PyBytes>, u16, Option<String>, u32, i64, i64, bool);

/// An append-only file of requests and answers, open for one writer.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct TeacherJournal {
    journal: Journal,
}

#[pymethods]
impl TeacherJournal {
    /// Open the journal at `path`, or make it.
    #[new]
    #[pyo3(signature = (path, *, compress = true, read_only = false))]
    fn new(py: Python<'_>, path: PathBuf, compress: bool, read_only: bool) -> PyResult<Self> {
        let mode = match (read_only, compress) {
            (true, _) => Mode::Read,
            (false, true) => Mode::Compress,
            (false, false) => Mode::Raw,
        };
        py.detach(|| Journal::open(&path, mode)).map(|journal| Self { journal }).map_err(raised)
    }

    /// Bytes of the file that belong to no sound record.
    #[getter]
    fn damaged_bytes(&self) -> u64 {
        self.journal.damaged_bytes()
    }

    /// Take a record in; it is durable once a later `sync` has returned.
    #[pyo3(signature = (kind, key, attempt, value, body = None))]
    fn append(&self, kind: u8, key: &[u8], attempt: u16, value: u64, body: Option<&[u8]>) -> PyResult<()> {
        let kind = Kind::try_from(kind).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let body = body.unwrap_or_default();
        if body.len() > MAX_BODY_BYTES {
            return Err(PyValueError::new_err(format!("a body of {} bytes is too long", body.len())));
        }
        self.journal.append(kind, key_of(key)?, attempt, value, body.to_vec()).map_err(raised)
    }

    /// Make all that was appended before durable; returns what the answers among it are.
    fn sync<'py>(&self, py: Python<'py>) -> PyResult<Vec<Settled<'py>>> {
        let settled = py.detach(|| self.journal.sync()).map_err(raised)?;
        let told = settled.into_iter().map(|settled| {
            let key = PyBytes::new(py, &settled.key);
            match settled.answer {
                Ok(answer) => {
                    let prompt = answer.prompt_tokens.map_or(-1, i64::from);
                    let completion = answer.completion_tokens.map_or(-1, i64::from);
                    (key, settled.attempt, None, answer.choices, prompt, completion, answer.cut)
                }
                Err(reason) => (key, settled.attempt, Some(reason), 0, -1, -1, false),
            }
        });
        Ok(told.collect())
    }

    /// Where a request stands.
    fn state(&self, key: &[u8]) -> PyResult<u8> {
        Ok(self.journal.state(&key_of(key)?) as u8)
    }

    /// Where many requests stand: a byte for each key.
    fn states<'py>(&self, py: Python<'py>, keys: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        whole(keys)?;
        Ok(PyBytes::new(py, &py.detach(|| self.journal.states(keys))))
    }

    /// The last attempt at a request, 0 if there was none.
    fn attempt(&self, key: &[u8]) -> PyResult<u16> {
        Ok(self.journal.attempt(&key_of(key)?))
    }

    /// The raw body of an answer, or None.
    fn body<'py>(&self, py: Python<'py>, key: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let body = self.journal.body(&key_of(key)?).map_err(raised)?;
        Ok(body.map(|body| PyBytes::new(py, &body)))
    }

    /// Why a request that was refused or lost has no answer, or None.
    fn reason(&self, key: &[u8]) -> PyResult<Option<String>> {
        self.journal.reason(&key_of(key)?).map_err(raised)
    }

    /// What the journal adds up to, by name.
    fn totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let totals = self.journal.totals();
        let named = PyDict::new(py);
        for (name, count) in [
            ("answered", totals.answered),
            ("adopted", totals.adopted),
            ("refused", totals.refused),
            ("lost", totals.lost),
            ("open", totals.open),
            ("purged", totals.purged),
            ("requests", totals.requests),
            ("prompt_tokens", totals.prompt_tokens),
            ("completion_tokens", totals.completion_tokens),
            ("unknown_prompt_tokens", totals.unknown_prompt_tokens),
            ("unknown_completion_tokens", totals.unknown_completion_tokens),
        ] {
            named.set_item(name, count)?;
        }
        Ok(named)
    }

    /// Take over what another journal knows of those of `keys` that are new here; returns how many answers.
    fn adopt(&self, py: Python<'_>, other: &Self, keys: &[u8]) -> PyResult<u64> {
        whole(keys)?;
        py.detach(|| self.journal.adopt(&other.journal, keys)).map_err(raised)
    }

    /// sha256 over the answers, purged or not.
    fn digest(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.journal.digest()).map_err(raised)
    }

    /// Delete every body; digests, counts and spend stay. Returns the bytes that were freed.
    fn purge(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.journal.purge()).map_err(raised)
    }

    /// The answers to `keys` as Arrow columns, a row per choice.
    #[pyo3(signature = (keys, *, logprobs))]
    fn completions(&self, py: Python<'_>, keys: &[u8], logprobs: bool) -> PyResult<ArrowBatch> {
        whole(keys)?;
        py.detach(|| self.journal.columns(keys, logprobs)).map(ArrowBatch).map_err(raised)
    }

    /// Sync and close the file.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.journal.close()).map_err(raised)
    }
}

fn key_of(key: &[u8]) -> PyResult<Key> {
    key.try_into()
        .map_err(|_| PyValueError::new_err(format!("a key has {KEY_BYTES} bytes, not {}", key.len())))
}

/// Refuse keys that don't lie side by side.
fn whole(keys: &[u8]) -> PyResult<()> {
    if keys.len().is_multiple_of(KEY_BYTES) {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("keys have {KEY_BYTES} bytes each, and here are {}", keys.len())))
}

fn raised(error: JournalError) -> PyErr {
    Raised::from(error).0
}
