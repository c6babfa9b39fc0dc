use proptest::prelude::*;

use super::*;

fn of(keys: impl IntoIterator<Item = u64>) -> Distinct {
    let mut seen = Distinct::new(100);
    seen.add_keys(&keys.into_iter().collect::<Vec<_>>());
    seen
}

#[test]
fn few_values_are_counted_exactly() {
    let seen = of((0..1000).map(|at| at % 100));
    assert_eq!(seen.estimate(), (100, 0.0));
    assert!(seen.counts().unwrap().all(|(_, count)| count == 10));
}

#[test]
fn many_values_are_estimated_within_the_stated_error() {
    for n in [101, 1_000, 20_000, 1_000_000] {
        let (found, error) = of(0..n).estimate();
        let off = (wide(found) - wide(n)).abs() / wide(n);
        assert!(off < 4.0 * error, "{n}: {found}");
    }
}

#[test]
fn floats_codes_and_multiples_are_estimated_as_well() {
    let patterns: [fn(u64) -> u64; 5] = [
        |at| float_key(f64::from(at as u32)),
        |at| float_key(f64::from(at as f32 / 3.0)),
        |at| at << 32,
        |at| at * 1000,
        |at| float_key(1e9 + f64::from(at as u32) * 1e-3),
    ];
    for (number, pattern) in patterns.into_iter().enumerate() {
        let (found, error) = of((0..200_000).map(pattern)).estimate();
        assert!((wide(found) - 2e5).abs() / 2e5 < 4.0 * error, "pattern {number}: {found}");
    }
}

#[test]
fn zeros_of_both_signs_are_one_value_and_nan_is_none() {
    let mut seen = Distinct::new(100);
    seen.add_floats(&[0.0, -0.0, f64::NAN, f64::INFINITY]);
    assert_eq!(seen.estimate(), (2, 0.0));
}

proptest! {
    #[test]
    fn no_cut_shows(keys in prop::collection::vec(0_u64..300, 0..400), at in 0_usize..400) {
        let at = at.min(keys.len());
        let whole = of(keys.iter().copied());
        let mut parts = of(keys[..at].iter().copied());
        parts.merge(&of(keys[at..].iter().copied()));
        prop_assert_eq!(whole.estimate(), parts.estimate());
        let sorted = |seen: &Distinct| seen.counts().map(|all| {
            let mut all: Vec<_> = all.collect();
            all.sort_unstable();
            all
        });
        prop_assert_eq!(sorted(&whole), sorted(&parts));
        if let (Seen::Sketch(whole), Seen::Sketch(parts)) = (&whole.seen, &parts.seen) {
            prop_assert_eq!(whole.registers, parts.registers);
        }
    }
}
