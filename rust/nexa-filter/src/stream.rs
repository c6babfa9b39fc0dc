//! Copies past the caches: memory that is written and not soon read needs no room in them, nor to be read before.
//!
//! An ordinary store to a line that no cache holds reads the line first. Where hundreds of megabytes are written, that is a third of
//! all traffic.
#![expect(unsafe_code, reason = "streaming stores are instructions without a safe name")]

/// Copy `from` to `to`, which is as long, past the caches where `to` is aligned for it.
///
/// Other threads may see the bytes only after [`finish`] on this one.
#[inline(always)]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};

        let from = &from[..to.len()];
        let head = to.as_ptr().addr().wrapping_neg() % WIDE;
        let head = head.min(to.len());
        let (to_head, to) = to.split_at_mut(head);
        let (from_head, from) = from.split_at(head);
        to_head.copy_from_slice(from_head);
        let (to, to_tail) = to.as_chunks_mut::<WIDE>();
        let (from, from_tail) = from.as_chunks::<WIDE>();
        for (to, from) in to.iter_mut().zip(from) {
            // SAFETY: SSE2 is part of every x86-64. Both are 16 bytes that live; `to` is exclusive, and aligned: it stands
            // behind the head, which ends at a multiple of 16. Any bytes are such vectors. The order of the stores among
            // others' is what `finish` is for.
            unsafe {
                let bytes = _mm_loadu_si128(from.as_ptr().cast::<__m128i>());
                _mm_stream_si128(to.as_mut_ptr().cast::<__m128i>(), bytes);
            }
        }
        to_tail.copy_from_slice(from_tail);
    }
    #[cfg(not(target_arch = "x86_64"))]
    to.copy_from_slice(from);
}

/// Let the copies of this thread be seen before anything that it does from here on.
pub(crate) fn finish() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of every x86-64; the instruction only orders stores.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

#[cfg(target_arch = "x86_64")]
const WIDE: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_copy_is_a_copy_wherever_it_begins(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            to_first in 0_usize..40,
            from_first in 0_usize..40,
        ) {
            let from = &bytes[from_first.min(bytes.len())..];
            let mut target = vec![0xA5; to_first + from.len() + 20];
            copy(&mut target[to_first..to_first + from.len()], from);
            finish();
            prop_assert_eq!(&target[to_first..to_first + from.len()], from);
            prop_assert!(target[..to_first].iter().chain(&target[to_first + from.len()..]).all(|&byte| byte == 0xA5));
        }
    }
}
