//! A hint to the memory system: random reads cost their latency once, not one after the other.
#![expect(unsafe_code, reason = "the hint is a raw instruction")]

/// Bytes of a slice's beginning that are asked for; beyond them the hardware follows a sequential read by itself.
const ASKED_BYTES: usize = 256;
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// Ask for the beginning of `bytes` to be brought into the first-level cache; returns at once and changes nothing.
#[inline(always)]
pub fn prefetch(bytes: &[u8]) {
    let asked = &bytes[..bytes.len().min(ASKED_BYTES)];
    #[cfg(target_arch = "x86_64")]
    for line in asked.chunks(LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        // SAFETY: the instruction is part of every x86-64 (SSE), reads no value and never faults; the address is
        // that of a live slice anyway.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = asked;
}
