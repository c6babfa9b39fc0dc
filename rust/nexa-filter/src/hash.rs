//! A hash for integer labels: cheaper than the standard library's, which defends against chosen keys.
//!
//! Keys come from the user's own filter, not from the data that is filtered, so nobody gains by making them collide.
//! The finaliser of `SplitMix64` (Steele, Lea, Flood 2014, `doi:10.1145/2660193.2660195`) still spreads regular labels
//! (multiples of 1,000, negative ranges) over all bits.

use std::hash::{BuildHasherDefault, Hasher};

/// Builds [`LabelHasher`]s.
pub(crate) type LabelHash = BuildHasherDefault<LabelHasher>;

/// Mixes one integer.
#[derive(Default)]
pub(crate) struct LabelHasher(u64);

impl Hasher for LabelHasher {
    fn write_i64(&mut self, label: i64) {
        let mut z = self.0 ^ label.cast_unsigned();
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.0 = z ^ (z >> 31);
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not reached by i64 keys; correct all the same.
        for &byte in bytes {
            self.write_i64(i64::from(byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
