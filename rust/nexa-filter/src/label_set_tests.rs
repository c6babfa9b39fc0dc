//! The fast answers against the slow, obvious ones.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// The naive twin: what the words of the documentation say, row by row.
fn naive(allowed: &BTreeSet<i64>, labels: &[i64], invert: bool) -> Vec<u64> {
    (0..).zip(labels).filter(|(_, label)| allowed.contains(label) != invert).map(|(row, _)| row).collect()
}

fn assert_as_naive(allowed: &[i64], labels: &[i64]) {
    let set = LabelSet::new(allowed.iter().copied());
    let twin: BTreeSet<i64> = allowed.iter().copied().collect();
    assert_eq!(set.len(), twin.len());
    assert_eq!(set.is_empty(), twin.is_empty());
    assert_eq!(set.span(), twin.first().copied().zip(twin.last().copied()));
    for label in labels {
        assert_eq!(set.contains(*label), twin.contains(label), "{label}");
    }
    for invert in [false, true] {
        let rows = naive(&twin, labels, invert);
        assert_eq!(set.count(labels, invert), rows.len());
        let mask: Vec<_> = labels.iter().map(|label| twin.contains(label) != invert).collect();
        assert_eq!(set.mask(labels, invert), mask);
        assert_eq!(set.select(labels, invert), rows);
        let mut reused = vec![u64::MAX; 7];
        set.select_into(labels, invert, &mut reused);
        assert_eq!(reused, rows);
    }
}

fn is_dense(set: &LabelSet) -> bool {
    matches!(set.members, Members::Dense(_))
}

#[test]
fn an_empty_set_allows_nothing_and_inverted_everything() {
    assert_as_naive(&[], &[0, i64::MIN, i64::MAX]);
    assert_as_naive(&[], &[]);
    assert_as_naive(&[1], &[]);
}

#[test]
fn the_ends_of_the_number_range_are_labels_like_others() {
    let edges = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    for &a in &edges {
        for &b in &edges {
            assert_as_naive(&[a, b], &edges);
        }
    }
    assert!(is_dense(&LabelSet::new([i64::MAX, i64::MAX - 9])), "near an end, but close together");
    assert!(!is_dense(&LabelSet::new([i64::MIN, i64::MAX])));
}

#[test]
fn the_span_decides_between_bitmap_and_hash_set() {
    let last = 64 * 1024 - 1;
    assert!(is_dense(&LabelSet::new([7, 7 + last])));
    assert!(!is_dense(&LabelSet::new([7, 7 + last + 1])));
    assert!(is_dense(&LabelSet::new((0..4096).map(|i| i * 60))), "a bitmap no larger than the list");
    assert!(!is_dense(&LabelSet::new((0..4096).map(|i| i * 70))));
    assert_as_naive(&[7, 7 + last], &[6, 7, 8, 7 + last, 8 + last, 71 + last, i64::MIN, i64::MAX]);
}

#[test]
fn duplicates_count_once() {
    let set: LabelSet = [3, 3, 3].into_iter().collect();
    assert_eq!((set.len(), set.span()), (1, Some((3, 3))));
}

#[test]
fn chunks_join_without_a_seam() {
    for len in [CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS + 17] {
        let labels: Vec<i64> = (0..).take(len).map(|i| i % 5).collect();
        assert_as_naive(&[0, 3], &labels);
        assert_as_naive(&[0, 1, 2, 3, 4], &labels);
    }
}

/// Labels near zero, near the ends, and anywhere: so that sets are dense, sparse and hit.
fn any_label() -> impl Strategy<Value = i64> {
    prop_oneof![
        -40i64..40,
        (0i64..70).prop_map(|i| i64::MAX - i),
        (0i64..70).prop_map(|i| i64::MIN + i),
        (0i64..10).prop_map(|i| i * 1_000_003),
        any::<i64>(),
    ]
}

proptest! {
    #[test]
    fn fast_is_slow(
        allowed in prop::collection::vec(any_label(), 0..40),
        labels in prop::collection::vec(any_label(), 0..300),
    ) {
        assert_as_naive(&allowed, &labels);
    }

    #[test]
    fn fast_is_slow_for_close_labels(
        base in any::<i64>(),
        allowed in prop::collection::vec(0i64..200, 1..40),
        labels in prop::collection::vec(-300i64..300, 0..300),
    ) {
        let shift = |distances: Vec<i64>| distances.into_iter().map(|d| base.wrapping_add(d)).collect::<Vec<_>>();
        assert_as_naive(&shift(allowed), &shift(labels));
    }
}
