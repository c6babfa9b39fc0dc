//! What rows look like, in one pass.
//!
//! - [`RowStatistics`]: of each column counts, moments, distinct values, and a sample for quantiles and pictures.
//! - [`Duplicates`]: which rows are equal, by [`row_hashes`] of 128 bits, in memory or beyond it on disk.
//!
//! Both take record batches as they pass. Counts, extremes, sketches and samples are the same for any cut into batches and
//! shards and any number of threads; mean and standard deviation within the last digits of a float.
//!
//! What it is not: a judge. It says what is there; what of it is a fault is decided above.

mod cells;
mod column;
mod distinct;
mod duplicates;
mod error;
mod fences;
mod moments;
mod row_hashes;
mod sample;
mod summary;
mod table;

pub use distinct::{COUNTED, SKETCH_ERROR};
pub use duplicates::{Duplicates, Found, Group, Leak, Place};
pub use error::QualityError;
pub use moments::Moments;
pub use row_hashes::{label_keys, row_hashes};
pub use sample::SAMPLE_ROWS;
pub use summary::{ColumnSummary, Histogram, Summary, Value};
pub use table::{EXPANDED, Options, RowStatistics};
