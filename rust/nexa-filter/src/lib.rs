//! Labels to rows.
