//! Source formats: a file that somebody's tool wrote, to Arrow record batches in its order.
//!
//! ```text
//! open:  the format's own file in this folder reads what it must (a footer, a sample) and gives the schema,
//!        a cutter (what comes next in the file, by one thread at a time) and a decoder (a unit to batches, by many)
//! scan:  cut → decode → deliver in order, ahead of the consumer by a bounded number of batches
//! ```
//!
//! # Why this shape
//!
//! 1. Formats differ in what can be found without decoding: a row group by its footer, a line's end by looking for it, a
//!    compressed block only after the one before. All of these are a cutter that runs ahead, so that decompression
//!    overlaps decoding, and threads are one mechanism for all formats.
//! 2. A unit decodes piece by piece: a row group of a gigabyte is not in memory at once, and no thread waits in the
//!    pool for a slow consumer.
//! 3. A record that can't be decoded is a value ([`BadRecord`]) beside the good ones: whether it ends the run, is skipped
//!    or put aside is the caller's decision, and the numbers of the records around it stay what they are in the file.

mod chunks;
mod csv;
mod format;
mod framed;
mod growing;
mod gzip;
mod ipc;
mod jsonl;
mod mds;
mod npy;
mod numbers;
mod open;
mod options;
mod parquet;
mod project;
mod rows;
mod scan;
mod text;
mod tfrecord;
mod unit;
mod unpack;
mod value_column;
mod webdataset;
mod width;

pub use format::{Compression, Format, Recognised, recognise};
pub use open::{Opened, open};
pub use options::{Infer, ReadOptions};
pub use scan::Scan;
pub use unit::{BadRecord, Cut, Decode, Decoded, Pieces, Unit, Work};
pub use webdataset::{IndexedSample, samples};
