//! Order of an epoch, and rows to batches in reusable aligned buffers.
//!
//! A training step wants the records at positions `k..k+b` of a shuffled epoch, side by side in memory that the
//! accelerator's runtime can read. Three parts do that, and nothing else lives here:
//!
//! - [`Order`]: position → record, a keyed bijection that costs O(1) time and no memory; [`Mixture`] plans an epoch of
//!   several sources, [`Selection`] lists the records that a filter kept;
//! - [`Store`]: record → bytes, columns of fixed width over lazily opened shards;
//! - [`Assembler`]: rows → one buffer a column, at once or ahead of the consumer ([`Ticket`]).
//!
//! It is not a place for formats (see `nexa-records`) nor for Python (see `nexa-python`).

mod assembler;
mod blocks;
mod error;
mod gather;
mod labels;
mod mixed;
mod mixture;
mod order;
mod permutation;
mod selection;
mod shares;
mod store;
mod ticket;

pub use assembler::{Assembler, BatchBuffers, Rows};
pub use error::BatchError;
pub use labels::{Classes, LabelRule, group_by_label, select_by_label};
pub use mixed::MIXTURE_WINDOW;
pub use mixture::{Mixing, Mixture, Stop};
pub use order::{ORDER_VERSION, Order};
pub use selection::Selection;
pub use store::{ShardSpec, Store};
pub use ticket::Ticket;
