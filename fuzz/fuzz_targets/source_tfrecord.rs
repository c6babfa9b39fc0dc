//! Any bytes as a file of its format: blocks and threads make no difference, and what comes out is bounded.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nexa_records::replay::check_bytes(bytes, "tfrecord"));
