//! What the catalog says of its shards is held against the files.

use std::fs;
use std::os::unix::fs::symlink;

use nexa_catalog::{CatalogError, Checks, Code, Entry, Severity, validate};
use nexa_io::Control;

use crate::written::{ALL, Folder, IN_PLACE, brief};

#[test]
fn a_true_catalog_has_no_findings() {
    let folder = Folder::new();
    let entries = [folder.shard(1, "shards/a.arrow", 10), folder.shard(2, "shards/b.arrow", 3)];
    assert_eq!(folder.check(&entries, &ALL), []);
}

#[test]
fn a_shard_that_is_not_there_is_critical() {
    let folder = Folder::new();
    folder.put("file", b"x");
    symlink("nowhere", folder.root().join("dangling")).unwrap();
    let entries: Vec<_> = ["gone.arrow", "file/below", "dangling"].map(Entry::new).into();
    let findings = folder.check(&entries, &ALL);
    assert!(
        findings
            .iter()
            .all(|finding| finding.code == Code::MissingShard && finding.severity == Severity::Critical)
    );
    assert_eq!(findings.len(), 3);
    assert!(findings[2].message.contains("link to nothing"), "{}", findings[2].message);
}

#[test]
fn folders_and_pipes_are_no_shards_and_do_not_block() {
    let folder = Folder::new();
    fs::create_dir(folder.root().join("dir.arrow")).unwrap();
    symlink("/dev/zero", folder.root().join("zero.arrow")).unwrap();
    let entries: Vec<_> = ["dir.arrow", "zero.arrow"].map(Entry::new).into();
    assert_eq!(brief(&folder.check(&entries, &ALL)), ["0 not-a-file uri", "0 not-a-file uri"]);
}

#[test]
fn wrong_numbers_are_each_found_with_both_values() {
    let folder = Folder::new();
    let mut entry = folder.shard(3, "a.arrow", 10);
    let size = entry.bytes.unwrap();
    entry.bytes = Some(size + 1);
    entry.records = Some(11);
    entry.checksum = folder.shard(1, "b.arrow", 9).checksum;
    let findings = folder.check(&[entry], &ALL);
    assert_eq!(
        brief(&findings),
        ["3 wrong-size bytes", "3 wrong-records records", "3 wrong-checksum checksum"]
    );
    assert!(
        findings[0].message.contains(&size.to_string())
            && findings[0].message.contains(&(size + 1).to_string())
    );
    assert!(findings[1].message.contains("10 records") && findings[1].message.contains("11"));
    assert!(findings.iter().all(|finding| finding.shard.as_deref() == Some("a.arrow")));
}

#[test]
fn a_flipped_byte_is_found_by_content_and_by_nothing_cheaper() {
    let folder = Folder::new();
    let entry = folder.shard(1, "a.arrow", 100);
    let path = folder.root().join("a.arrow");
    let mut bytes = fs::read(&path).unwrap();
    // The middle of such a shard is its labels.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let entries = [entry];
    assert_eq!(folder.check(&entries, &Checks { content: false, ..ALL }), []);
    assert_eq!(brief(&folder.check(&entries, &ALL)), ["1 wrong-checksum checksum"]);
}

#[test]
fn a_shard_that_is_not_what_its_name_says_is_unreadable() {
    let folder = Folder::new();
    folder.put("a.arrow", b"PAR1 and so on PAR1");
    folder.put("b.feather", b"");
    let whole = fs::read(folder.root().join({
        folder.shard(0, "c", 5);
        "c"
    }))
    .unwrap();
    folder.put("c", &whole[..whole.len() - 3]);
    folder.put("d.parquet", b"PAR1 and so on PAR1");
    let entries: Vec<_> = ["a.arrow", "b.feather", "c", "d.parquet"]
        .iter()
        .zip(1..)
        .map(|(uri, line)| Entry { line, records: Some(1), ..Entry::new(*uri) })
        .collect();
    let findings = folder.check(&entries, &ALL);
    assert_eq!(
        brief(&findings),
        ["1 unreadable-shard uri", "2 unreadable-shard uri", "3 unreadable-shard uri"]
    );
    assert!(findings[0].message.contains("Parquet"), "{}", findings[0].message);
}

#[test]
fn shards_must_have_the_columns_of_the_first_readable_one() {
    let folder = Folder::new();
    folder.put("bad.arrow", b"");
    let entries = [
        Entry { line: 1, ..Entry::new("bad.arrow") },
        folder.shard(2, "a.arrow", 1),
        folder.odd_shard(3, "b.arrow", 1),
        folder.shard(4, "c.arrow", 0),
    ];
    let findings = folder.check(&entries, &ALL);
    assert_eq!(brief(&findings), ["1 unreadable-shard uri", "3 schema-mismatch label"]);
    assert!(findings[1].message.contains("float32, in a.arrow it is int64"), "{}", findings[1].message);
}

