//! The rows of a block that pass, side by side, eight or four at a time where the CPU can: an island of `unsafe`.
//!
//! ```text
//! any CPU:  write every row, advance by one where it is kept
//! AVX2:     load 8 rows of 4 bytes (or 4 of 8); bring those that are kept to the front, by a table of 256 (or 16) orders;
//!           store all, advance by as many as are kept
//! ```
#![expect(
    unsafe_code,
    reason = "code for instructions that a CPU may lack is entered only after the CPU was asked for them"
)]

/// Append the rows that `words` keeps to the `len` rows in `held`, and return how many are there then.
///
/// `held` must have room for all `rows` and eight more behind `len`; what lies behind the result is overwritten.
#[inline]
pub(crate) fn append<const N: usize>(
    rows: &[[u8; N]],
    words: &[u64],
    held: &mut [[u8; N]],
    len: usize,
) -> usize {
    #[cfg(target_arch = "x86_64")]
    if (N == 4 || N == 8) && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
        let bytes = held.as_flattened_mut();
        // SAFETY: the CPU has both, as it was asked just now.
        return unsafe { x86::append::<N>(rows.as_flattened(), words, bytes, len) };
    }
    plain(rows, words, held, len)
}

fn plain<const N: usize>(rows: &[[u8; N]], words: &[u64], held: &mut [[u8; N]], mut len: usize) -> usize {
    for (rows, &word) in rows.chunks(64).zip(words) {
        if word == u64::MAX {
            held[len..len + 64].copy_from_slice(rows);
            len += 64;
            continue;
        }
        let mut word = word;
        for row in rows {
            held[len] = *row;
            len += (word & 1) as usize;
            word >>= 1;
        }
    }
    len
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256i, _mm256_loadu_si256, _mm256_permutevar8x32_epi32, _mm256_storeu_si256};

    /// For each choice of the 8 quarters of a vector that `N` bytes a row make, the quarters that are kept, first to last.
    const fn orders<const CHOICES: usize>(quarters: usize) -> [[u32; 8]; CHOICES] {
        let mut orders = [[0; 8]; CHOICES];
        let mut choice = 0;
        while choice < CHOICES {
            let (mut row, mut place) = (0, 0);
            while row < 8 / quarters {
                let mut quarter = 0;
                while choice >> row & 1 == 1 && quarter < quarters {
                    orders[choice][place] = (row * quarters + quarter) as u32;
                    place += 1;
                    quarter += 1;
                }
                row += 1;
            }
            choice += 1;
        }
        orders
    }

    static OF_8: [[u32; 8]; 256] = orders::<256>(1);
    static OF_4: [[u32; 8]; 16] = orders::<16>(2);

    /// Do as [`super::append`] with rows of 4 or 8 bytes.
    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn append<const N: usize>(
        rows: &[u8],
        words: &[u64],
        held: &mut [u8],
        mut len: usize,
    ) -> usize {
        let lanes = 32 / N;
        let (vectors, rest) = rows.as_chunks::<32>();
        for (at, vector) in vectors.iter().enumerate() {
            let first = at * lanes;
            let keep = (words[first / 64] >> (first % 64)) as usize & ((1 << lanes) - 1);
            let order = if N == 4 { &OF_8[keep] } else { &OF_4[keep % 16] };
            let to = &mut held[len * N..][..32];
            // SAFETY: each address is that of 32 bytes that live: a vector of rows, an order, and the place behind the rows that are
            // held, which is exclusive. None needs an alignment.
            unsafe {
                let order = _mm256_loadu_si256(order.as_ptr().cast::<__m256i>());
                let all = _mm256_loadu_si256(vector.as_ptr().cast::<__m256i>());
                let kept = _mm256_permutevar8x32_epi32(all, order);
                _mm256_storeu_si256(to.as_mut_ptr().cast::<__m256i>(), kept);
            }
            len += keep.count_ones() as usize;
        }
        for (row, bytes) in (vectors.len() * lanes..).zip(rest.as_chunks::<N>().0) {
            held[len * N..][..N].copy_from_slice(bytes);
            len += (words[row / 64] >> (row % 64) & 1) as usize;
        }
        len
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check<const N: usize>(bytes: &[u8], words: &[u64], before: usize) {
        let rows = &bytes.as_chunks::<N>().0[..words.len() * 64 - 3];
        let mut words = words.to_vec();
        if let Some(last) = words.last_mut() {
            *last &= u64::MAX >> 3;
        }
        let mut fast = vec![[0xA5; N]; before + rows.len() + 8];
        let mut slow = fast.clone();
        let len = append(rows, &words, &mut fast, before);
        assert_eq!(len, plain(rows, &words, &mut slow, before));
        assert_eq!(fast[..len], slow[..len]);
        let kept = rows.iter().enumerate().filter(|(row, _)| words[row / 64] >> (row % 64) & 1 == 1);
        assert!(slow[before..len].iter().eq(kept.map(|(_, row)| row)));
    }

    proptest! {
        #[test]
        fn each_way_keeps_the_same_rows(
            bytes in prop::collection::vec(any::<u8>(), 8 * 64 * 3),
            words in prop::collection::vec(prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)], 1..=3),
            before in 0_usize..20,
        ) {
            check::<1>(&bytes, &words, before);
            check::<2>(&bytes, &words, before);
            check::<4>(&bytes, &words, before);
            check::<8>(&bytes, &words, before);
        }
    }
}
