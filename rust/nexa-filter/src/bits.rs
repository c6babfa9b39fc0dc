//! Masks as words: 64 rows at a time, from wherever in the bytes they begin.

/// Return 64 bits from bit `first` on; those beyond the end are zero.
#[inline]
pub(crate) fn word(mask: &[u8], first: usize) -> u64 {
    let (byte, shift) = (first / 8, first % 8);
    if let Some(near) = mask.get(byte..byte + 16).and_then(|near| near.first_chunk::<16>()) {
        return (u128::from_le_bytes(*near) >> shift) as u64;
    }
    let mut near = [0; 16];
    let rest = mask.get(byte..).unwrap_or_default();
    let len = rest.len().min(16);
    near[..len].copy_from_slice(&rest[..len]);
    (u128::from_le_bytes(near) >> shift) as u64
}

/// Return the numbers of the bits that are set, ascending.
#[inline(always)]
pub(crate) fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let bit = word.trailing_zeros();
            word &= word - 1;
            bit
        })
    })
}

/// Make bits of eight bytes that are 0 or 1.
#[inline(always)]
pub(crate) fn pack(flags: [u8; 8]) -> u8 {
    // Multiplied by this, byte i, 0 or 1, lands in bit 56 + i, and no sum carries into these.
    const TO_HIGH_BITS: u64 = 0x0102_0408_1020_4080;
    (u64::from_le_bytes(flags).wrapping_mul(TO_HIGH_BITS) >> 56) as u8
}

/// Return the bits of `mask` from bit `first` on whose rows `words` keeps, side by side, in whole bytes.
pub(crate) fn take(mask: &[u8], first: usize, words: &[u64], kept: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(kept.div_ceil(64) * 8);
    let (mut held, mut len) = (0_u128, 0);
    for (at, &keep) in words.iter().enumerate() {
        let from = word(mask, first + at * 64);
        let (some, count) =
            if keep == u64::MAX { (from, 64) } else { (extract(from, keep), keep.count_ones()) };
        held |= u128::from(some) << len;
        len += count;
        if len >= 64 {
            out.extend_from_slice(&(held as u64).to_le_bytes());
            held >>= 64;
            len -= 64;
        }
    }
    out.extend_from_slice(&(held as u64).to_le_bytes());
    out.truncate(kept.div_ceil(8));
    out
}

/// Gather the bits of `from` that `keep` names at the low end.
fn extract(from: u64, keep: u64) -> u64 {
    ones(keep).zip(0..).fold(0, |found, (bit, place)| found | (from >> bit & 1) << place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bit(mask: &[u8], at: usize) -> bool {
        mask.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
    }

    proptest! {
        #[test]
        fn a_word_is_its_64_bits(mask in prop::collection::vec(any::<u8>(), 0..40), first in 0_usize..400) {
            let found = word(&mask, first);
            for at in 0..64 {
                prop_assert_eq!(found >> at & 1 == 1, bit(&mask, first + at));
            }
        }

        #[test]
        fn flags_become_bits(byte in any::<u8>(), word in any::<u64>()) {
            prop_assert_eq!(pack(std::array::from_fn(|at| byte >> at & 1)), byte);
            prop_assert_eq!(ones(word).fold(0, |all, bit| all | 1 << bit), word);
        }

        #[test]
        fn bits_that_are_kept_stand_side_by_side(
            mask in prop::collection::vec(any::<u8>(), 0..60),
            first in 0_usize..70,
            words in prop::collection::vec(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], 0..6),
        ) {
            let kept: Vec<bool> = (0..words.len() * 64)
                .filter(|&row| words[row / 64] >> (row % 64) & 1 == 1)
                .map(|row| bit(&mask, first + row))
                .collect();
            let found = take(&mask, first, &words, kept.len());
            prop_assert_eq!(found.len(), kept.len().div_ceil(8));
            for (at, &expected) in kept.iter().enumerate() {
                prop_assert_eq!(bit(&found, at), expected);
            }
        }
    }
}
