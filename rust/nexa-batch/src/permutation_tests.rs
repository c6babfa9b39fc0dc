//! The bijection is one for every size, and what it yields looks drawn.

use proptest::prelude::*;

use super::*;

fn all(n: u64, seed: u64, number: u64) -> Vec<u64> {
    let drawn = Permutation::draw(n, seed, number);
    (0..n).map(|at| drawn.apply(at)).collect()
}

/// If every value is found again where it was put, no two were put in one place.
fn check_by_inverse(sizes: impl Iterator<Item = u64>) {
    for n in sizes {
        let drawn = Permutation::draw(n, n ^ 3, n % 5);
        for at in 0..n {
            let value = drawn.apply(at);
            assert!(value < n && drawn.invert(value) == at, "n = {n}, {at} -> {value}");
        }
    }
}

#[test]
fn every_small_size_and_sampled_larger_ones_are_permuted() {
    check_by_inverse(0..=600);
    check_by_inverse((601..=65_536).step_by(1999).chain([4095, 4096, 4097, 32_768, 65_535, 65_536]));
}

#[test]
#[ignore = "minutes: two thousand million values; `make test-slow` runs it"]
fn every_size_up_to_two_to_the_sixteen_is_permuted() {
    std::thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || check_by_inverse((part..=65_536).step_by(4)));
        }
    });
}

proptest! {
    #[test]
    fn inverting_undoes_applying(n in 1_u64..=(1 << 63), seed: u64, number: u64, at: u64) {
        let drawn = Permutation::draw(n, seed, number);
        let value = drawn.apply(at % n);
        prop_assert!(value < n);
        prop_assert_eq!(drawn.invert(value), at % n);
    }
}

proptest! {
    #[test]
    fn many_at_once_are_those_one_by_one(n in 1_u64..5000, seed: u64, start in 0_u64..5000, len in 0_u64..200) {
        let drawn = Permutation::draw(n, seed, 0);
        let places = start % n..(start % n + len).min(n);
        let mut found = Vec::new();
        drawn.extend(places.clone(), &mut found);
        prop_assert_eq!(found, places.map(|at| drawn.apply(at)).collect::<Vec<_>>());
    }
}

#[test]
fn positions_and_values_are_not_correlated() {
    let n = 10_000_u64;
    let mean = (n - 1) as f64 / 2.0;
    let mut squares = 0.0;
    for seed in 0..200 {
        let centred = all(n, seed, 0).into_iter().map(|value| value as f64 - mean);
        let covariance =
            (0..n).zip(centred).map(|(at, value)| (at as f64 - mean) * value).sum::<f64>() / n as f64;
        let correlation = covariance / ((n * n - 1) as f64 / 12.0);
        // The standard error of a random permutation's correlation is 1/sqrt(n - 1) = 0.01.
        assert!(correlation.abs() < 0.045, "seed {seed}: {correlation}");
        squares += correlation * correlation;
    }
    // Two hundred squares of standard error 0.01 sum to 0.02; their own standard deviation is 0.002.
    assert!((squares - 0.02).abs() < 0.009, "the correlations are spread as {squares}");
}

#[test]
fn neighbours_are_parted() {
    let (n, seeds) = (10_000, 100);
    let adjacent: usize = (0..seeds)
        .map(|seed| all(n, seed, 0).windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count())
        .sum();
    // Two are expected in each random permutation, Poisson: 200 ± 14.
    assert!((130..=270).contains(&adjacent), "{adjacent} adjacent pairs in {seeds} permutations");
}

#[test]
fn rising_and_falling_runs_are_as_long_as_chance_makes_them() {
    let n = 10_000_u64;
    for seed in 0..50 {
        let values = all(n, seed, 0);
        let turns = values.windows(3).filter(|w| (w[0] < w[1]) != (w[1] < w[2])).count() as f64;
        // Turning points of a random permutation: mean 2(n - 2)/3, variance (16n - 29)/90.
        let (mean, deviation) = (2.0 * (n - 2) as f64 / 3.0, ((16 * n - 29) as f64 / 90.0).sqrt());
        assert!((turns - mean).abs() < 5.0 * deviation, "seed {seed}: {turns} turns, {mean} expected");
        let above = values.iter().filter(|&&value| value >= n / 2).count();
        assert_eq!(above as u64, n / 2);
        let sides = values.windows(2).filter(|w| (w[0] < n / 2) != (w[1] < n / 2)).count() as f64;
        // Changes between the halves: mean n/2, variance about n/4 (Wald and Wolfowitz 1940).
        assert!(
            (sides - n as f64 / 2.0).abs() < 5.0 * (n as f64 / 4.0).sqrt(),
            "seed {seed}: {sides} changes"
        );
    }
}

#[test]
fn each_class_is_spread_over_the_epoch() {
    // Classes as they are often stored: one after the other. Ten classes, ten parts: 100 of each in each.
    let (n, classes) = (10_000_u64, 10_u64);
    let mut worst = 0.0_f64;
    for seed in 0..50 {
        let mut counts = [[0_u32; 10]; 10];
        for (at, value) in (0..).zip(all(n, seed, 0)) {
            counts[(at * classes / n) as usize][(value * classes / n) as usize] += 1;
        }
        let square: f64 =
            counts.iter().flatten().map(|&count| (f64::from(count) - 100.0).powi(2) / 100.0).sum();
        // Chi-square of 81 degrees of freedom: mean 81, standard deviation 12.7.
        assert!((81.0 - 64.0..81.0 + 64.0).contains(&square), "seed {seed}: {square}");
        worst = worst.max((square - 81.0).abs());
    }
    assert!(worst > 1.0, "no chance in it at all");
}

#[test]
fn every_value_comes_everywhere_also_in_tiny_sizes() {
    for n in 2_u64..=12 {
        let draws = 6000_u64;
        let mut counts = vec![vec![0_u64; n as usize]; n as usize];
        for number in 0..draws {
            for (at, value) in all(n, 7, number).into_iter().enumerate() {
                counts[at][value as usize] += 1;
            }
        }
        let (mean, deviation) =
            (draws as f64 / n as f64, (draws as f64 / n as f64 * (1.0 - 1.0 / n as f64)).sqrt());
        for (at, row) in counts.iter().enumerate() {
            for (value, &count) in row.iter().enumerate() {
                assert!(
                    (count as f64 - mean).abs() < 5.5 * deviation,
                    "n = {n}: {value} at {at} {count} times"
                );
            }
        }
    }
}

#[test]
fn seeds_and_numbers_give_other_permutations() {
    let drawn = [all(100, 1, 0), all(100, 1, 1), all(100, 2, 0), (0..100).collect()];
    for (at, one) in drawn.iter().enumerate() {
        assert!(drawn[..at].iter().all(|other| other != one));
    }
}
