//! Does the catalog tell the truth about its shards?
