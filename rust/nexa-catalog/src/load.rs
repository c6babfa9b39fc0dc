//! From a path to a parsed catalog and the folder that its relative uris start from.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nexa_io::{Control, FilePieces};

use crate::parse::parse_from;
use crate::source::FileSource;
use crate::{CatalogError, Parsed};

/// Read and parse a catalog.
///
/// # Args
///
/// - `path`: the catalog file; it is read piece by piece and never in memory as a whole.
/// - `control`: cancels the work, and counts the bytes that are done.
///
/// # Returns
///
/// The catalog's folder, from which relative uris start, and what [`parse`](crate::parse) made of its lines.
///
/// # Errors
///
/// [`CatalogError::Missing`] where nothing is at the path, [`CatalogError::Io`] where it cannot be read,
/// [`CatalogError::Cancelled`].
pub fn load(path: &Path, control: &Control) -> Result<(PathBuf, Parsed), CatalogError> {
    // Asked first, so that the message says "no such catalog" and not what a system call thinks of it.
    if let Err(error) = std::fs::metadata(path)
        && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
    {
        return Err(CatalogError::Missing { path: path.to_owned() });
    }
    let parsed = parse_from(FileSource::new(FilePieces::open(path)?)?, control)?;
    // The parent of a bare file name is the empty path, which no system call takes.
    let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((root.to_owned(), parsed))
}
