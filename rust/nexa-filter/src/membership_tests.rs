//! Every kind of label and of set against the plain question.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn assert_as_naive(allowed: &[i64], kind: LabelType, labels: &[u8], keys: &[i64]) {
    let set = LabelSet::new(allowed.iter().copied());
    let twin: HashSet<i64> = allowed.iter().copied().collect();
    let expected: Vec<u64> =
        (0..).zip(keys).filter(|(_, key)| twin.contains(key)).map(|(row, _)| row).collect();
    for threads in 1..=4 {
        let mask = RowMask::of_labels(&set, kind, labels, threads);
        assert_eq!((mask.rows(), mask.kept()), (keys.len(), expected.len()));
        assert_eq!(mask.numbers(), expected);
        let others: Vec<u64> = (0..keys.len() as u64).filter(|row| !expected.contains(row)).collect();
        assert_eq!(mask.inverted().numbers(), others);
    }
}

/// Sets of each shape: without a gap, in a table, in a bitmap, in a hash.
fn any_set() -> impl Strategy<Value = Vec<i64>> {
    prop_oneof![
        (-130_i64..130, 0_i64..200).prop_map(|(low, width)| (low..low + width).collect()),
        prop::collection::vec(-300_i64..300, 0..40),
        prop::collection::vec(-30_000_i64..30_000, 0..40),
        prop::collection::vec(any::<i64>(), 0..6),
        prop::collection::vec(prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(-1), Just(0)], 0..4),
    ]
}

macro_rules! widths {
    ($($name:ident $kind:ident $number:ty),*) => {
        proptest! {
            $(#[test]
            fn $name(
                allowed in any_set(),
                labels in prop::collection::vec(prop_oneof![any::<$number>(), (0_u8..130).prop_map(|small| small as $number)], 0..300),
            ) {
                let bytes: Vec<u8> = labels.iter().flat_map(|label| label.to_ne_bytes()).collect();
                #[allow(clippy::cast_lossless, reason = "no cast from u64 to i64 is")]
                let keys: Vec<i64> = labels.iter().map(|label| *label as i64).collect();
                assert_as_naive(&allowed, LabelType::$kind, &bytes, &keys);
                // And with labels that do occur.
                assert_as_naive(&keys[..keys.len().min(9)], LabelType::$kind, &bytes, &keys);
            })*
        }
    };
}

widths! {
    labels_of_8_bits I8 i8, labels_of_16_bits I16 i16, labels_of_32_bits I32 i32, labels_of_64_bits I64 i64,
    unsigned_labels_of_8_bits U8 u8, unsigned_labels_of_16_bits U16 u16, unsigned_labels_of_32_bits U32 u32,
    unsigned_labels_of_64_bits U64 u64
}

proptest! {
    #[test]
    fn floats_are_equal_as_numbers_are(
        labels in prop::collection::vec(prop_oneof![any::<f32>(), (-3_i8..3).prop_map(f32::from), Just(-0.0), Just(f32::NAN)], 0..200),
        allowed in prop::collection::vec(prop_oneof![any::<f64>(), (-3_i8..3).prop_map(f64::from), Just(-0.0)], 0..9),
    ) {
        let keys: Vec<i64> = allowed.iter().filter(|label| !label.is_nan()).map(|label| float_key(*label)).collect();
        let set = LabelSet::new(keys);
        let expected: Vec<u64> = (0..)
            .zip(&labels)
            .filter(|(_, label)| allowed.iter().any(|other| *other == f64::from(**label)))
            .map(|(row, _)| row)
            .collect();
        let narrow: Vec<u8> = labels.iter().flat_map(|label| label.to_ne_bytes()).collect();
        prop_assert_eq!(RowMask::of_labels(&set, LabelType::F32, &narrow, 1).numbers(), expected.clone());
        let wide: Vec<u8> = labels.iter().flat_map(|label| f64::from(*label).to_ne_bytes()).collect();
        prop_assert_eq!(RowMask::of_labels(&set, LabelType::F64, &wide, 1).numbers(), expected);
    }

    #[test]
    fn a_label_that_is_not_there_passes_neither_way(
        labels in prop::collection::vec(0_u8..4, 0..200),
        valid in prop::collection::vec(any::<u8>(), 0..40),
        first in 0_usize..20,
    ) {
        let mask = RowMask::of_labels(&LabelSet::new([1, 2]), LabelType::U8, &labels, 1);
        let is_valid = |row: u64| {
            let at = row as usize + first;
            valid.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
        };
        for mask in [mask.clone(), mask.inverted()] {
            let expected: Vec<u64> = mask.numbers().into_iter().filter(|row| is_valid(*row)).collect();
            prop_assert_eq!(mask.valid(&valid, first).numbers(), expected);
        }
    }
}

#[test]
fn many_labels_are_parted_among_threads_without_a_seam() {
    let labels: Vec<u8> = (0..MANY_ROWS + 1000).map(|row| (row % 251) as u8).collect();
    let keys: Vec<i64> = labels.iter().map(|label| i64::from(*label)).collect();
    for threads in [1, 2, 3, 4, 9] {
        let mask = RowMask::of_labels(&LabelSet::new([3, 250]), LabelType::U8, &labels, threads);
        let expected: Vec<u64> =
            (0..).zip(&keys).filter(|(_, key)| [3, 250].contains(*key)).map(|(row, _)| row).collect();
        assert_eq!(mask.numbers(), expected);
    }
}

#[test]
fn a_mask_is_read_from_any_bit_on() {
    let mask = RowMask::of_bits(&[0b1010_0000, 0b1], 5, 6);
    assert_eq!(mask.numbers(), [0, 2, 3]);
    assert_eq!(RowMask::of_bits(&[0xFF], 0, 20).kept(), 8, "what isn't there doesn't pass");
}
