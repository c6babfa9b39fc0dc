//! Does the catalog tell the truth about its shards?
//!
//! A catalog (`catalog.jsonl`) has a line a shard:
//!
//! ```json
//! {"uri": "shards/train-00000.arrow", "split": "train", "bytes": 1234, "records": 100, "checksum": "sha256:9f…"}
//! ```
//!
//! [`parse`] reads the lines and [`validate`] holds them against the files; both report everything that is wrong as
//! [`Finding`]s, in the order of the lines whatever the number of threads, and stop at nothing. [`load`] reads a
//! catalog from disk; [`locate`] and [`staged_name`] say where a `uri` leads.
//!
//! # Why findings and not errors
//!
//! A catalog of 100,000 shards that fails at its first bad line, is mended and fails at the next, costs its owner an
//! afternoon. Errors ([`CatalogError`]) are kept for what ends the check itself: no catalog there, or a cancelled run.
//!
//! # What it is not
//!
//! It writes nothing and copies nothing, and it knows a shard's content only through `nexa-records`.

#![forbid(unsafe_code)]

mod careful;
mod entries;
mod entry;
mod error;
mod excess;
mod fast;
mod finding;
mod footers;
mod json;
mod line;
mod load;
mod parse;
#[doc(hidden)]
pub mod replay;
mod same_file;
mod source;
mod split;
mod stat;
mod unique;
mod uri;
mod validate;

pub use careful::parse_carefully;
pub use entries::{Entries, EntryRef};
pub use entry::Entry;
pub use error::CatalogError;
pub use excess::MAX_FINDINGS;
pub use finding::{Code, Finding, Severity};
pub use load::load;
pub use parse::{MAX_LINE_BYTES, Parsed, parse};
pub use uri::{Location, UriProblem, locate, staged_name};
pub use validate::{Checks, validate};
