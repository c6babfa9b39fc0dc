//! Maps every error of the crates to the exception that `nexa_data.errors` defines for it, once.

use std::convert::Infallible;
use std::io::ErrorKind;

use nexa_batch::BatchError;
use nexa_catalog::{CatalogError, UriProblem};
use nexa_io::IoError;
use nexa_quality::QualityError;
use nexa_records::RecordError;
use nexa_teacher::JournalError;
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// The exceptions as Python defines them.
mod python {
    pyo3::import_exception!(nexa_data.errors, ArtifactError);
    pyo3::import_exception!(nexa_data.errors, CatalogError);
    pyo3::import_exception!(nexa_data.errors, ConfigError);
    pyo3::import_exception!(nexa_data.errors, ContentMismatchError);
    pyo3::import_exception!(nexa_data.errors, RecordError);
    pyo3::import_exception!(nexa_data.errors, ShardNotFoundError);
    pyo3::import_exception!(nexa_data.errors, StagingError);
}

/// An error of a crate as the exception that Python will see.
pub(crate) struct Raised(pub PyErr);

impl From<Infallible> for Raised {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<IoError> for Raised {
    fn from(error: IoError) -> Self {
        Self::from(&error)
    }
}

impl From<&IoError> for Raised {
    fn from(error: &IoError) -> Self {
        let text = error.to_string();
        let errno = error.errno();
        Self(match error {
            IoError::Open { source, .. } | IoError::Inspect { source, .. }
                if source.kind() == ErrorKind::NotFound =>
            {
                python::ShardNotFoundError::new_err(text)
            }
            IoError::Open { .. }
            | IoError::Inspect { .. }
            | IoError::Read { .. }
            | IoError::Write { .. }
            | IoError::Sync { .. }
            | IoError::Rename { .. }
            | IoError::RenameUnsupported { .. }
            | IoError::NoSpace { .. }
            | IoError::SourceChanged { .. }
            | IoError::NotAFile { .. }
            | IoError::SameFile { .. }
            | IoError::Outside { .. }
            | IoError::Ring { .. }
            | IoError::Cancelled => with_errno(python::StagingError::new_err(text), errno),
            IoError::SizeMismatch { .. } | IoError::DigestMismatch { .. } => {
                python::ContentMismatchError::new_err(text)
            }
            IoError::UnknownAlgorithm { .. }
            | IoError::UnknownEngine { .. }
            | IoError::MalformedDigest { .. } => PyValueError::new_err(text),
            IoError::OutOfMemory { .. } => PyMemoryError::new_err(text),
            IoError::Threads { .. } => PyRuntimeError::new_err(text),
        })
    }
}

/// `OSError.errno` is what callers test for, so it is kept where the system gave one.
fn with_errno(error: PyErr, errno: Option<i32>) -> PyErr {
    if let Some(errno) = errno {
        Python::attach(|py| {
            // An exception that refuses the attribute is still the right exception.
            let _ = error.value(py).setattr("errno", errno);
        });
    }
    error
}

impl From<RecordError> for Raised {
    fn from(error: RecordError) -> Self {
        Self::from(&error)
    }
}

impl From<&RecordError> for Raised {
    fn from(error: &RecordError) -> Self {
        Self(match error {
            RecordError::Io { source, .. } => return source.into(),
            RecordError::NotArrow { .. }
            | RecordError::NotOfFormat { .. }
            | RecordError::NoSchema { .. }
            | RecordError::Pickled { .. }
            | RecordError::Truncated { .. }
            | RecordError::Corrupt { .. }
            | RecordError::MissingBatch { .. }
            | RecordError::MissingColumn { .. }
            | RecordError::UnsupportedColumn { .. }
            | RecordError::Nulls { .. }
            | RecordError::SchemaMismatch { .. }
            | RecordError::RowCount { .. } => python::RecordError::new_err(error.to_string()),
        })
    }
}

impl From<QualityError> for Raised {
    fn from(error: QualityError) -> Self {
        match error {
            QualityError::Io(source) => source.into(),
            QualityError::Spill { ref source, .. } => {
                let errno = source.raw_os_error();
                Self(with_errno(python::StagingError::new_err(error.to_string()), errno))
            }
            QualityError::Schema { .. } | QualityError::Missing { .. } | QualityError::Unsupported { .. } => {
                Self(python::RecordError::new_err(error.to_string()))
            }
        }
    }
}

impl From<CatalogError> for Raised {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Missing { .. } => Self(python::ShardNotFoundError::new_err(error.to_string())),
            CatalogError::Io { source } => source.into(),
            CatalogError::Cancelled => IoError::Cancelled.into(),
        }
    }
}

impl From<UriProblem> for Raised {
    fn from(problem: UriProblem) -> Self {
        Self(python::CatalogError::new_err(problem.to_string()))
    }
}

impl From<BatchError> for Raised {
    fn from(error: BatchError) -> Self {
        Self::from(&error)
    }
}

/// Several batches may fail for one reason, which each of them raises.
impl From<&BatchError> for Raised {
    fn from(error: &BatchError) -> Self {
        let text = error.to_string();
        Self(match error {
            BatchError::Shard(shard) => return shard.into(),
            BatchError::Machine(machine) => return machine.into(),
            BatchError::Shared(shared) => return Self::from(&**shared),
            BatchError::OutOfRange { .. } => PyIndexError::new_err(text),
            BatchError::Mixture { .. } => PyValueError::new_err(text),
            BatchError::Disagreement { .. } | BatchError::NotClasses { .. } | BatchError::TooLong { .. } => {
                python::RecordError::new_err(text)
            }
            BatchError::Conversion { .. } | BatchError::Form { .. } => python::ConfigError::new_err(text),
            BatchError::TooLarge { .. } => PyMemoryError::new_err(text),
            BatchError::Panicked { .. } => PyRuntimeError::new_err(text),
        })
    }
}

impl From<JournalError> for Raised {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Threads(source) => source.into(),
            JournalError::Read { .. }
            | JournalError::Write { .. }
            | JournalError::Foreign { .. }
            | JournalError::Newer { .. }
            | JournalError::Ruined { .. }
            | JournalError::Failed { .. }
            | JournalError::ReadOnly { .. }
            | JournalError::Damaged { .. } => Self(python::ArtifactError::new_err(error.to_string())),
        }
    }
}
