//! What ends a check, as opposed to what a check finds, exists as one enum for the binding to map.

use std::path::{Path, PathBuf};

use nexa_io::IoError;

/// Why a catalog could not be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no catalog at the path.
    #[error("{}: no such catalog; check the path, or write one with `nexa-data prepare`", path.display())]
    Missing {
        /// Where the catalog should be.
        path: PathBuf,
    },
    /// The catalog cannot be read, or the thread pool cannot be made.
    #[error(transparent)]
    Io {
        /// What the floor below said.
        source: IoError,
    },
    /// The caller asked to stop.
    #[error("the catalog's check was cancelled; run it again for a full answer")]
    Cancelled,
}

impl From<IoError> for CatalogError {
    fn from(source: IoError) -> Self {
        match source {
            IoError::Cancelled => Self::Cancelled,
            source => Self::Io { source },
        }
    }
}

impl CatalogError {
    /// Give the file that the error is about, where it is about one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Missing { path } => Some(path),
            Self::Io { source } => source.path(),
            Self::Cancelled => None,
        }
    }
}
