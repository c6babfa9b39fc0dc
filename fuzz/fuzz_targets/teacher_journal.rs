//! Any sequence of records, sound and damaged, as a journal: what is sound is kept, and what is appended is there.
#![no_main]

use std::sync::LazyLock;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("there is a temporary folder"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nexa_teacher::replay::check_script(bytes, FOLDER.path()));
