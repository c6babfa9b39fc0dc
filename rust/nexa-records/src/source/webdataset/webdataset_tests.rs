//! Archives of the formats' own tools and of an encoder of the tests' own, and what lies in them.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;

use super::*;
use crate::replay::{Said, check, everything};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/sources").join(name)
}

/// Write a header with its sum, as POSIX lays it out.
fn header(name: &str, size: &[u8], kind: u8) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..124 + size.len()].copy_from_slice(size);
    header[156] = kind;
    header[257..263].copy_from_slice(b"ustar\0");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

fn file_of(name: &str, data: &[u8], kind: u8) -> Vec<u8> {
    let mut file = header(name, format!("{:011o}", data.len()).as_bytes(), kind);
    file.extend(data);
    file.resize(file.len().next_multiple_of(512), 0);
    file
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar: Vec<u8> = members.iter().flat_map(|(name, data)| file_of(name, data, b'0')).collect();
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn said(bytes: &[u8], options: &ReadOptions) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    std::fs::write(&path, bytes).unwrap();
    check(&path, Format::Webdataset);
    everything(&path, Format::Webdataset, options, 2)
}

fn keys(batch: &RecordBatch) -> Vec<String> {
    let keys = batch.column_by_name("__key__").unwrap().as_string::<i32>();
    keys.iter().map(|key| key.unwrap().to_owned()).collect()
}

#[test]
fn archives_of_the_formats_own_writer_are_read() {
    check(&golden("a.tar"), Format::Webdataset);
    let said = everything(&golden("a.tar"), Format::Webdataset, &ReadOptions::default(), 2);
    assert_eq!((&said.bad, &said.error), (&vec![], &None));
    let batch = said.batch.unwrap();
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let long = format!("folder/{}", "long".repeat(40));
    assert_eq!(keys(&batch), [&long, "folder/0001", "folder/0002", "folder/0003", "folder/0004"]);
    for row in 0..5usize {
        assert_eq!(column("txt").as_string::<i32>().value(row), format!("text é {row}"));
        assert_eq!(column("cls").as_primitive::<Int64Type>().value(row), i64::try_from(row).unwrap());
        assert_eq!(column("seg.png").as_binary::<i32>().value(row), [row as u8]);
        let tensor = column("npy").as_fixed_size_list().value(row);
        assert_eq!(tensor.as_primitive::<Float32Type>().values().to_vec(), vec![row as f32; 6]);
    }
    let spec = crate::column_spec(batch.schema().field_with_name("npy").unwrap(), "a".as_ref()).unwrap();
    assert_eq!(spec.row_shape, [2, 3]);
}

#[test]
fn pax_names_are_read() {
    let batch = everything(&golden("pax.tar"), Format::Webdataset, &ReadOptions::default(), 1).batch.unwrap();
    let expected: Vec<_> = (0..5).map(|row| format!("é{row}{}", "x".repeat(120))).collect();
    assert_eq!(keys(&batch), expected);
    assert_eq!(batch.column_by_name("bin").unwrap().as_binary::<i32>().value(3), b"zzz");
}

#[test]
fn an_index_says_where_members_lie() {
    let (index, bad) = crate::samples(&golden("a.tar"), &ReadOptions::default()).unwrap();
    let file = std::fs::read(golden("a.tar")).unwrap();
    assert_eq!((index.len(), bad.len()), (5, 0));
    let (_, at, bytes) = index[3].members.iter().find(|member| member.0 == "txt").unwrap();
    assert_eq!(&file[*at as usize..(*at + *bytes) as usize], "text é 3".as_bytes());
}

proptest! {
    #[test]
    fn what_was_written_is_read(rows in prop::collection::vec(any::<Vec<u8>>(), 1..20)) {
        let names: Vec<_> = (0..rows.len()).map(|row| format!("a.b/{row}.BIN")).collect();
        let members: Vec<_> = names.iter().zip(&rows).map(|(name, data)| (name.as_str(), &data[..])).collect();
        let batch = said(&tar(&members), &ReadOptions::default()).batch.unwrap();
        let column = batch.column_by_name("bin").unwrap().as_binary::<i32>();
        prop_assert_eq!(column.iter().map(|data| data.unwrap().to_vec()).collect::<Vec<_>>(), rows);
    }

    #[test]
    fn no_damage_is_a_panic(at in 0usize..6000, value in any::<u8>(), keep in 0usize..6000) {
        let mut file = std::fs::read(golden("pax.tar")).unwrap();
        file[at] = value;
        let _ = said(&file[..6000], &ReadOptions::default());
        let _ = said(&file[..keep], &ReadOptions::default());
    }
}

#[test]
fn what_belongs_to_no_sample_is_passed_over() {
    let mut file = file_of("dir.d/", b"", b'5');
    file.extend(file_of("a.txt", b"1", b'0'));
    file.extend(file_of("nodot", b"x", b'0'));
    file.extend(file_of("__meta__", b"x", b'0'));
    file.extend(file_of("link.txt", b"", b'2'));
    file.extend(file_of("a.cls", b" 7\n", b'0'));
    file.extend(file_of("dir/.txt", b"2", b'0'));
    let batch = said(&file, &ReadOptions::default()).batch.unwrap();
    assert_eq!(keys(&batch), ["a", "dir/"]);
    let classes = batch.column_by_name("cls").unwrap().as_primitive::<Int64Type>();
    assert_eq!((classes.value(0), classes.is_null(1)), (7, true));
}

