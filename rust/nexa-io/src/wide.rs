//! One loop, compiled for every CPU and once more for those with AVX2; which of them runs is asked as it begins.
//!
//! The loops are ordinary Rust: inlined into a function that may use wider instructions, the compiler vectorises them for these.
//! No result depends on it.
#![expect(
    unsafe_code,
    reason = "code for instructions that a CPU may lack is entered only after the CPU was asked for them"
)]

/// Work that is compiled for each kind of CPU; `run` is to be marked `#[inline(always)]`.
pub trait Work {
    /// Do it.
    fn run(self);
}

/// Do work as this CPU does it best.
#[inline]
pub fn dispatch(work: impl Work) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") {
        // SAFETY: the CPU has both, as it was asked just now.
        return unsafe { avx2(work) };
    }
    work.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi2")]
fn avx2(work: impl Work) {
    work.run();
}
