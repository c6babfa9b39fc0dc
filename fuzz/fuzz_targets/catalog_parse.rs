//! Any bytes as a catalog: the parse holds what it promises, above all to its naive twin.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nexa_catalog::replay::check(bytes));
