use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// (split, hash, label) of rows, numbered in each split.
fn search(rows: &[(u8, u128, u64)], bound: usize) -> Found {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Duplicates::new(bound, folder.path().to_owned());
    let mut next = [0_u64; 3];
    for &(split, hash, label) in rows {
        let number = &mut next[usize::from(split)];
        all.add(
            split,
            *number,
            &[hash.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)],
            Some(&[label]),
        )
        .unwrap();
        *number += 1;
    }
    let found = all.finish(3).unwrap();
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing is left behind");
    found
}

#[test]
fn each_kind_is_found_where_it_is() {
    let found = search(&[(0, 1, 5), (0, 1, 5), (0, 2, 5), (1, 1, 5), (2, 2, 6), (2, 9, 0)], usize::MAX);
    assert_eq!(found.duplicates, [1, 0, 0]);
    assert_eq!(found.conflicts, [1, 0, 1]);
    let leaks: Vec<_> = found.leaks.iter().map(|leak| (leak.split, leak.other, leak.rows)).collect();
    assert_eq!(leaks, [(1, 0, 1), (2, 0, 1)]);
    assert_eq!(found.leaks[0].samples[0].0.row, 0);
    assert_eq!(found.groups.len(), 1);
    assert_eq!(found.conflict_groups[0].rows.iter().map(|place| place.label).collect::<Vec<_>>(), [5, 6]);
}

proptest! {
    #[test]
    fn counts_are_those_of_a_map_also_from_disk(rows in prop::collection::vec((0_u8..3, 0_u128..40, 0_u64..2), 0..200)) {
        let mut by_hash: BTreeMap<u128, Vec<(u8, u64)>> = BTreeMap::new();
        for &(split, hash, label) in &rows {
            by_hash.entry(hash).or_default().push((split, label));
        }
        let mut duplicates = [0_u64; 3];
        let mut conflicts = [0_u64; 3];
        for group in by_hash.values() {
            for split in 0..3_u8 {
                let of = group.iter().filter(|row| row.0 == split).count() as u64;
                duplicates[usize::from(split)] += of.saturating_sub(1);
                if group.iter().any(|row| row.1 != group[0].1) {
                    conflicts[usize::from(split)] += of;
                }
            }
        }
        let in_memory = search(&rows, usize::MAX);
        prop_assert_eq!(&in_memory.duplicates[..], &duplicates[..]);
        prop_assert_eq!(&in_memory.conflicts[..], &conflicts[..]);
        prop_assert_eq!(&in_memory, &search(&rows, 1000));
        prop_assert_eq!(&in_memory, &search(&rows, 0));
    }
}