#[test]
fn a_sample_with_a_name_twice_or_a_wrong_value_is_a_bad_record() {
    let file = tar(&[("a.cls", b"1"), ("b.cls", b"2"), ("b.CLS", b"3"), ("c.cls", b"no"), ("d.cls", b"4")]);
    let said = said(&file, &ReadOptions::default());
    assert_eq!(keys(&said.batch.unwrap()), ["a", "d"]);
    let places: Vec<_> = said.bad.iter().map(|bad| (bad.record, bad.offset, bad.column.as_deref())).collect();
    assert_eq!(places, [(1, Some(1024), Some("cls")), (2, Some(3072), Some("cls"))]);
}

#[test]
fn a_cut_archive_gives_the_samples_before_and_says_so() {
    let file = tar(&[("a.txt", b"1"), ("b.txt", b"2"), ("c.txt", b"3")]);
    let tolerated = said(&file[..3 * 1024 - 500], &ReadOptions::default());
    assert_eq!((keys(&tolerated.batch.unwrap()).len(), tolerated.bad.len()), (3, 0));
    let cut = said(&file[..2 * 1024 + 512], &ReadOptions::default());
    assert_eq!(keys(&cut.batch.unwrap()), ["a", "b"]);
    assert_eq!((cut.bad[0].record, cut.bad[0].records, cut.bad[0].offset), (2, 0, Some(2048)));
}

#[test]
fn damage_and_what_is_sparse_lose_the_rest_with_a_reason() {
    let good = file_of("a.txt", b"1", b'0');
    let mut damaged = file_of("b.txt", b"2", b'0');
    damaged[0] ^= 1;
    let sparse = file_of("b.txt", b"2", b'S');
    let claim = header("b.txt", b"77777777777", b'0');
    let binary = header("b.txt", &[0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255], b'0');
    for (behind, says) in
        [(damaged, "checksum"), (sparse, "sparse"), (claim, "cut short"), (binary, "cut short")]
    {
        let said = said(&[good.clone(), behind].concat(), &ReadOptions::default());
        assert_eq!(keys(&said.batch.unwrap()), ["a"]);
        assert!(said.bad.iter().any(|bad| bad.reason.contains(says)), "{says}: {:?}", said.bad);
    }
}

#[test]
fn an_extension_of_no_member_is_said_once_and_ends_the_reading() {
    for kind in [b'g', b'x', b'L'] {
        let mut bytes = file_of("a.txt", b"one", b'0');
        bytes.extend(file_of("pax", b"12 path=b.c\n", kind));
        bytes.resize(bytes.len() + 1024, 0);
        if kind == b'g' {
            // What is for all members may not name them.
            bytes[1024 + 512..1024 + 524].copy_from_slice(b"12 mtime=77\n");
        }
        let said = said(&bytes, &ReadOptions::default());
        assert_eq!(keys(said.batch.as_ref().unwrap()), ["a"]);
        let reasons: Vec<_> = said.bad.iter().map(|bad| bad.reason.as_str()).collect();
        assert_eq!(reasons, ["the member that a header extends is missing"]);
    }
}

#[test]
fn archives_end_to_end_are_read_as_one_and_what_is_none_is_named() {
    let both = [tar(&[("a.txt", b"1")]), tar(&[("b.txt", b"2")])].concat();
    assert_eq!(keys(&said(&both, &ReadOptions::default()).batch.unwrap()), ["a", "b"]);
    let rubbish = [tar(&[("a.txt", b"1")]), vec![7; 600]].concat();
    assert!(said(&rubbish, &ReadOptions::default()).bad[0].reason.contains("no archive"));
    assert!(said(&[7; 600], &ReadOptions::default()).error.unwrap().contains("not a webdataset file"));
}

#[test]
fn a_pickle_is_refused_by_its_column_unless_left_out() {
    let file = tar(&[("a.pkl", b"x"), ("a.txt", b"1")]);
    assert!(said(&file, &ReadOptions::default()).error.unwrap().contains("column \"pkl\" is a pickle"));
    let options = ReadOptions { columns: Some(vec!["txt".to_owned()]), ..ReadOptions::default() };
    assert_eq!(said(&file, &options).batch.unwrap().num_rows(), 1);
}

#[test]
fn a_sample_larger_than_allowed_is_one_bad_record() {
    let big = vec![1; 3000];
    let file = tar(&[("a.bin", b"1"), ("b.bin", &big), ("b.x.bin", &big), ("c.bin", b"2")]);
    let options = ReadOptions { record_bytes: 2500, ..ReadOptions::default() };
    let said = said(&file, &options);
    assert_eq!(
        (keys(&said.batch.unwrap()), said.bad.len(), said.bad[0].record),
        (vec!["a".into(), "c".into()], 1, 1)
    );
}

#[test]
fn an_archive_without_samples_has_no_columns() {
    let said = said(&[0; 1024], &ReadOptions::default());
    assert_eq!((said.error, said.bad.len()), (None, 0));
}

#[test]
fn a_type_that_is_given_stands_instead_of_what_a_name_says() {
    let bytes = tar(&[("1.cls", b"7"), ("2.cls", b"seven")]);
    let types = Schema::new(vec![Field::new("cls", DataType::Utf8, true)]);
    let options = ReadOptions { types: Some(Arc::new(types)), ..ReadOptions::default() };
    assert_eq!(said(&bytes, &ReadOptions::default()).bad.len(), 1);
    assert_eq!(said(&bytes, &options).bad.len(), 0);
}
