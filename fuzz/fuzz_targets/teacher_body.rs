//! Any bytes as an answer's body: a completion, or a reason that doesn't quote it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nexa_teacher::replay::check_body(bytes));
