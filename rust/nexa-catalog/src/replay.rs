//! What holds for every catalog whatever its bytes: run by the fuzz target, and in tests over the inputs it has found.

use nexa_io::Control;

use crate::{Severity, parse, parse_carefully};

/// Parse `bytes` in both ways and hold the results against each other and against themselves.
///
/// # Panics
///
/// Where [`parse`] breaks one of its promises.
pub fn check(bytes: &[u8]) {
    let parsed = parse(bytes, &Control::default()).expect("bytes never end a parse");
    assert_eq!(parsed, parse_carefully(bytes), "the parse says what its naive twin says");
    assert!(!(parsed.entries.is_empty() && parsed.findings.is_empty()), "it says something");
    assert!(parsed.findings.is_sorted_by_key(|finding| finding.line.unwrap_or(u64::MAX)), "in order");
    let written: Vec<String> = parsed.entries.iter().map(|entry| entry.to_entry().to_json()).collect();
    if written.is_empty() {
        return;
    }
    let again = parse(written.join("\n").as_bytes(), &Control::default()).expect("bytes never end a parse");
    let warnings_only = again.findings.iter().all(|finding| finding.severity == Severity::Warning);
    assert!(warnings_only, "what we write is sound: {:?}", again.findings);
    assert_eq!(again.entries.len(), written.len(), "what we write, we read");
    for (before, after) in parsed.entries.iter().zip(again.entries.iter()) {
        let mut after = after.to_entry();
        after.line = before.line;
        assert_eq!(before.to_entry(), after, "what we write, we read");
    }
}
