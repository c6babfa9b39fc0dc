//! What is wrong with a line is said with its number, and costs no other line.

use nexa_catalog::{CatalogError, Code, MAX_LINE_BYTES, Severity, load, parse};
use nexa_io::Control;

use crate::written::{Folder, brief, read};

const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn a_full_line_becomes_an_entry_that_keeps_unknown_keys() {
    let line = format!(
        r#"{{"uri":"shards/a.arrow","split":"train","bytes":12,"records":3,"checksum":"{SHA}","tags":["x","y"],"z":1.5}}"#
    );
    let parsed = read(&line);
    assert_eq!(parsed.findings, []);
    let entry = parsed.entries.get(0).unwrap().to_entry();
    assert_eq!(
        (entry.line, entry.uri.as_str(), entry.split.as_deref()),
        (1, "shards/a.arrow", Some("train"))
    );
    assert_eq!((entry.bytes, entry.records), (Some(12), Some(3)));
    assert_eq!(entry.checksum.unwrap().to_string(), SHA);
    assert_eq!(
        (entry.tags.as_slice(), entry.extra["z"].as_f64()),
        (&["x".to_owned(), "y".to_owned()][..], Some(1.5))
    );
    assert_eq!(read(entry.to_json()).entries.to_vec(), [entry]);
}

