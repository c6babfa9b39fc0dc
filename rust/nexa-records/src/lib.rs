//! Shard and source formats to Arrow columns.
//!
//! What stands between a file that somebody else wrote and the batch assembly, which wants nothing but the bytes of
//! rows: [`Shard`] opens a file and gives its record batches without copying them
//! ([`Summary`]: its schema and row count, without opening all of it), [`column_spec`] says
//! from the schema alone what a column's rows look like, and [`fixed_column`] gives the bytes of one column of
//! one batch. For lists, text and bytes, [`ragged_spec`] and [`ragged_column`] do the same. [`PlainShard`] says where in
//! the file some rows lie, for who reads them rather than map the file.
//!
//! # Why this shape
//!
//! A file is mapped (or read) once and every uncompressed, aligned column is a view into it, so that opening a
//! shard of any size costs its footer. Formats beside the Arrow IPC file get a file each; they all end in the
//! same [`FixedColumn`] or [`RaggedColumn`].
//!
//! # Hostile bytes
//!
//! A shard's bytes are never trusted. Every offset, length and count is checked against the file before it is
//! used, claims about decompressed sizes are bounded before memory is allocated, and what is wrong comes back as
//! a [`RecordError`] that says which file, batch or column.

#![forbid(unsafe_code)]

mod class_counts;
mod column;
mod element;
mod error;
mod gather;
mod guard;
mod ipc_layout;
mod ipc_message;
mod ipc_stream;
mod moments;
mod plain;
mod plain_layout;
mod ragged;
pub mod replay;
mod schema;
mod shard;
mod sniff;
mod source;
mod spec;
mod summary;
mod write;

pub use arrow_buffer::Buffer;
pub use nexa_io::Access;

pub use class_counts::ClassCounts;
pub use column::{FixedColumn, fixed_column};
pub use element::{Element, UnknownElement};
pub use error::RecordError;
pub use gather::{ShardBound, SplitGather};
pub use moments::{Moments, Number};
pub use plain::{PlainRows, PlainShard, bytes_of};
pub use ragged::{RaggedColumn, RaggedKind, RaggedSpec, ragged_column, ragged_spec};
pub use schema::check_schema;
pub use shard::{Shard, column_index};
pub use source::{
    BadRecord, Compression, Cut, Decode, Decoded, Format, IndexedSample, Infer, Opened, Pieces, ReadOptions,
    Recognised, Scan, Unit, Work, open, recognise, samples,
};
pub use spec::{ColumnSpec, column_spec};
pub use summary::Summary;
pub use write::{WriteColumn, write_batches, write_shard};
