//! The one pass against the textbook's two.

use proptest::prelude::*;

use super::*;

/// Count, mean and deviation of one element, by the book.
fn naive(values: &[f64]) -> (u64, f64, f64) {
    let there: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    let count = wide(there.len() as u64).max(1.0);
    let mean = there.iter().sum::<f64>() / count;
    let m2 = there.iter().map(|value| (value - mean).powi(2)).sum();
    (there.len() as u64, mean, m2)
}

fn any_value() -> impl Strategy<Value = f32> {
    prop_oneof![4 => -1e3f32..1e3, 1 => Just(f32::NAN), 1 => 1e6f32..1e6 + 10.0]
}

proptest! {
    #[test]
    fn one_pass_over_pieces_is_two_over_all(
        width in 1usize..6,
        values in prop::collection::vec(any_value(), 0..600),
        pieces in prop::collection::vec(1usize..40, 1..6),
    ) {
        let rows = values.len() / width;
        let values = &values[..rows * width];
        let mut seen = Moments::new(width);
        let (mut rest, mut sizes) = (values, pieces.iter().cycle());
        while !rest.is_empty() {
            let (piece, more) = rest.split_at((sizes.next().unwrap() * width).min(rest.len()));
            seen.add(piece);
            rest = more;
        }
        prop_assert_eq!(seen.rows(), rows as u64);
        for at in 0..width {
            let column: Vec<f64> = values.iter().skip(at).step_by(width).map(|value| f64::from(*value)).collect();
            let (count, mean, m2) = naive(&column);
            prop_assert_eq!(seen.count()[at], count);
            if count > 0 {
                prop_assert!((seen.mean()[at] - mean).abs() <= 1e-9 * mean.abs().max(1.0));
                prop_assert!((seen.m2()[at] - m2).abs() <= 1e-6 * m2.max(1.0));
                prop_assert_eq!(seen.min()[at], column.iter().copied().fold(f64::INFINITY, f64::min));
                prop_assert_eq!(seen.max()[at], column.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            }
        }
        let nan = |row: &&[f32]| row.iter().any(|value| value.is_nan());
        prop_assert_eq!(seen.nan_rows(), values.chunks_exact(width).filter(nan).count() as u64);
        let first = values.iter().position(|value| value.is_nan()).map(|at| ((at / width) as u64, at % width));
        prop_assert_eq!(seen.first_nan(), first);
    }
}

proptest! {
    #[test]
    fn rows_by_number_are_what_they_are_side_by_side(
        width in 1usize..40,
        values in prop::collection::vec(any_value(), 40..4000),
        numbers in prop::collection::vec(any::<prop::sample::Index>(), 0..300),
    ) {
        let rows = values.len() / width;
        let numbers: Vec<u64> = numbers.iter().map(|at| at.index(rows) as u64).collect();
        let beside: Vec<f32> =
            numbers.iter().flat_map(|&row| &values[row as usize * width..][..width]).copied().collect();
        let mut seen = [Moments::new(width), Moments::new(width)];
        for numbers in numbers.chunks(90) {
            seen[0].add_rows(&values, numbers);
        }
        for values in beside.chunks(90 * width) {
            seen[1].add(values);
        }
        // To the last digit.
        prop_assert_eq!(format!("{:?}", seen[0]), format!("{:?}", seen[1]));
    }
}

#[test]
fn a_large_mean_takes_no_digits_from_the_spread() {
    let values: Vec<f64> = (0..100_000).map(|at| 1e9 + f64::from(at % 2)).collect();
    let mut seen = Moments::new(1);
    seen.add(&values);
    assert!((seen.m2()[0] / 100_000.0 - 0.25).abs() < 1e-9);
}

#[test]
fn infinities_are_extremes_and_make_no_mean() {
    let mut seen = Moments::new(1);
    seen.add(&[1.0f32, f32::INFINITY]);
    assert_eq!((seen.min()[0], seen.max()[0], seen.mean()[0]), (1.0, f64::INFINITY, f64::INFINITY));
    assert_eq!((seen.count()[0], seen.nan_rows()), (2, 0));
}

#[test]
fn integers_and_halves_are_numbers_too() {
    let mut bytes = Moments::new(2);
    bytes.add(&[0u8, 255, 2, 255]);
    assert_eq!((bytes.mean(), bytes.max()), (&[1.0, 255.0][..], &[2.0, 255.0][..]));
    let mut halves = Moments::new(1);
    halves.add(&[half::f16::from_f32(0.5), half::f16::NAN]);
    assert_eq!((halves.count(), halves.mean()), (&[1][..], &[0.5][..]));
}

#[test]
fn rows_without_elements_are_nothing() {
    let mut seen = Moments::new(0);
    seen.add(&[1.0f32]);
    assert_eq!((seen.rows(), seen.count().len()), (0, 0));
}
