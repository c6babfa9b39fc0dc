//! Order of an epoch, and rows to batches in reusable aligned buffers.
//!
//! A training step wants the records at positions `k..k+b` of a shuffled epoch, side by side in memory that the
//! accelerator's runtime can read. Three parts do that, and nothing else lives here:
//!
//! - [`Order`]: position → record, a keyed bijection that costs O(1) time and no memory;
//! - [`Store`]: record → bytes, columns over lazily opened shards;
//! - [`Assembler`]: rows → one buffer a column, at once or ahead of the consumer ([`Ticket`]); [`Form`] says what a
//!   column becomes on the way, [`PackedEpoch`] packs sequences into rows of one length.
//!
//! It is not a place for formats (see `nexa-records`) nor for Python (see `nexa-python`).

mod assembler;
mod borrow;
mod convert;
mod error;
mod form;
mod gather;
mod order;
mod pack;
mod packed;
mod ragged;
mod specs;
mod store;
mod ticket;

pub use assembler::{Assembler, BatchBuffers, Memory, Rows};
pub use convert::{Conversion, Target};
pub use error::BatchError;
pub use form::{FixedPlan, Form, Forms};
pub use order::{ORDER_VERSION, Order};
pub use pack::PACK_VERSION;
pub use packed::{PackedEpoch, Packing};
pub use ragged::{Padding, RaggedBatch, RaggedPlan};
pub use store::{ShardSpec, Store};
pub use ticket::Ticket;
