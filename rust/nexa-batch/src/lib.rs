//! Order of an epoch, and rows to batches in reusable aligned buffers.
//!
//! A training step wants the records at positions `k..k+b` of a shuffled epoch, side by side in memory that the
//! accelerator's runtime can read. Three parts do that, and nothing else lives here:
//!
//! - [`Order`]: position → record, a keyed bijection that costs O(1) time and no memory;
//! - [`Store`]: record → bytes, columns of fixed width over lazily opened shards;
//! - [`Assembler`]: rows → one buffer a column, at once or ahead of the consumer ([`Ticket`]), with its [`Counters`].
//!
//! It is not a place for formats (see `nexa-records`) nor for Python (see `nexa-python`).

mod assembler;
mod counters;
mod error;
mod gather;
mod order;
mod store;
mod ticket;

pub use assembler::{Assembler, BatchBuffers, Rows};
pub use counters::{Counters, Stats};
pub use error::BatchError;
pub use order::{ORDER_VERSION, Order};
pub use store::{ShardSpec, Store};
pub use ticket::Ticket;
