//! Any bytes as JSON lines: what is read is what other readers read, whatever the blocks and threads.
#![no_main]

#[path = "../../rust/nexa-records/tests/oracle/mod.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oracle::jsonl(bytes));
