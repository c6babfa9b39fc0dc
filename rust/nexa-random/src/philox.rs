//! Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
//! 3" (SC 2011): ten rounds of two 32 × 32 → 64 bit products over a counter of 128 bits, under a key of 64.
//!
//! It passes TestU01's BigCrush, and is what numpy, JAX, `TensorFlow` and cuRAND offer under the same name.

pub(crate) const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
pub(crate) const ROUNDS: u32 = 10;

/// Return the four words at a counter, under a key.
///
/// ```
/// assert_eq!(nexa_random::philox4x32([0; 4], [0; 2])[0], 0x6627_e8d5);
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
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
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
