//! What can go wrong between an index and a batch.

use std::path::PathBuf;
use std::sync::Arc;

use nexa_io::IoError;
use nexa_records::RecordError;

/// A batch that can't be assembled.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// A shard could not be read.
    #[error(transparent)]
    Shard(#[from] RecordError),
    /// Memory for the batch, or a thread to assemble it on, could not be had.
    #[error(transparent)]
    Machine(#[from] IoError),
    /// A record number beyond the last record.
    #[error("record {index} is out of range: the split has {len} records")]
    OutOfRange {
        /// The record asked for.
        index: u64,
        /// Records that there are.
        len: u64,
    },
    /// Shards of one split disagree about a column.
    #[error("{}: column '{column}' is {found}, but {expected} in the first shard; write the shards anew from one source", path.display())]
    Disagreement {
        /// The shard that differs.
        path: PathBuf,
        /// The column.
        column: String,
        /// What the first shard has.
        expected: String,
        /// What this shard has.
        found: String,
    },
    /// A column's numbers can't become what was asked for.
    #[error("column '{column}' is {from} and can't become {to}: {detail}; change data.batch.convert")]
    Conversion {
        /// The column.
        column: String,
        /// Its type in the shards.
        from: &'static str,
        /// The type that was asked for.
        to: &'static str,
        /// Why it doesn't go.
        detail: String,
    },
    /// A column's kind doesn't have the form that was asked for.
    #[error("column '{column}': {detail}; change data.batch")]
    Form {
        /// The column.
        column: String,
        /// Why it doesn't go.
        detail: String,
    },
    /// A row is longer than the largest width to pad to.
    #[error(
        "record {record}: column '{column}' has {items} items, and is padded to {most} at most; raise \
         data.batch.ragged.{column}.to, or set truncate"
    )]
    TooLong {
        /// The column.
        column: String,
        /// The record's number in the split.
        record: u64,
        /// Its items.
        items: usize,
        /// The largest width.
        most: usize,
    },
    /// A mixture that can't be planned.
    #[error("the mixture can't be planned: {detail}")]
    Mixture {
        /// What is impossible.
        detail: String,
    },
    /// Records are to be told apart by a label that isn't a class.
    #[error("{}: column '{column}' is {found}, but filters and classes want one integer a record", path.display())]
    NotClasses {
        /// The shard.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it has.
        found: String,
    },
    /// The split's records or a batch's bytes don't fit into this machine's integers.
    #[error("{what} is too large for this machine")]
    TooLarge {
        /// What is too large.
        what: &'static str,
    },
    /// What several batches need could not be read.
    #[error(transparent)]
    Shared(Arc<Self>),
    /// The thread that assembled the batch panicked.
    #[error("assembling a batch failed inside the library: {detail}; please report it")]
    Panicked {
        /// The panic's message.
        detail: String,
    },
}
