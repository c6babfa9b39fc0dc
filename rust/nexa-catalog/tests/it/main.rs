//! Catalogs on real files, each with one thing wrong, and some with nothing.
#![expect(clippy::unwrap_used, reason = "a set-up that fails should end its test")]

mod lines;
mod noise;
mod scale;
mod shards;
mod twin;
mod uris;
mod written;
