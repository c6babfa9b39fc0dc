//! Shard and source formats to Arrow columns.
