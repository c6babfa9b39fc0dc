//! What a teacher was asked and what it answered: durable before it counts, read back as columns.
//!
//! A [`Journal`] is an append-only file. That a request is about to be sent stands in it before it is sent, and an
//! answer's raw body before it is read; so whatever happens, it is known which requests may have been paid for.
//! [`columns`] decodes bodies of chat completions to Arrow, many at once, on the threads of the process's pool.
//!
//! # Why this shape
//!
//! Answers are paid for one by one and may not be lost by a kill, a full disk or a flipped bit. An append-only file of
//! framed records has the fewest ways to go wrong: a torn tail is cut, a damaged record loses itself alone, and what is
//! durable is never written again. The index that finds an answer is made anew from the file each time it is opened.
//!
//! # What it is not
//!
//! A database: one process writes, and a key has one answer.
//!
//! # Hostile bytes
//!
//! Neither a journal nor a body is trusted. Lengths are checked against the file before memory is taken, every record
//! has its checksum under a secret of its file's own, so that no body passes for a record; and what a body isn't comes back
//! as a reason that doesn't quote it.

#![forbid(unsafe_code)]

mod body;
mod columns;
mod compact;
mod error;
mod frame;
mod header;
mod index;
mod journal;
mod lenient;
mod mend;
mod packing;
mod purge;
mod reader;
pub mod replay;
mod scan;
mod summary;

#[cfg(test)]
mod body_tests;
#[cfg(test)]
mod journal_tests;

pub use columns::{Answer, columns};
pub use error::JournalError;
pub use frame::{KEY_BYTES, Key, Kind, MAX_BODY_BYTES, UnknownKind};
pub use index::{State, Totals};
pub use journal::{Journal, Mode, Settled};
pub use summary::{Summary, summarize};
