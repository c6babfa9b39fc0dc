//! The parse against its naive twin, on lines that are nearly right: both must say the same, to the byte.

use nexa_catalog::{load, parse_carefully};
use nexa_io::Control;
use proptest::prelude::*;

use crate::written::{Folder, read};

/// What a fast path would love to misread, and what it should take.
const VALUES: [&str; 38] = [
    "1",
    "0",
    "-0",
    "-1",
    "00",
    "01",
    "1e3",
    "1E+3",
    "1.0",
    "1.",
    ".5",
    "+1",
    "1e999",
    "9999999999999999999",
    "18446744073709551615",
    "18446744073709551616",
    "10000000000000000000000",
    "null",
    "nul",
    "nulll",
    "true",
    "false",
    "\"\"",
    "\"train\"",
    "\"val\"",
    "\"own\"",
    "\"a\\u0062\"",
    "\"\\ud800\"",
    "\"é\u{80}\u{7f}\"",
    "\"a\tb\"",
    "[]",
    "[ \"x\" , \"y\\n\" ]",
    "[\"x\",]",
    "[1]",
    "{}",
    "{\"uri\":{\"uri\":[{}]}}",
    "\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
    "\"sha256:E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85\u{ef}\"",
];
const KEYS: [&str; 12] =
    ["uri", "split", "bytes", "records", "checksum", "tags", "\\u0075ri", "x", "é", "", "Uri", "a\\\"b"];
const URIS: [&str; 16] = [
    "a",
    "b",
    "a/b",
    "./a",
    "a//b",
    "shards/a.arrow",
    "shards/b.arrow",
    "shards",
    "/a",
    "file:///a",
    "FILE:/b%20c",
    "a/../b",
    "s3://a",
    "a:b",
    "a/",
    "é",
];
const BLANKS: [&str; 6] = ["", "", " ", "\t", "\r", "\u{c}"];

fn any_of(items: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(items)
}

fn pair() -> impl Strategy<Value = String> {
    let blank = || any_of(&BLANKS);
    (any_of(&KEYS), any_of(&VALUES), blank(), blank())
        .prop_map(|(key, value, before, after)| format!("\"{key}\"{before}:{after}{value}"))
}

/// A line with a uri at one place among other pairs; right where the pairs are.
fn line() -> impl Strategy<Value = String> {
    let uri = any_of(&URIS).prop_map(|uri| format!("\"uri\": \"{uri}\""));
    let pairs = (uri, prop::collection::vec(pair(), 0..4), any::<prop::sample::Index>());
    (pairs, any_of(&BLANKS), any_of(&BLANKS)).prop_map(|((uri, mut pairs, at), before, after)| {
        pairs.insert(at.index(pairs.len() + 1), uri);
        format!("{before}{{{}{after}}}{after}", pairs.join(&format!("{after},{before}")))
    })
}

/// The line with some bytes changed, doubled, taken out or cut off.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::sample::select(b"\"\\{}[]:,.-+eE0129/ \t\r\n\0\x1f\x7f\x80\xc3\xff".to_vec());
    let change = (any::<prop::sample::Index>(), odd, 0..5u8);
    (line(), prop::collection::vec(change, 0..3)).prop_map(|(line, changes)| {
        let mut bytes = line.into_bytes();
        for (at, odd, kind) in changes {
            let at = at.index(bytes.len() + 1);
            match kind {
                0 if at < bytes.len() => bytes[at] = odd,
                1 => bytes.insert(at, odd),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => bytes.truncate(at),
                _ => bytes.extend_from_slice(b" x"),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_parse_says_what_its_naive_twin_says(lines in prop::collection::vec(damaged(), 1..6)) {
        let bytes = lines.join(&b'\n');
        prop_assert_eq!(read(&bytes), parse_carefully(&bytes));
    }

    #[test]
    fn sound_lines_too(lines in prop::collection::vec(line(), 1..20)) {
        let bytes = lines.join("\r\n");
        prop_assert_eq!(read(&bytes), parse_carefully(bytes.as_bytes()));
    }
}

#[test]
fn duplicates_and_conflicts_across_chunks_are_those_of_the_twin() {
    let folder = Folder::new();
    let mut text = String::from("\u{feff}");
    for line in 0..15_000u64 {
        // A fixed scramble, so that names meet again after some lines and after many.
        let name = line.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 49;
        text += &match line % 7 {
            0 => format!("{{\"uri\": \"deep/{}/{name}\", \"note\": \"kept\"}}\n", name % 97),
            1 => format!("{{\"uri\": \"./deep//{}\"}}\n", name % 3_000),
            2 => format!("{{\"uri\": \"deep/{}/{name}\\u0061\", \"x\": 1.50}}\n", name % 89),
            3 => format!("{{\"uri\": \"file:///deep/{name}\", \"split\": \"val\"}}\n"),
            _ => format!(
                "{{\"uri\": \"shards/train-{name:07}.arrow\", \"split\": \"train\", \"records\": 4096}}\n"
            ),
        };
    }
    let expected = parse_carefully(text.as_bytes());
    let codes: std::collections::BTreeSet<_> =
        expected.findings.iter().map(|finding| finding.code.as_str()).collect();
    assert!(codes.contains("duplicate-uri") && codes.contains("name-conflict"), "{codes:?}");
    assert_eq!(read(&text), expected);
    let path = folder.put("catalog.jsonl", text.as_bytes());
    assert_eq!(load(&path, &Control::default()).unwrap().1, expected);
}
