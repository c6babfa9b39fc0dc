//! Large catalogs: each line is found, in order, within bounded memory.

use std::fmt::Write;

use nexa_catalog::{Code, Entry, MAX_FINDINGS, Severity};

use crate::written::{ALL, Folder, brief, read};

fn catalog(lines: u64, bad: impl Fn(u64) -> bool) -> String {
    let mut text = String::new();
    for line in 1..=lines {
        if bad(line) {
            text.push_str("{\"uri\": 17}\n");
        } else {
            writeln!(
                text,
                "{{\"uri\": \"shards/train-{line:06}.arrow\", \"split\": \"train\", \"records\": {line}}}"
            )
            .unwrap();
        }
    }
    text
}

fn one_bad_line_is_found(lines: u64, bad: u64) {
    let parsed = read(catalog(lines, |line| line == bad));
    assert_eq!(brief(&parsed.findings), [format!("{bad} wrong-type uri")]);
    assert_eq!(parsed.entries.len() as u64, lines - 1);
    assert!(parsed.entries.iter().all(|entry| entry.records == Some(entry.line)));
}

#[test]
fn one_bad_line_among_a_hundred_thousand_is_found_and_all_others_are_read() {
    one_bad_line_is_found(100_000, 76_543);
}

#[test]
#[ignore = "takes seconds without optimisation; `make test-slow` runs it"]
fn one_bad_line_among_a_million_is_found_and_all_others_are_read() {
    one_bad_line_is_found(1_000_000, 765_432);
}

#[test]
fn findings_and_entries_are_the_same_each_time_and_in_order() {
    let text = catalog(20_000, |line| line % 37 == 0);
    let first = read(&text);
    // Against what one thread would find, line by line, and not only against another run of the same pool.
    let (bad, good): (Vec<u64>, Vec<u64>) = (1..=20_000).partition(|line| line % 37 == 0);
    let expected: Vec<_> = bad.iter().map(|line| format!("{line} wrong-type uri")).collect();
    assert_eq!(brief(&first.findings), expected);
    assert_eq!(first.entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), good);
    for _ in 0..3 {
        assert_eq!(read(&text), first);
    }
}

#[test]
fn shard_findings_are_in_the_order_of_lines_each_time() {
    let folder = Folder::new();
    let entries: Vec<Entry> =
        (1..=500).map(|line| Entry { line, ..Entry::new(format!("gone-{line}")) }).collect();
    let first = folder.check(&entries, &ALL);
    assert_eq!(
        first.iter().map(|finding| finding.line).collect::<Vec<_>>(),
        (1..=500).map(Some).collect::<Vec<_>>()
    );
    assert_eq!(folder.check(&entries, &ALL), first);
}

#[test]
fn beyond_the_limit_findings_are_counted_and_entries_still_read() {
    let bad = MAX_FINDINGS as u64 + 500;
    let parsed = read(catalog(bad + 10, |line| line <= bad));
    assert_eq!((parsed.findings.len(), parsed.entries.len()), (MAX_FINDINGS + 1, 10));
    let last = parsed.findings.last().unwrap();
    assert_eq!((last.code, last.severity), (Code::TooManyFindings, Severity::Error));
    assert!(last.message.contains("500 more"), "{}", last.message);
}

#[test]
fn more_warnings_than_the_limit_stay_warnings() {
    let mut text = String::new();
    for line in 0..MAX_FINDINGS + 1 {
        writeln!(text, "{{\"uri\":\"{line}\",\"split\":\"val\"}}").unwrap();
    }
    let parsed = read(text);
    assert_eq!(parsed.entries.len(), MAX_FINDINGS + 1);
    assert!(parsed.findings.iter().all(|finding| finding.severity == Severity::Warning));
}
