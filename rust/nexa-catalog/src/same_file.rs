//! Absolute uris that lead to the file of another line: the parse knows no folder, and so sees only equal names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::{Entries, EntryRef, Finding, Location, locate, parse};

/// The files that absolute and relative uris might share, each with its first line.
pub(crate) struct SharedFiles {
    first_lines: HashMap<PathBuf, u64>,
}

impl SharedFiles {
    /// Look for uris that lead to one file. Only absolute ones that lie under `root` are remembered, for names that
    /// are equal as text were found by the parse; most catalogs have none, and so cost one look at each uri.
    pub(crate) fn new(root: &Path, entries: &Entries) -> Self {
        let mut first_lines = HashMap::new();
        for entry in entries.iter().filter(|entry| is_absolute(entry)) {
            if let Ok(Location::Absolute { path }) = locate(entry.uri, root)
                && path.starts_with(root)
            {
                first_lines.entry(path).or_insert(entry.line);
            }
        }
        if !first_lines.is_empty() {
            for entry in entries.iter().filter(|entry| !is_absolute(entry)) {
                if let Ok(location) = locate(entry.uri, root)
                    && let Some(line) = first_lines.get_mut(location.path())
                {
                    *line = entry.line.min(*line);
                }
            }
        }
        Self { first_lines }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first_lines.is_empty()
    }

    pub(crate) fn finding(&self, entry: &EntryRef<'_>, location: &Location) -> Option<Finding> {
        let first_line = *self.first_lines.get(location.path())?;
        (first_line < entry.line).then(|| parse::duplicate(entry.uri, first_line))
    }
}

/// Whether the uri may be absolute; a relative one never begins so.
fn is_absolute(entry: &EntryRef<'_>) -> bool {
    entry.uri.starts_with('/')
        || entry.uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"))
}
