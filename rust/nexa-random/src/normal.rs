//! Standard normal numbers, each a function of its own words: the same on every CPU, and made eight at a time.
//!
//! ```text
//! a block's four words make the four numbers that draw from it (see `walk`), the first two of its first two words
//! two words u, v:  r = √(-2 ln u),  a = 2π v;   r cos a, r sin a                                   (Box and Muller 1958)
//! ```
//!
//! 1. Logarithm, sine and cosine are polynomials of our own computation: a library's differ from one system to the next. Products
//!    and sums aren't fused, so that the result doesn't depend on the instructions that a CPU has.
//! 2. The logarithm is that of FreeBSD's msun (`e_logf.c`: within 1 ulp), sine and cosine on [-π/4, π/4] those of Cephes
//!    (`sinf.c`: within 2^-24); the angle is reduced exactly, as the integer that it is.
//! 3. Lanes are arrays, which the compiler makes vectors of; what depends on a lane's bits is masked rather than branched on.

use crate::philox::Stream;
use crate::walk::{LANES, Step, for_each_number};

/// Write standard normal numbers for some rows.
///
/// # Args
///
/// - `stream`: of the purpose.
/// - `epoch`: another epoch draws other numbers.
/// - `rows`: the rows' numbers.
/// - `row_len`: numbers a row.
/// - `out`: `rows.len() * row_len` numbers, row by row; what is more is left as it is.
///
/// ```
/// let stream = nexa_random::Stream::new(7, 0);
/// let (mut both, mut second) = ([0.0; 10], [0.0; 5]);
/// nexa_random::fill_normal(&stream, 0, &[3, 4], 5, &mut both);
/// nexa_random::fill_normal(&stream, 0, &[4], 5, &mut second);
/// assert_eq!(both[5..], second);
/// ```
pub fn fill_normal(stream: &Stream, epoch: u32, rows: &[u64], row_len: usize, out: &mut [f32]) {
    for_each_number(stream, epoch, rows, row_len, out, Write);
}

struct Write;

impl Step for Write {
    #[inline(always)]
    fn make(&self, words: [[u32; LANES]; 2]) -> [[f32; LANES]; 2] {
        normals(words)
    }

    #[inline(always)]
    fn put(&self, _: f32, made: f32) -> f32 {
        made
    }
}

/// Return two normal numbers of each pair of words.
#[inline(always)]
pub(crate) fn normals([first, second]: [[u32; LANES]; 2]) -> [[f32; LANES]; 2] {
    let logarithm = logarithms(first);
    let (mut cosine, mut sine) = cosines_and_sines(second);
    for lane in 0..LANES {
        // The logarithm of a number up to 1 is 0 at most; rounding may make a hair more of it.
        let radius = (-2.0 * logarithm[lane]).abs().sqrt();
        cosine[lane] *= radius;
        sine[lane] *= radius;
    }
    [cosine, sine]
}

/// Return the logarithms of `(word / 2 + 1/2) / 2^31`, numbers in (0, 1].
#[inline(always)]
#[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "rounded on purpose; 31 bits")]
pub(crate) fn logarithms(words: [u32; LANES]) -> [f32; LANES] {
    const LN_2_HIGH: f32 = 0.693_138_1;
    const LN_2_LOW: f32 = 9.058_001e-6;
    const SQRT_HALF: u32 = 0x3F35_04F3;
    let mut found = [0.0; LANES];
    for lane in 0..LANES {
        let x = ((words[lane] >> 1) as i32 as f32 + 0.5) * (1.0 / (1_u32 << 31) as f32);
        // x = 2^e m, with m in [√½, √2).
        let shifted = x.to_bits().wrapping_sub(SQRT_HALF);
        let exponent = (shifted.cast_signed() >> 23) as f32;
        let f = f32::from_bits((shifted & 0x007F_FFFF).wrapping_add(SQRT_HALF)) - 1.0;
        let s = f / (2.0 + f);
        let z = s * s;
        let w = z * z;
        let odd = z * (0.666_666_6 + w * 0.284_987_87);
        let even = w * (0.400_009_72 + w * 0.242_790_79);
        let half = 0.5 * f * f;
        found[lane] = s * (half + (even + odd)) + exponent * LN_2_LOW - half + f + exponent * LN_2_HIGH;
    }
    found
}

/// Return cosines and sines of `2π word / 2^32`.
#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "rounded on purpose")]
pub(crate) fn cosines_and_sines(words: [u32; LANES]) -> ([f32; LANES], [f32; LANES]) {
    const TURN: f32 = (std::f64::consts::TAU / 4_294_967_296.0) as f32;
    let (mut cosines, mut sines) = ([0.0; LANES], [0.0; LANES]);
    for lane in 0..LANES {
        // The nearest quarter of a turn, and what is left to it.
        let quarter = words[lane].wrapping_add(1 << 29) >> 30;
        let x = words[lane].wrapping_sub(quarter << 30).cast_signed() as f32 * TURN;
        let z = x * x;
        let sine = ((-1.951_529_6e-4 * z + 8.332_161e-3) * z - 1.666_665_5e-1) * z * x + x;
        let cosine = ((2.443_315_7e-5 * z - 1.388_731_6e-3) * z + 4.166_664_6e-2) * z * z - 0.5 * z + 1.0;
        let (sine, cosine) = (sine.to_bits(), cosine.to_bits());
        // Both are swapped in odd quarters.
        let swap = (sine ^ cosine) & 0_u32.wrapping_sub(quarter & 1);
        cosines[lane] = f32::from_bits(cosine ^ swap ^ ((quarter.wrapping_add(1) & 2) << 30));
        sines[lane] = f32::from_bits(sine ^ swap ^ ((quarter & 2) << 30));
    }
    (cosines, sines)
}

#[cfg(test)]
#[path = "normal_tests.rs"]
mod tests;
