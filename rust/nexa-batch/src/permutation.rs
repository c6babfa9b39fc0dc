//! A keyed bijection over `[0, n)`: every shuffling here is one of these.
//!
//! ```text
//! bits  = bits needed for n - 1, cut into a low half of ceil(bits/2) and a high half of floor(bits/2)
//! round = high ^= F(low, key[0]); low ^= F(high, key[1]); high ^= F(low, key[2]); …   (8 rounds)
//! walk  = apply the rounds until the value is below n
//! ```
//!
//! 1. Each round changes one half by a function of the other, so it is undone by itself: a bijection over
//!    `[0, 2^bits)` whatever `F` is.
//! 2. Walking the cycle of a bijection from a value below `n` comes back below `n`, and is undone by walking
//!    backwards: a bijection over `[0, n)`. As `2^bits < 2n`, two applications suffice on average.
//! 3. Unequal halves (they differ by at most one bit) keep that bound for odd `bits`; equal halves would allow `4n`.
//! 4. No table is drawn: position `k` of any epoch costs the same, so resuming is arithmetic.

use std::ops::Range;

use crate::ORDER_VERSION;
use crate::many::apply_all;

const ROUNDS: usize = 8;

/// A permutation of `n` values, of which nothing is in memory but its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permutation {
    n: u64,
    rounds: Rounds,
}

/// The rounds over the next power of two, and their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rounds {
    low_bits: u32,
    low_mask: u64,
    high_mask: u64,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// Draw the permutation of `n` values (at most 2⁶³) that `seed` and `number` determine.
    pub(crate) fn draw(n: u64, seed: u64, number: u64) -> Self {
        let bits = u64::BITS - n.saturating_sub(1).leading_zeros();
        let (low_bits, high_bits) = (bits.div_ceil(2), bits / 2);
        let mut state = derive(seed, u64::from(ORDER_VERSION).rotate_left(56), number);
        let keys = std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state)
        });
        let (low_mask, high_mask) = ((1 << low_bits) - 1, (1 << high_bits) - 1);
        Self { n, rounds: Rounds { low_bits, low_mask, high_mask, keys } }
    }

    /// Values that it permutes.
    pub(crate) const fn len(&self) -> u64 {
        self.n
    }

    /// Give what stands at `value`, which must be below [`len`](Self::len).
    #[inline]
    pub(crate) fn apply(&self, value: u64) -> u64 {
        debug_assert!(value < self.n, "{value} of {}", self.n);
        let mut value = self.rounds.forward(value);
        while value >= self.n {
            value = self.rounds.forward(value);
        }
        value
    }

    /// Append what stands at some places below [`len`](Self::len).
    pub(crate) fn extend(&self, places: Range<u64>, found: &mut Vec<u64>) {
        let before = found.len();
        found.extend(places);
        apply_all(&self.rounds, self.n, &mut found[before..]);
    }

    /// Give where `value` stands: the inverse of [`apply`](Self::apply).
    pub(crate) fn invert(&self, value: u64) -> u64 {
        debug_assert!(value < self.n, "{value} of {}", self.n);
        let mut value = self.rounds.backward(value);
        while value >= self.n {
            value = self.rounds.backward(value);
        }
        value
    }

    #[cfg(test)]
    pub(crate) const fn rounds(&self) -> &Rounds {
        &self.rounds
    }
}

impl Rounds {
    /// Give what the rounds make of a value below the power of two.
    #[inline]
    pub(crate) fn forward(&self, value: u64) -> u64 {
        let (mut low, mut high) = (value & self.low_mask, value >> self.low_bits);
        for pair in self.keys.chunks_exact(2) {
            high ^= half(low, pair[0]) & self.high_mask;
            low ^= half(high, pair[1]) & self.low_mask;
        }
        (high << self.low_bits) | low
    }

    /// The same for several values side by side.
    #[inline(always)]
    pub(crate) fn forward_lanes<const LANES: usize>(&self, values: &mut [u64; LANES]) {
        let mut lows = values.map(|value| value & self.low_mask);
        let mut highs = values.map(|value| value >> self.low_bits);
        for pair in self.keys.chunks_exact(2) {
            for (high, &low) in highs.iter_mut().zip(&lows) {
                *high ^= half(low, pair[0]) & self.high_mask;
            }
            for (low, &high) in lows.iter_mut().zip(&highs) {
                *low ^= half(high, pair[1]) & self.low_mask;
            }
        }
        for (value, (low, high)) in values.iter_mut().zip(lows.into_iter().zip(highs)) {
            *value = (high << self.low_bits) | low;
        }
    }

    fn backward(&self, value: u64) -> u64 {
        let (mut low, mut high) = (value & self.low_mask, value >> self.low_bits);
        for pair in self.keys.rchunks_exact(2) {
            low ^= half(high, pair[1]) & self.low_mask;
            high ^= half(low, pair[0]) & self.high_mask;
        }
        (high << self.low_bits) | low
    }
}

/// Give the seed that `purpose` and `number` make of `seed`: other purposes and numbers, unrelated seeds.
pub(crate) fn derive(seed: u64, purpose: u64, number: u64) -> u64 {
    mix(mix(seed ^ purpose) ^ number)
}

/// One round's function: a multiplication spreads the half over the upper bits, which are the ones used.
#[inline(always)]
fn half(value: u64, key: u64) -> u64 {
    let product = (value ^ key).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (product ^ (product >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014): every input bit flips every output bit half the time.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
#[path = "permutation_tests.rs"]
mod tests;
