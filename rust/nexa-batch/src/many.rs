//! What a permutation gives for many places at once.
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

use crate::lanes::{Lanes, Work, dispatch};
use crate::permutation::Rounds;

const LANES: usize = 8;

/// Replace each value, which is below `n`, by what the permutation of `n` values gives for it.
pub(crate) fn apply_all(rounds: &Rounds, n: u64, values: &mut [u64]) {
    dispatch(Apply { rounds, n, values });
}

struct Apply<'a> {
    rounds: &'a Rounds,
    n: u64,
    values: &'a mut [u64],
}

impl Work for Apply<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let Self { rounds, n, values } = self;
        forward_each(rounds, values);
        let above = values.iter().enumerate().filter(|&(_, &value)| value >= n);
        let mut walking: Vec<usize> = above.map(|(at, _)| at).collect();
        let mut walkers = Vec::with_capacity(walking.len());
        while !walking.is_empty() {
            walkers.clear();
            walkers.extend(walking.iter().map(|&at| values[at]));
            forward_each(rounds, &mut walkers);
            let mut arrived = walkers.iter();
            walking.retain(|&at| {
                values[at] = arrived.next().copied().unwrap_or(values[at]);
                values[at] >= n
            });
        }
    }
}

#[inline(always)]
fn forward_each(rounds: &Rounds, values: &mut [u64]) {
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
    use crate::lanes::tests::on_each_cpu;
    use crate::permutation::Permutation;

    proptest! {
        #[test]
        fn lanes_give_what_one_by_one_gives(
            n in prop_oneof![1_u64..300, (1_u64..62).prop_map(|bits| (1 << bits) + 1), 1_u64..=(1 << 63)],
            seed: u64,
            places in prop::collection::vec(any::<u64>(), 0..150),
        ) {
            let drawn = Permutation::draw(n, seed, 0);
            let places: Vec<u64> = places.into_iter().map(|place| place % n).collect();
            let expected: Vec<u64> = places.iter().map(|&place| drawn.apply(place)).collect();
            let found = on_each_cpu(|| {
                let mut values = places.clone();
                apply_all(drawn.rounds(), n, &mut values);
                values
            });
            prop_assert_eq!(found, [expected.clone(), expected]);
        }
    }
}
