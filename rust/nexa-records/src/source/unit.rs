//! What passes between a format's cutter, its decoder and the scan.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use nexa_io::PooledBuf;

use crate::RecordError;

/// The next part of a file, cut off but not yet decoded.
#[derive(Debug)]
pub struct Unit {
    /// Where it begins in the file; in a compressed one, in what it unpacks to.
    pub offset: u64,
    /// What is to be decoded.
    pub work: Work,
}

/// What a unit consists of.
#[derive(Debug)]
pub enum Work {
    /// Whole records as they lie in the file.
    Bytes(PooledBuf),
    /// A part that the decoder finds by its number: a row group, a record batch, a run of rows.
    Part(u64),
    /// Records that the cutter could not get at; nothing is decoded.
    Lost(BadRecord),
}

/// A record, or a run of them, that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Its number: within the piece where a decoder gives it, within the file where a scan does; from 0, bad ones
    /// counted.
    pub record: u64,
    /// How many records are lost: 1, or the rows of a damaged block; 0 where nobody can know.
    pub records: u64,
    /// Where it begins in the file (unpacked), if the format has a place for each record.
    pub offset: Option<u64>,
    /// The column that is wrong, if it is one.
    pub column: Option<String>,
    /// What is wrong, as the end of a sentence.
    pub reason: String,
    /// Its bytes as they lie in the file, or their beginning where they are many.
    pub raw: Vec<u8>,
}

/// Records in their order, and those between them that could not be decoded.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The good records.
    pub batch: RecordBatch,
    /// The bad ones, ascending.
    pub bad: Vec<BadRecord>,
}

impl Decoded {
    /// Good records only.
    #[must_use]
    pub const fn good(batch: RecordBatch) -> Self {
        Self { batch, bad: Vec::new() }
    }

    /// Bad records only.
    #[must_use]
    pub fn lost(schema: SchemaRef, bad: BadRecord) -> Self {
        Self { batch: RecordBatch::new_empty(schema), bad: vec![bad] }
    }

    /// Return how many records it accounts for, good and bad.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.batch.num_rows() as u64 + self.bad.iter().map(|bad| bad.records).sum::<u64>()
    }
}

/// The pieces of one unit, in order; decoding happens as they are asked for.
pub type Pieces = Box<dyn Iterator<Item = Result<Decoded, RecordError>> + Send>;

/// Cuts a file into units, from its beginning to its end.
pub trait Cut: Send {
    /// Cut off the next unit; `None` at the end.
    ///
    /// # Errors
    /// What makes the rest of the file unreadable and is not a [`BadRecord`]: the disk, or memory.
    fn next(&mut self) -> Result<Option<Unit>, RecordError>;
}

/// Decodes units, several at a time.
pub trait Decode: Send + Sync {
    /// Decode a unit; [`Work::Lost`] never comes here.
    ///
    /// # Errors
    /// What no other unit can be spared: the disk, memory, a file that is not what it was.
    fn decode(&self, unit: Unit) -> Result<Pieces, RecordError>;
}

/// Cuts a file whose parts are known by their number.
pub(super) struct Numbers(std::ops::Range<u64>);

impl Numbers {
    /// Cut the parts 0 to `end`.
    pub(super) const fn below(end: u64) -> Self {
        Self(0..end)
    }
}

impl Cut for Numbers {
    fn next(&mut self) -> Result<Option<Unit>, RecordError> {
        Ok(self.0.next().map(|part| Unit { offset: 0, work: Work::Part(part) }))
    }
}