#[test]
fn every_fault_of_a_line_has_its_code_and_key() {
    for (line, expected) in [
        (r#"{"uri": "a""#, "1 invalid-json -"),
        (r#"{'uri': 'a'}"#, "1 invalid-json -"),
        (r#"{"uri": "a"} {"uri": "b"}"#, "1 invalid-json -"),
        (r#"{"uri": "a", "x": NaN}"#, "1 invalid-json -"),
        (r#"["a"]"#, "1 not-an-object -"),
        (r#""a""#, "1 not-an-object -"),
        ("17", "1 not-an-object -"),
        (r#"{"split": "train"}"#, "1 missing-uri uri"),
        (r#"{"uri": null}"#, "1 missing-uri uri"),
        (r#"{"uri": 3}"#, "1 wrong-type uri"),
        (r#"{"uri": "a", "split": ["train"]}"#, "1 wrong-type split"),
        (r#"{"uri": "a", "bytes": "12"}"#, "1 wrong-type bytes"),
        (r#"{"uri": "a", "records": true}"#, "1 wrong-type records"),
        (r#"{"uri": "a", "checksum": 5}"#, "1 wrong-type checksum"),
        (r#"{"uri": "a", "tags": "x"}"#, "1 wrong-type tags"),
        (r#"{"uri": "a", "tags": ["x", 1]}"#, "1 wrong-type tags"),
        (r#"{"uri": "a", "bytes": -1}"#, "1 negative-number bytes"),
        (r#"{"uri": "a", "records": 1.5}"#, "1 invalid-number records"),
        (r#"{"uri": "a", "records": 18446744073709551616}"#, "1 invalid-number records"),
        (r#"{"uri": "s3://bucket/a"}"#, "1 unknown-scheme uri"),
        (r#"{"uri": "../a"}"#, "1 unsafe-uri uri"),
        (r#"{"uri": ""}"#, "1 unsafe-uri uri"),
        (r#"{"uri": "a/"}"#, "1 unsafe-uri uri"),
        (r#"{"uri": "a", "checksum": "e3b0"}"#, "1 invalid-checksum checksum"),
        (r#"{"uri": "a", "checksum": "sha256:e3b0"}"#, "1 invalid-checksum checksum"),
        (r#"{"uri": "a", "checksum": "md5:e3b0"}"#, "1 unknown-checksum-algorithm checksum"),
        (r#"{"uri": "a", "split": ""}"#, "1 invalid-split split"),
        (r#"{"uri": "a", "split": "my split"}"#, "1 invalid-split split"),
        (r#"{"uri": "a", "uri": "b"}"#, "1 duplicate-key uri"),
    ] {
        let parsed = read(line);
        assert_eq!(brief(&parsed.findings), [expected], "{line}");
        assert!(parsed.entries.is_empty(), "{line}");
        assert!(
            parsed.findings[0].remedy.is_some() && parsed.findings[0].severity == Severity::Error,
            "{line}"
        );
    }
}

#[test]
fn all_faults_of_a_line_are_told_at_once_with_its_uri() {
    let parsed = read(r#"{"uri": "a", "bytes": -1, "records": "x", "checksum": "md5:0"}"#);
    let codes: Vec<_> = parsed.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::NegativeNumber, Code::WrongType, Code::UnknownChecksumAlgorithm]);
    assert!(parsed.findings.iter().all(|finding| finding.shard.as_deref() == Some("a")));
}

#[test]
fn a_bad_line_costs_no_other_and_is_numbered_past_blanks() {
    let parsed = read("{\"uri\":\"a\"}\r\n\r\n   \n{\"uri\":\n{\"uri\":\"b\"}");
    assert_eq!(brief(&parsed.findings), ["4 invalid-json -"]);
    assert_eq!(
        parsed.entries.iter().map(|entry| (entry.line, entry.uri)).collect::<Vec<_>>(),
        [(1, "a"), (5, "b")]
    );
}

#[test]
fn a_byte_order_mark_is_ignored_and_utf16_is_recognised() {
    assert_eq!(read("\u{feff}{\"uri\":\"a\"}\n").entries.len(), 1);
    let utf16: Vec<u8> = "\u{feff}{\"uri\":\"a\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let parsed = read(utf16);
    assert_eq!(brief(&parsed.findings), ["1 invalid-utf8 -"]);
    assert!(parsed.findings[0].remedy.as_deref().unwrap().contains("UTF-16"));
}

#[test]
fn bytes_that_are_not_utf8_are_a_finding_of_their_line() {
    let parsed = read(b"{\"uri\":\"a\"}\n{\"uri\":\"\xff\"}\n{\"uri\":\"b\"}\n");
    assert_eq!((brief(&parsed.findings), parsed.entries.len()), (vec!["2 invalid-utf8 -".to_owned()], 2));
}

#[test]
fn a_line_without_end_is_not_parsed() {
    let line = format!("{{\"uri\":\"{}\"}}", "a".repeat(MAX_LINE_BYTES));
    assert_eq!(brief(&read(format!("{{\"uri\":\"x\"}}\n{line}\n")).findings), ["2 line-too-long -"]);
}

#[test]
fn a_deeply_nested_line_is_a_finding_and_no_overflow() {
    let line = format!("{{\"uri\":\"a\",\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(brief(&read(line).findings), ["1 invalid-json -"]);
}

#[test]
fn likely_misspelt_splits_are_a_warning_and_keep_their_entry() {
    let parsed = read(r#"{"uri": "a", "split": "val"}"#);
    assert_eq!(brief(&parsed.findings), ["1 invalid-split split"]);
    assert_eq!(parsed.findings[0].severity, Severity::Warning);
    assert!(parsed.findings[0].message.contains("\"validation\""));
    assert_eq!(parsed.entries.get(0).unwrap().split, Some("val"));
    assert_eq!(read(r#"{"uri": "a", "split": "calibration-2.b"}"#).findings, []);
}

#[test]
fn uris_that_lead_to_one_shard_are_duplicates_of_the_first() {
    let parsed = read(
        "{\"uri\":\"a//b\"}\n{\"uri\":\"c\"}\n{\"uri\":\"./a/b\"}\n{\"uri\":\"A/b\"}\n{\"uri\":\"x/../a/b\"}\n",
    );
    assert_eq!(brief(&parsed.findings), ["3 duplicate-uri uri", "5 duplicate-uri uri"]);
    assert!(parsed.findings[0].message.contains("line 1"));
    assert_eq!(parsed.entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(
        brief(&read("{\"uri\":\"/a%20b\"}\n{\"uri\":\"file:///a%2520b\"}\n").findings),
        ["2 duplicate-uri uri"]
    );
}

#[test]
fn a_shard_that_another_needs_as_a_folder_is_a_conflict() {
    let parsed = read(
        "{\"uri\":\"x/a/b\"}\n{\"uri\":\"x/a\"}\n{\"uri\":\"x/ab\"}\n{\"uri\":\"x/a/./c\"}\n{\"uri\":\"/x/a/b\"}\n",
    );
    assert_eq!(brief(&parsed.findings), ["1 name-conflict uri", "4 name-conflict uri"]);
    assert!(parsed.findings.iter().all(|finding| finding.message.contains("\"x/a\"")
        && finding.message.contains("line 2")
        && finding.shard.is_some()));
    assert_eq!(parsed.entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [2, 3, 5]);
}

#[test]
fn names_that_no_file_can_have_are_found() {
    let longest = "a".repeat(255);
    let path = format!("{}b", "a/".repeat(2047));
    assert_eq!(read(format!("{{\"uri\":\"x/{longest}\"}}\n{{\"uri\":\"{path}\"}}\n")).findings, []);
    let parsed =
        read(format!("{{\"uri\":\"x/{longest}a/b\"}}\n{{\"uri\":\"a{path}\"}}\n{{\"uri\":\"{path}b\"}}"));
    assert_eq!(
        brief(&parsed.findings),
        ["1 name-too-long uri", "2 name-too-long uri", "3 name-too-long uri"]
    );
    assert!(parsed.findings[0].message.contains("256 bytes"), "{}", parsed.findings[0].message);
}

#[test]
fn null_stands_for_an_absent_key() {
    let parsed = read(r#"{"uri":"a","split":null,"bytes":null,"records":null,"checksum":null,"tags":null}"#);
    assert_eq!((parsed.findings.len(), parsed.entries.get(0).unwrap().bytes), (0, None));
}

#[test]
fn a_catalog_without_entries_is_a_finding() {
    for text in ["", "\n \r\n\n", "\u{feff}"] {
        assert_eq!(brief(&read(text).findings), ["- empty-catalog -"]);
    }
}

#[test]
fn a_catalog_is_loaded_with_the_folder_that_it_lies_in() {
    let folder = Folder::new();
    let path = folder.put("sub/catalog.jsonl", b"{\"uri\":\"a\"}\n");
    let (root, parsed) = load(&path, &Control::default()).unwrap();
    assert_eq!((root, parsed.entries.len()), (folder.root().join("sub"), 1));
    assert_eq!(
        brief(&load(&folder.put("empty.jsonl", b""), &Control::default()).unwrap().1.findings),
        ["- empty-catalog -"]
    );
}

#[test]
fn a_catalog_that_is_not_there_is_a_named_error() {
    let folder = Folder::new();
    let path = folder.root().join("none.jsonl");
    let error = load(&path, &Control::default()).unwrap_err();
    assert!(
        matches!(&error, CatalogError::Missing { .. }) && error.path() == Some(path.as_path()),
        "{error}"
    );
    assert!(error.to_string().contains("none.jsonl: no such catalog"), "{error}");
    assert!(matches!(load(folder.root(), &Control::default()).unwrap_err(), CatalogError::Io { .. }));
}

#[test]
fn a_cancelled_parse_ends_as_cancelled() {
    let control = Control::default();
    control.cancel();
    assert!(matches!(parse(b"{\"uri\":\"a\"}", &control), Err(CatalogError::Cancelled)));
}
