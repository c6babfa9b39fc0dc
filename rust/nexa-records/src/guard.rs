//! One door into the Arrow library for bytes that nobody vouches for.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_schema::ArrowError;

use crate::RecordError;

/// Run a decoding step, and turn its error, or its panic, into [`RecordError::Corrupt`].
///
/// The known ways to make the Arrow library panic are checked before it is called (`ipc_layout`, `ipc_message`).
/// This is the net below: a shard that finds a new way ends its own read, not a training run of some days. The
/// step gets shared data only and gives up its own on unwinding, so nothing half-made can be seen afterwards.
pub(crate) fn decode<T>(
    path: &Path,
    batch: Option<usize>,
    step: impl FnOnce() -> Result<T, ArrowError>,
) -> Result<T, RecordError> {
    caught(step).map_err(|detail| RecordError::Corrupt { path: path.to_owned(), batch, detail })
}

/// Run a decoding step of somebody else's library, and turn its error, or its panic, into words.
pub(crate) fn caught<T, E: Display>(step: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("the decoder gave up: {}", panic_text(panic.as_ref()))),
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a reason")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_names_the_batch() {
        let error = decode::<()>(Path::new("a.arrow"), Some(3), || panic!("broken {}", 7)).unwrap_err();
        assert!(
            error.to_string().contains("a.arrow: batch 3: corrupt: the decoder gave up: broken 7"),
            "{error}"
        );
    }
}