#[test]
fn absolute_uris_warn_in_place_and_fail_for_staging() {
    let folder = Folder::new();
    folder.shard(1, "a.arrow", 1);
    let path = folder.root().join("a.arrow");
    let entries = [Entry { line: 1, ..Entry::new(path.to_str().unwrap()) }];
    let in_place = folder.check(&entries, &IN_PLACE);
    assert_eq!(
        (brief(&in_place), in_place[0].severity),
        (vec!["1 unsafe-uri uri".to_owned()], Severity::Warning)
    );
    let staging = folder.check(&entries, &ALL);
    assert_eq!(
        (brief(&staging), staging[0].severity),
        (vec!["1 unsafe-uri uri".to_owned()], Severity::Error)
    );
}

#[test]
fn climbing_within_the_folder_is_read_in_place_and_fails_for_staging() {
    let folder = Folder::new();
    folder.shard(1, "a.arrow", 1);
    let entries = [Entry { line: 1, ..Entry::new("x/../a.arrow") }];
    assert_eq!(folder.check(&entries, &IN_PLACE), []);
    assert_eq!(brief(&folder.check(&entries, &ALL)), ["1 unsafe-uri uri"]);
    let out = [Entry { line: 1, ..Entry::new("../a.arrow") }];
    assert_eq!(folder.check(&out, &IN_PLACE)[0].severity, Severity::Error);
}

#[test]
fn links_out_of_the_folder_are_found_and_links_within_are_not() {
    let folder = Folder::new();
    let other = Folder::new();
    other.shard(1, "far.arrow", 1);
    folder.shard(1, "blobs/near.arrow", 1);
    symlink("blobs/near.arrow", folder.root().join("near.arrow")).unwrap();
    symlink(other.root().join("far.arrow"), folder.root().join("far.arrow")).unwrap();
    symlink(other.root(), folder.root().join("dir")).unwrap();
    let entries: Vec<_> = ["near.arrow", "far.arrow", "dir/far.arrow"]
        .iter()
        .zip(1..)
        .map(|(uri, line)| Entry { line, ..Entry::new(*uri) })
        .collect();
    let staging = folder.check(&entries, &ALL);
    assert_eq!(brief(&staging), ["2 unsafe-symlink uri", "3 unsafe-symlink uri"]);
    assert_eq!(staging[0].severity, Severity::Error);
    assert_eq!(folder.check(&entries, &IN_PLACE)[0].severity, Severity::Warning);
}

#[test]
fn a_folder_that_is_a_link_within_the_folder_is_followed_and_its_shards_are_measured() {
    let folder = Folder::new();
    let true_entry = folder.shard(1, "blobs/a.arrow", 1);
    folder.shard(1, "blobs/deep/b.arrow", 1);
    symlink("blobs", folder.root().join("linked")).unwrap();
    let entries = [
        Entry { line: 1, uri: "linked/a.arrow".to_owned(), ..true_entry.clone() },
        Entry { line: 2, bytes: Some(1), ..Entry::new("linked/deep/b.arrow") },
        Entry { line: 3, ..Entry::new("linked/deep") },
        Entry { line: 4, ..true_entry },
    ];
    assert_eq!(brief(&folder.check(&entries, &ALL)), ["2 wrong-size bytes", "3 not-a-file uri"]);
}

#[test]
fn an_absolute_and_a_relative_uri_of_one_file_are_duplicates() {
    let folder = Folder::new();
    let first = folder.shard(1, "a.arrow", 1);
    let path = folder.root().join("a.arrow");
    let entries = [first, Entry { line: 2, ..Entry::new(path.to_str().unwrap()) }];
    assert_eq!(brief(&folder.check(&entries, &IN_PLACE)), ["2 unsafe-uri uri", "2 duplicate-uri uri"]);
}

#[test]
fn checks_that_are_off_find_nothing() {
    let folder = Folder::new();
    let none = Checks { shards: false, footers: false, content: false, for_staging: false };
    assert_eq!(folder.check(&[Entry::new("gone.arrow")], &none), []);
}

#[test]
fn a_cancelled_check_ends_as_cancelled() {
    let folder = Folder::new();
    let control = Control::default();
    control.cancel();
    let entries = [folder.shard(1, "a.arrow", 1)].into_iter().collect();
    let result = validate(folder.root(), &entries, &ALL, &control);
    assert!(matches!(result, Err(CatalogError::Cancelled)));
}

#[test]
fn a_missing_root_is_a_finding_a_shard() {
    let folder = Folder::new();
    let gone = folder.root().join("gone");
    let findings =
        validate(&gone, &["a", "b"].map(Entry::new).into_iter().collect(), &ALL, &Control::default())
            .unwrap();
    assert_eq!(brief(&findings), ["0 missing-shard uri", "0 missing-shard uri"]);
}
