//! Columns compacted fast against rows picked one by one.

use proptest::prelude::*;

use super::*;

fn naive(words: &[u64], rows: usize, values: &[u8], width: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    for row in (0..rows).filter(|row| words[row / 64] >> (row % 64) & 1 == 1) {
        kept.extend_from_slice(&values[row * width..(row + 1) * width]);
    }
    kept
}

fn bytes(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 7).wrapping_add(salt) as u8).collect()
}

fn assert_as_naive(mask: &RowMask, widths: &[usize], threads: usize) {
    let columns: Vec<Vec<u8>> =
        widths.iter().map(|width| bytes(width * mask.rows() + width / 2, *width)).collect();
    // One byte before, so that targets aren't aligned.
    let mut targets: Vec<Vec<u8>> = widths.iter().map(|width| vec![0; 1 + mask.kept() * width]).collect();
    let jobs = columns.iter().zip(widths).zip(&mut targets);
    let jobs = jobs.map(|((values, &width), target)| Column { values, width, target: &mut target[1..] });
    mask.take(jobs.collect(), threads);
    for ((values, width), target) in columns.iter().zip(widths).zip(&targets) {
        assert_eq!(&target[1..], naive(mask.words(), mask.rows(), values, *width), "{width} bytes");
    }
}

fn any_word() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        any::<u64>(),
        (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(a, b, c, d)| a & b & c & d),
        (0..64_u32).prop_map(|bit| 1 << bit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn each_row_that_passes_stands_in_its_place(
        words in prop::collection::vec(any_word(), 0..70),
        less in 0_usize..64,
        widths in prop::collection::vec(prop::sample::select(vec![1, 2, 3, 4, 8, 12, 16, 32, 64, 100, 128, 256, 512]), 0..4),
        threads in 1_usize..5,
    ) {
        let mask = RowMask::of_words(words.clone(), (words.len() * 64).saturating_sub(less));
        assert_as_naive(&mask, &widths, threads);
    }
}

#[test]
fn many_rows_are_parted_among_threads_without_a_seam() {
    let rows = MANY_ROWS * 2 + 77;
    for shape in [0xFFFF_FFFF_FFFF_FFFF_u64, 0xA5A5_0FF0_1234_8001, 1 << 17, 0] {
        let words = (0..rows.div_ceil(64)).map(|at| shape.rotate_left(at as u32 % 64)).collect();
        let mask = RowMask::of_words(words, rows);
        for threads in [1, 3] {
            assert_as_naive(&mask, &[1, 4, 24, 64], threads);
        }
    }
}

#[test]
fn large_results_are_streamed_and_the_same() {
    let rows = STREAM_BYTES / 4 * 2;
    let words =
        (0..rows.div_ceil(64)).map(|at| 0xF0F1_7777_FFFF_8421_u64.rotate_left(at as u32 % 63)).collect();
    assert_as_naive(&RowMask::of_words(words, rows), &[4, 16], 2);
}

#[test]
#[should_panic(expected = "shorter than the mask")]
fn a_column_that_is_too_short_is_refused() {
    let mask = RowMask::of_bits(&[0xFF], 0, 8);
    mask.take(vec![Column { values: &[0; 7], width: 1, target: &mut [0; 8] }], 1);
}

#[test]
#[should_panic(expected = "isn't of the rows kept")]
fn a_target_of_another_size_is_refused() {
    let mask = RowMask::of_bits(&[0x0F], 0, 8);
    mask.take(vec![Column { values: &[0; 8], width: 1, target: &mut [0; 8] }], 1);
}

proptest! {
    #[test]
    fn rows_by_number_come_in_the_order_of_the_numbers(
        width in prop::sample::select(vec![1, 2, 3, 4, 8, 12, 128]),
        rows in prop::collection::vec(0_u64..40, 0..60),
    ) {
        let values: Vec<u8> = (0..40 * width).map(|at| (at % 251) as u8).collect();
        let naive: Vec<u8> =
            rows.iter().flat_map(|&row| &values[row as usize * width..][..width]).copied().collect();
        let mut target = vec![0; naive.len()];
        copy_rows(&values, width, &rows, &mut target);
        prop_assert_eq!(target, naive);
    }
}
