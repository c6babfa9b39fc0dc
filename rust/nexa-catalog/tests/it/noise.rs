//! Any bytes at all: findings, never a panic; and what we write, we read.

use nexa_catalog::{Entry, locate, staged_name};
use nexa_io::{Algorithm, Digest, Hasher};
use proptest::prelude::*;
use std::path::Path;

use crate::written::read;

fn digest() -> impl Strategy<Value = Digest> {
    (prop::sample::select(Algorithm::ALL.to_vec()), any::<[u8; 8]>()).prop_map(|(algorithm, bytes)| {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(&bytes);
        hasher.finish()
    })
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_filter("JSON has no NaN", |number| number.is_finite()).prop_map(Into::into),
        ".{0,8}".prop_map(serde_json::Value::from),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(Into::into),
    ]
}

prop_compose! {
    fn entry()(
        uri in "[a-zé \\\\\"'%:?#]{1,12}(/[a-z0-9._-]{0,3}[a-z])?",
        split in prop::option::of("(train|validation|test|own[a-z]{5})"),
        bytes in any::<Option<u64>>(),
        records in any::<Option<u64>>(),
        checksum in prop::option::of(digest()),
        tags in prop::collection::vec(".{0,6}", 0..3),
        extra in prop::collection::btree_map("x_[a-z]{0,4}", value(), 0..3),
    ) -> Entry {
        Entry { line: 1, uri, split, bytes, records, checksum, tags, extra: extra.into_iter().collect() }
    }
}

proptest! {
    #[test]
    fn entries_round_trip(entry in entry()) {
        let parsed = read(entry.to_json());
        prop_assert_eq!(&parsed.findings, &[]);
        prop_assert_eq!(parsed.entries.to_vec(), [entry]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let parsed = read(&bytes);
        prop_assert!(!(parsed.entries.is_empty() && parsed.findings.is_empty()));
    }

    #[test]
    fn nearly_right_lines_never_panic(
        text in "(\\{\"uri\": ?\"[a./%:]{0,9}\"(, ?\"(bytes|tags|split|checksum)\": ?[-\\[\\]0-9\"a-z:.]{0,9})?\\}?\r?\n?){0,5}"
    ) {
        let parsed = read(&text);
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count() as u64;
        prop_assert!(parsed.findings.iter().filter_map(|finding| finding.line).all(|line| (1..=lines).contains(&line)));
    }

    #[test]
    fn no_uri_leads_out_of_its_folder(uri in "[a./%2e\\\\:~ -]{0,14}") {
        if let Ok(name) = staged_name(&uri) {
            prop_assert!(!name.is_empty() && !name.starts_with('/'));
            prop_assert!(name.split('/').all(|part| !matches!(part, "" | "." | "..")), "{}", name);
            // A staged name is its own: staging what was staged changes nothing.
            prop_assert_eq!(staged_name(&name), Ok(name.clone()));
            let location = locate(&uri, Path::new("/r")).unwrap();
            prop_assert_eq!(location.path(), Path::new("/r").join(&name));
        }
    }
}

#[test]
fn the_promises_hold_for_all_that_fuzzing_has_found() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/catalog_parse");
    let inputs: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|input| input.unwrap().path()).collect();
    assert!(inputs.len() > 10, "{inputs:?}");
    for input in inputs {
        nexa_catalog::replay::check(&std::fs::read(input).unwrap());
    }
}
