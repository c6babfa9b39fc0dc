//! Any bytes as a file of its format: blocks and threads make no difference, and what comes out is bounded.
//!
//! The library beneath panics over some files, and the reader catches that: only a panic that comes through counts.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| ())),
    |bytes: &[u8]| nexa_records::replay::check_bytes(bytes, "parquet")
);
