//! Labels to rows: which records carry an allowed label.
//!
//! A filter is a [`LabelSet`] built once from the allowed labels, asked for millions of rows. It answers with row
//! numbers ([`LabelSet::select`]) for the crate that gathers rows, with booleans ([`LabelSet::mask`]) for who combines
//! filters, or with a number ([`LabelSet::count`]) for who plans.
//!
//! What it is not: a query engine. One integer column, one set, in memory.

mod hash;
mod label_set;

pub use label_set::LabelSet;
