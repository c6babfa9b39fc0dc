//! Labels of real shards choose and group records, beside a naive walk over the same labels.

#![expect(clippy::unwrap_used, reason = "a test that can't go on stops")]

use std::path::Path;
use std::sync::Arc;

use nexa_batch::{
    Assembler, BatchError, LabelRule, Rows, Selection, ShardSpec, Store, group_by_label, select_by_label,
};
use nexa_filter::LabelSet;
use nexa_records::{Element, WriteColumn, write_shard};
use proptest::prelude::*;

fn shard(folder: &Path, name: &str, element: Element, bytes: &[u8]) -> ShardSpec {
    let path = folder.join(name);
    let records = bytes.len() / element.bytes();
    let column = WriteColumn { name: "label".into(), element, row_shape: vec![], values: bytes };
    write_shard(&path, &[column], records).unwrap();
    ShardSpec { path, records: records as u64 }
}

fn shards(folder: &Path, labels: &[Vec<i64>]) -> Vec<ShardSpec> {
    let write = |(number, part): (usize, &Vec<i64>)| {
        let bytes: Vec<u8> = part.iter().flat_map(|label| label.to_ne_bytes()).collect();
        shard(folder, &format!("{number}.arrow"), Element::I64, &bytes)
    };
    labels.iter().enumerate().map(write).collect()
}

fn all(selection: &Selection) -> Vec<u64> {
    (0..selection.len()).map(|at| selection.get(at).unwrap()).collect()
}

fn parts() -> impl Strategy<Value = Vec<Vec<Vec<i64>>>> {
    let part = prop::collection::vec(prop::collection::vec(-3_i64..5, 0..12), 1..4);
    prop::collection::vec(part, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn selecting_and_grouping_are_what_a_walk_over_the_labels_gives(
        parts in parts(), allowed in prop::collection::vec(-3_i64..5, 0..4), deny: bool, which in 0_usize..3,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut specs = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let inner = folder.path().join(number.to_string());
            std::fs::create_dir(&inner).unwrap();
            let rule = LabelRule { labels: LabelSet::new(allowed.iter().copied()), deny };
            specs.push((shards(&inner, part), (number != which).then_some(rule)));
        }
        let labels: Vec<(usize, i64)> = parts.iter().enumerate()
            .flat_map(|(number, part)| part.iter().flatten().map(move |&label| (number, label))).collect();
        let kept: Vec<u64> = (0..).zip(&labels)
            .filter(|&(_, &(number, label))| number == which || allowed.contains(&label) != deny)
            .map(|(record, _)| record).collect();
        let (selection, counts) = select_by_label(&specs, "label").unwrap();
        prop_assert_eq!(&all(&selection), &kept);
        prop_assert_eq!(counts.len(), parts.len());
        prop_assert_eq!(counts.iter().sum::<u64>(), selection.len());

        let every: Vec<ShardSpec> = specs.into_iter().flat_map(|(shards, _)| shards).collect();
        for chosen in [None, Some(&selection)] {
            let numbers: Vec<u64> = chosen.map_or_else(|| (0..labels.len() as u64).collect(), all);
            let mut expected: Vec<(i64, u64)> = (0..).zip(&numbers)
                .map(|(index, &record)| (labels[usize::try_from(record).unwrap()].1, index)).collect();
            expected.sort_unstable();
            let found = group_by_label(&every, "label", chosen).unwrap();
            prop_assert_eq!(all(&found.records), expected.iter().map(|pair| pair.1).collect::<Vec<_>>());
            let mut names: Vec<i64> = expected.iter().map(|pair| pair.0).collect();
            let counts = found.labels.iter().map(|label| names.iter().filter(|name| *name == label).count() as u64);
            prop_assert_eq!(counts.collect::<Vec<_>>(), found.counts);
            names.dedup();
            prop_assert_eq!(found.labels, names);
        }
    }
}

#[test]
fn an_assembler_serves_what_was_selected() {
    let folder = tempfile::tempdir().unwrap();
    let specs = shards(folder.path(), &[vec![4, 5, 6], vec![7, 8]]);
    let store = Store::open(specs, &["label".to_owned()]).unwrap();
    let mut selection = Selection::below(5);
    selection.extend([4, 1]);
    let assembler = Assembler::new(Arc::new(store), 0).selecting(Arc::new(selection));
    assert_eq!(assembler.len(), 2);
    let batch = assembler.assemble(&Rows::Listed(vec![0, 1, 0])).unwrap();
    let labels: Vec<i64> =
        batch.columns[0].as_chunks().0.iter().map(|&bytes| i64::from_ne_bytes(bytes)).collect();
    assert_eq!(labels, [8, 5, 8]);
    let error = assembler.assemble(&Rows::Listed(vec![2])).unwrap_err();
    assert!(matches!(error, BatchError::OutOfRange { index: 2, len: 2 }), "{error}");
    let mut beyond = Selection::below(9);
    beyond.extend([5]);
    let error = assembler.selecting(Arc::new(beyond)).assemble(&Rows::Listed(vec![0])).unwrap_err();
    assert!(matches!(error, BatchError::OutOfRange { index: 5, len: 5 }), "{error}");
}

#[test]
fn integers_of_every_width_are_labels_and_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (element, bytes) in [
        (Element::I32, 3_i32.to_ne_bytes().to_vec()),
        (Element::I16, 3_i16.to_ne_bytes().to_vec()),
        (Element::U32, 3_u32.to_ne_bytes().to_vec()),
        (Element::U16, 3_u16.to_ne_bytes().to_vec()),
        (Element::U8, vec![3]),
        (Element::I8, vec![3]),
    ] {
        let spec = shard(folder.path(), element.name(), element, &bytes);
        assert_eq!(group_by_label(&[spec], "label", None).unwrap().labels, [3], "{element}");
    }
    for (element, bytes) in [(Element::F32, vec![0; 4]), (Element::U64, vec![0; 8])] {
        let spec = shard(folder.path(), element.name(), element, &bytes);
        let error = group_by_label(&[spec], "label", None).unwrap_err();
        assert!(matches!(error, BatchError::NotClasses { .. }), "{error}");
        assert!(error.to_string().contains(element.name()), "{error}");
    }
}

#[test]
fn a_shard_that_is_not_what_the_catalog_says_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut specs = shards(folder.path(), &[vec![1, 2], vec![3]]);
    specs[1].records = 5;
    let error = group_by_label(&specs, "label", None).unwrap_err().to_string();
    assert!(error.contains("1.arrow"), "{error}");
    let error = group_by_label(&specs[..1], "class", None).unwrap_err().to_string();
    assert!(error.contains("class") && error.contains("label"), "{error}");
}
