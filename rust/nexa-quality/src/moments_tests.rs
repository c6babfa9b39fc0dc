use proptest::prelude::*;

use super::*;

fn of(values: &[f64]) -> Moments {
    let mut seen = Moments::default();
    seen.add(values);
    seen
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

#[test]
fn numbers_that_cancel_leave_what_is_left() {
    let seen = of(&[1e17, 1.0, -1e17, 1.0]);
    assert_eq!(seen.mean(), Some(0.5));
}

#[test]
fn a_small_spread_far_from_zero_is_seen_whole() {
    let values: Vec<f64> = (0..10_000).map(|at| 1e9 + f64::from(at % 2)).collect();
    let seen = of(&values);
    assert_eq!((seen.mean(), seen.std()), (Some(1e9 + 0.5), Some(0.5)));
}

#[test]
fn what_is_no_number_is_counted_apart() {
    let seen = of(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 2.0]);
    let counts = [seen.finite, seen.nans, seen.positive_infinities, seen.negative_infinities, seen.zeros];
    assert_eq!(counts, [3, 1, 1, 1, 2]);
    assert_eq!((seen.min, seen.max), (0.0, 2.0));
    assert_eq!((of(&[]).mean(), of(&[f64::NAN]).std()), (None, None));
}

proptest! {
    #[test]
    fn cuts_dont_show(values in prop::collection::vec(-1e6..1e6, 0..200), at in 0_usize..200, power in -30..30) {
        let values: Vec<f64> = values.iter().map(|value: &f64| value * 10_f64.powi(power)).collect();
        let at = at.min(values.len());
        let whole = of(&values);
        let mut parts = of(&values[..at]);
        parts.merge(&of(&values[at..]));
        prop_assert_eq!((whole.finite, whole.zeros), (parts.finite, parts.zeros));
        if let (Some(mean), Some(std)) = (whole.mean(), whole.std()) {
            prop_assert_eq!((whole.min, whole.max), (parts.min, parts.max));
            prop_assert!(close(mean, parts.mean().unwrap()), "{mean} {:?}", parts.mean());
            prop_assert!(close(std, parts.std().unwrap()), "{std} {:?}", parts.std());
        }
    }
}
