//! Philox4x32-7, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
//! (SC 2011): rounds of two 32 × 32 → 64 bit products over a counter of 128 bits, under a key of 64.
//!
//! Seven rounds are the fewest that pass all of TestU01's BigCrush (the paper's table 2); ten, which numpy, JAX and cuRAND
//! take, keep a margin that a generator of keys would want and noise doesn't.

pub(crate) const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
pub(crate) const ROUNDS: u32 = 7;

/// Return the four words at a counter, under a key.
///
/// ```
/// assert_eq!(nexa_random::philox4x32([0; 4], [0; 2])[0], 0x5f6f_b709);
/// ```
#[inline(always)]
#[must_use]
pub const fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let mut round = 0;
    while round < ROUNDS {
        let left = (MULTIPLIERS[0] as u64) * (counter[0] as u64);
        let right = (MULTIPLIERS[1] as u64) * (counter[2] as u64);
        counter =
            [high(right) ^ counter[1] ^ key[0], low(right), high(left) ^ counter[3] ^ key[1], low(left)];
        key = next_key(key);
        round += 1;
    }
    counter
}

/// Return the key of the next round.
#[inline(always)]
pub(crate) const fn next_key(key: [u32; 2]) -> [u32; 2] {
    [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])]
}

#[expect(clippy::cast_possible_truncation, reason = "the upper half is cut off on purpose")]
const fn low(product: u64) -> u32 {
    product as u32
}

const fn high(product: u64) -> u32 {
    low(product >> 32)
}

/// All the random numbers of one purpose: a seed and what they are for.
///
/// Two streams of other seeds or purposes have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
}

impl Stream {
    /// Return the stream of a seed for a purpose, a number that each use has of its own.
    #[must_use]
    pub const fn new(seed: u64, purpose: u64) -> Self {
        // Mixed by the generator itself, so that near seeds and purposes give keys that have nothing in common.
        let mixed = philox4x32([low(purpose), high(purpose), 0x6E65_7861, 0], [low(seed), high(seed)]);
        Self { key: [mixed[0], mixed[1]] }
    }

    /// Return four words of row `row`: those at `lane`, a number below 2^32 of the row's own blocks, in epoch `epoch`.
    #[inline(always)]
    #[must_use]
    pub const fn block(&self, row: u64, epoch: u32, lane: u32) -> [u32; 4] {
        philox4x32([lane, epoch, low(row), high(row)], self.key)
    }

    /// Return the key, for a loop that makes many blocks at once by [`philox4x32`].
    #[inline(always)]
    #[must_use]
    pub const fn key(&self) -> [u32; 2] {
        self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors' library (Random123, `kat_vectors`) is tested by.
    #[test]
    fn the_words_are_those_of_the_reference() {
        let cases = [
            ([0; 4], [0; 2], [0x5f6f_b709, 0x0d89_3f64, 0x4f12_1f81, 0x4f73_0a48]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x5207_ddc2, 0x4516_5e59, 0x4d8e_e751, 0x8c52_f662]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0x4dfc_caba, 0x190a_87f0, 0xc473_62ba, 0xb6b5_242a],
            ),
        ];
        for (counter, key, words) in cases {
            assert_eq!(philox4x32(counter, key), words);
        }
    }

    #[test]
    fn streams_of_near_seeds_and_purposes_differ() {
        let first = Stream::new(0, 0).block(0, 0, 0);
        for other in [Stream::new(1, 0), Stream::new(0, 1), Stream::new(1 << 32, 0)] {
            assert_ne!(first, other.block(0, 0, 0));
        }
    }
}
