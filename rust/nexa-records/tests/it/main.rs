//! Shards as a stranger would hand them to us: sound, odd, cut, flipped and lying.
#![expect(clippy::unwrap_used, reason = "a set-up that fails should end its test")]

mod columns;
mod damage;
mod lies;
mod ragged;
mod reading;
mod schemas;
mod written;
