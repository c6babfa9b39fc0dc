//! From a path to a parsed catalog and the folder that its relative uris start from.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nexa_io::{Control, ShardBytes};

use crate::{CatalogError, Parsed, parse};

/// Read and parse a catalog.
///
/// # Args
///
/// - `path`: the catalog file.
///
/// # Returns
///
/// The catalog's folder, from which relative uris start, and what [`parse`] made of its lines.
///
/// # Errors
///
/// [`CatalogError::Missing`] where nothing is at the path, [`CatalogError::Io`] where it cannot be read.
pub fn load(path: &Path) -> Result<(PathBuf, Parsed), CatalogError> {
    // Asked first, so that the message says "no such catalog" and not what a system call thinks of it.
    if let Err(error) = std::fs::metadata(path)
        && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
    {
        return Err(CatalogError::Missing { path: path.to_owned() });
    }
    let bytes = ShardBytes::open(path)?;
    let parsed = parse(&bytes, &Control::default())?;
    // The parent of a bare file name is the empty path, which no system call takes.
    let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((root.to_owned(), parsed))
}
