//! Labels to rows: which records carry an allowed label.
//!
//! A filter is a [`LabelSet`] built once from the allowed labels, asked for millions of rows. It answers with row
//! numbers ([`LabelSet::select`]) for the crate that gathers rows, with booleans ([`LabelSet::mask`]) for who combines
//! filters, or with a number ([`LabelSet::count`]) for who plans. A [`RowMask`] is the answer for a column of any type, a bit a
//! row, and takes the rows that pass out of other columns, on several threads.
//!
//! What it is not: a query engine. One column of labels, one set, in memory.

mod bits;
mod compress;
mod hash;
mod label_set;
mod membership;
mod row_mask;
mod stream;
mod take;

pub use label_set::LabelSet;
pub use membership::{LabelType, float_key};
pub use row_mask::RowMask;
pub use take::{Column, copy_rows};
