//! One loop, compiled for every CPU and once more for those with AVX2 and F16C; which of them runs is asked as it begins.
//!
//! 1. The loops are ordinary Rust: inlined into a function that may use wider instructions, the compiler vectorises them
//!    for these. No result depends on it: nothing is reordered or fused, and float16 is rounded by the same rule.
//! 2. Only float16 needs instructions by name, since no number of Rust's is one.
#![expect(
    unsafe_code,
    reason = "code for instructions that a CPU may lack is entered only after the CPU was asked for them"
)]

use half::f16;
use half::slice::HalfFloatSliceExt;

/// What a loop can do eight numbers at a time on some CPU.
pub(crate) trait Lanes: Copy {
    /// Round to float16, to nearest even; NaN stays NaN, quiet.
    fn halves(self, wide: [f32; 8]) -> [u16; 8];

    /// Widen float16.
    fn singles(self, narrow: [u16; 8]) -> [f32; 8];
}

/// Work that is compiled for each kind of CPU; `run` is to be marked `#[inline(always)]`.
pub(crate) trait Work {
    /// Do it.
    fn run<L: Lanes>(self, lanes: L);
}

/// Do work as this CPU does it best.
#[inline]
pub(crate) fn dispatch(work: impl Work) {
    #[cfg(target_arch = "x86_64")]
    if let Some(lanes) = x86::Avx2::found() {
        #[cfg(test)]
        if tests::PLAIN.get() {
            return work.run(Any);
        }
        return lanes.run(work);
    }
    work.run(Any);
}

/// Any CPU.
#[derive(Clone, Copy)]
pub(crate) struct Any;

impl Lanes for Any {
    #[inline(always)]
    fn halves(self, wide: [f32; 8]) -> [u16; 8] {
        let mut narrow = [f16::ZERO; 8];
        narrow.convert_from_f32_slice(&wide);
        narrow.map(f16::to_bits)
    }

    #[inline(always)]
    fn singles(self, narrow: [u16; 8]) -> [f32; 8] {
        let mut wide = [0.0; 8];
        narrow.map(f16::from_bits).convert_to_f32_slice(&mut wide);
        wide
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use std::arch::x86_64::{__m128i, __m256, _MM_FROUND_TO_NEAREST_INT, _mm256_cvtph_ps, _mm256_cvtps_ph};
    use std::mem::transmute;

    use super::{Lanes, Work};

    /// A CPU with AVX2 and F16C: there is a value of this type only where the CPU said so.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(());

    impl Avx2 {
        /// Ask the CPU; the answer is kept.
        #[inline]
        pub(crate) fn found() -> Option<Self> {
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c")).then_some(Self(()))
        }

        #[inline]
        pub(crate) fn run<W: Work>(self, work: W) {
            // SAFETY: `self` proves that the CPU has both.
            unsafe { run(self, work) }
        }
    }

    #[target_feature(enable = "avx2,f16c")]
    fn run<W: Work>(lanes: Avx2, work: W) {
        work.run(lanes);
    }

    impl Lanes for Avx2 {
        #[inline(always)]
        fn halves(self, wide: [f32; 8]) -> [u16; 8] {
            // SAFETY: `self` proves that the CPU has F16C.
            unsafe { halves(wide) }
        }

        #[inline(always)]
        fn singles(self, narrow: [u16; 8]) -> [f32; 8] {
            // SAFETY: `self` proves that the CPU has F16C.
            unsafe { singles(narrow) }
        }
    }

    #[inline]
    #[target_feature(enable = "f16c")]
    fn halves(wide: [f32; 8]) -> [u16; 8] {
        // SAFETY: a vector of eight numbers and an array of them are the same bytes, and any bytes are such numbers.
        unsafe {
            let narrow = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(transmute::<[f32; 8], __m256>(wide));
            transmute::<__m128i, [u16; 8]>(narrow)
        }
    }

    #[inline]
    #[target_feature(enable = "f16c")]
    fn singles(narrow: [u16; 8]) -> [f32; 8] {
        // SAFETY: as above.
        unsafe { transmute::<__m256, [f32; 8]>(_mm256_cvtph_ps(transmute::<[u16; 8], __m128i>(narrow))) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Whether work is done as on a CPU of which nothing is known.
        pub(crate) static PLAIN: Cell<bool> = const { Cell::new(false) };
    }

    /// Do the same as on any CPU, and as this one does it best.
    pub(crate) fn on_each_cpu<T>(work: impl Fn() -> T) -> [T; 2] {
        [true, false].map(|plain| {
            PLAIN.set(plain);
            let found = work();
            PLAIN.set(false);
            found
        })
    }

    fn check(bits: impl Iterator<Item = u32>) {
        let mut bits = bits.peekable();
        while bits.peek().is_some() {
            let wide: [f32; 8] = std::array::from_fn(|_| f32::from_bits(bits.next().unwrap_or(0)));
            let expected = wide.map(|value| f16::from_f32_const(value).to_bits());
            assert_eq!(Any.halves(wide), expected, "{wide:?}");
            #[cfg(target_arch = "x86_64")]
            if let Some(lanes) = x86::Avx2::found() {
                assert_eq!(lanes.halves(wide), expected, "{wide:?}");
            }
        }
    }

    #[test]
    fn halves_are_the_same_on_every_cpu() {
        check((0..=u32::MAX).step_by(9973));
        // Around each number that a float16 can be, and half-way to the next: there rounding decides.
        check((0..=u16::MAX).flat_map(|bits| {
            let wide = f16::from_bits(bits).to_f32_const().to_bits();
            [wide.wrapping_sub(1), wide, wide ^ 1, wide ^ 0x0fff, wide ^ 0x1000, wide ^ 0x1001]
        }));
    }

    #[test]
    #[ignore = "all 2^32 numbers: a minute in a release build"]
    fn halves_of_all_numbers_are_the_same_on_every_cpu() {
        check(0..=u32::MAX);
    }

    #[test]
    fn singles_are_the_same_on_every_cpu() {
        for first in (0..=u16::MAX).step_by(8) {
            let narrow: [u16; 8] = std::array::from_fn(|at| first + at as u16);
            let bits = |wide: [f32; 8]| wide.map(f32::to_bits);
            let expected = bits(narrow.map(|each| f16::from_bits(each).to_f32_const()));
            assert_eq!(bits(Any.singles(narrow)), expected);
            #[cfg(target_arch = "x86_64")]
            if let Some(lanes) = x86::Avx2::found() {
                assert_eq!(bits(lanes.singles(narrow)), expected);
            }
        }
    }
}
