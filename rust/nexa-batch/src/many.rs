//! What a permutation gives for many places at once, as wide as the processor goes.
//!
//! ```text
//! every value  → the rounds once, side by side in lanes
//! those at n or above (the bijection is over the next power of two) → collected, the rounds again, until none is left
//! ```
//!
//! 1. One value alone is a long chain of multiplications that wait for one another; many side by side fill the
//!    processor's units, and its wide registers where it has them.
//! 2. Just above a power of two every second value walks on: collected, they walk in full lanes too.
//! 3. All of it is whole numbers, so that every processor yields the same.
#![expect(unsafe_code, reason = "code for one kind of processor is unsafe to call on another")]

use crate::permutation::Rounds;

/// Replace each value, which is below `n`, by what the permutation of `n` values gives for it.
pub(crate) fn apply_all(rounds: &Rounds, n: u64, values: &mut [u64]) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512dq") {
        // SAFETY: the processor has what the function was compiled for, as it has just said.
        return unsafe { apply_512(rounds, n, values) };
    } else if std::is_x86_feature_detected!("avx2") {
        // SAFETY: as above.
        return unsafe { apply_256(rounds, n, values) };
    }
    apply_lanes::<4>(rounds, n, values);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn apply_512(rounds: &Rounds, n: u64, values: &mut [u64]) {
    apply_lanes::<32>(rounds, n, values);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn apply_256(rounds: &Rounds, n: u64, values: &mut [u64]) {
    apply_lanes::<8>(rounds, n, values);
}

#[inline(always)]
fn apply_lanes<const LANES: usize>(rounds: &Rounds, n: u64, values: &mut [u64]) {
    forward_each::<LANES>(rounds, values);
    let mut walking: Vec<usize> = Vec::new();
    walking.extend(values.iter().enumerate().filter(|&(_, &value)| value >= n).map(|(at, _)| at));
    let mut walkers = Vec::with_capacity(walking.len());
    while !walking.is_empty() {
        walkers.clear();
        walkers.extend(walking.iter().map(|&at| values[at]));
        forward_each::<LANES>(rounds, &mut walkers);
        let mut arrived = walkers.iter();
        walking.retain(|&at| {
            values[at] = arrived.next().copied().unwrap_or(values[at]);
            values[at] >= n
        });
    }
}

#[inline(always)]
fn forward_each<const LANES: usize>(rounds: &Rounds, values: &mut [u64]) {
    let (whole, rest) = values.as_chunks_mut::<LANES>();
    for lanes in whole {
        rounds.forward_lanes(lanes);
    }
    for value in rest {
        *value = rounds.forward(*value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::permutation::Permutation;

    proptest! {
        #[test]
        fn lanes_of_every_width_give_what_one_by_one_gives(
            n in prop_oneof![1_u64..300, (1_u64..62).prop_map(|bits| (1 << bits) + 1), 1_u64..=(1 << 63)],
            seed: u64,
            places in prop::collection::vec(any::<u64>(), 0..150),
        ) {
            let drawn = Permutation::draw(n, seed, 0);
            let places: Vec<u64> = places.into_iter().map(|place| place % n).collect();
            let expected: Vec<u64> = places.iter().map(|&place| drawn.apply(place)).collect();
            let (mut narrow, mut widest) = (places.clone(), places);
            apply_lanes::<4>(drawn.rounds(), n, &mut narrow);
            apply_all(drawn.rounds(), n, &mut widest);
            prop_assert_eq!(&narrow, &expected);
            prop_assert_eq!(&widest, &expected);
        }
    }
}
