//! Order of an epoch, and rows to batches in reusable aligned buffers.
//!
//! A training step wants the records at positions `k..k+b` of a shuffled epoch, side by side in memory that the
//! accelerator's runtime can read. Three parts do that, and nothing else lives here:
//!
//! - [`Order`]: position → record, a keyed bijection that costs O(1) time and no memory; [`Mixture`] plans an epoch of
//!   several sources, [`Selection`] lists the records that a filter kept;
//! - [`Store`]: record → bytes, columns over lazily opened shards;
//! - [`Assembler`]: rows → one buffer a column, at once or ahead of the consumer ([`Ticket`]), with its [`Counters`];
//!   [`Form`] says what a column becomes on the way, [`Packer`] packs sequences into rows of one length.
//! - windows: the blocks of an order by blocks, read past the page cache ahead of the batches that need them
//!   ([`Assembler::reading_directly`]).
//!
//! It is not a place for formats (see `nexa-records`) nor for Python (see `nexa-python`).

mod assembler;
mod blocks;
mod borrow;
mod convert;
mod convert_loops;
mod counters;
mod crew;
mod error;
mod form;
mod gather;
mod labels;
mod lanes;
mod lengths;
mod many;
mod mixed;
mod mixture;
mod order;
mod pack;
mod packed;
mod packed_rows;
mod permutation;
mod ragged;
mod reading;
mod selection;
mod shares;
mod specs;
mod store;
mod ticket;
mod window;
mod windowed;
mod windows;

pub use assembler::{Assembler, BatchBuffers, DirectStats, Memory, Rows};
pub use convert::{Conversion, Target};
pub use counters::{Counters, Stats};
pub use error::BatchError;
pub use form::{FixedPlan, Form, Forms};
pub use labels::{Classes, LabelRule, group_by_label, select_by_label};
pub use mixed::MIXTURE_WINDOW;
pub use mixture::{Mixing, Mixture, Stop};
pub use order::{ORDER_VERSION, Order};
pub use pack::PACK_VERSION;
pub use packed::{PackedEpoch, Packer, Packing};
pub use ragged::{Padding, RaggedBatch, RaggedPlan};
pub use selection::Selection;
pub use store::{ShardSpec, Store};
pub use ticket::Ticket;
