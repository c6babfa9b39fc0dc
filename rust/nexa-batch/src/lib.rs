//! Order of an epoch; rows to batches.
