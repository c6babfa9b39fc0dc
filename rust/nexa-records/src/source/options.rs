//! What a caller may say about how a file is read.

use std::num::NonZero;

use arrow_schema::SchemaRef;

/// How the types of a format without any are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Infer {
    /// From the first records, this many.
    Records(NonZero<u64>),
    /// From all of them: the file is read twice.
    Whole,
}

/// What a caller may say; every field has a default.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Columns to read, by name and in this order; `None` for all in the file's order.
    pub columns: Option<Vec<String>>,
    /// Columns and types, for formats without (CSV, JSONL, TFRecord): nothing is inferred. A column that a record
    /// lacks is null there; columns that it has beyond these are passed over.
    pub schema: Option<SchemaRef>,
    /// Whether a record that has columns beyond those of `schema` is bad: it was found in other records, and what they
    /// lack would be lost without a word. Without a `schema` it always is.
    pub strict: bool,
    /// Types of some columns; the others' are found. A value that doesn't fit is a bad record, and no doubt of the type.
    pub types: Option<SchemaRef>,
    /// How types are found where `schema` doesn't give them.
    pub infer: Infer,
    /// Rows of a batch, at most; a format may make smaller ones.
    pub batch_rows: usize,
    /// Bytes that a block of a text or record format has, about.
    pub block_bytes: usize,
    /// Bytes that one record may have; longer ones are bad records.
    pub record_bytes: usize,
    /// How many times its own size a compressed file may unpack to.
    pub unpack_ratio: u64,
    /// Separator of a CSV file's fields; `None` recognises comma, tab, semicolon and pipe.
    pub delimiter: Option<u8>,
    /// Whether a CSV file begins with its columns' names.
    pub header: bool,
    /// Texts that stand for a missing value in CSV, unquoted.
    pub nulls: Vec<String>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            columns: None,
            schema: None,
            strict: false,
            types: None,
            infer: Infer::Records(NonZero::new(10_000).unwrap_or(NonZero::<u64>::MIN)),
            batch_rows: 16_384,
            // A block's text and columns stay within the second-level cache of two threads.
            block_bytes: 1 << 20,
            record_bytes: 256 << 20,
            // zstd reaches about 20,000 on zeros, and gzip 1,032 by its format; real records stay below 100.
            unpack_ratio: 2_000,
            delimiter: None,
            header: true,
            nulls: vec![String::new()],
        }
    }
}

impl ReadOptions {
    /// Say whether a record with columns that the schema lacks is bad.
    #[must_use]
    pub const fn refuses_strangers(&self) -> bool {
        self.strict || self.schema.is_none()
    }
}
