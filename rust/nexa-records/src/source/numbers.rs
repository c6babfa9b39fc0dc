//! Numbers as text has them: eight digits at a time, and rounded as exactly as the standard library does.
//!
//! # Why this shape
//!
//! 1. Digits come in runs of every length, and a loop over them mispredicts once a number. So eight bytes are loaded,
//!    the digits at their front counted in a word and moved to its end, and all of them converted by three
//!    multiplications, whatever their number.
//! 2. A decimal of up to 2⁵³ times a power of ten of up to 10²² is one correctly rounded operation on two exact doubles
//!    (Clinger, "How to read floating point numbers accurately", PLDI 1990). Other numbers are the standard library's.

/// Powers of ten that are exact as doubles.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Powers of ten by which digits are shifted.
const SHIFTS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Digits that a 64-bit number always holds.
const SAFE_DIGITS: usize = 19;

/// Which grammar numbers are read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    /// RFC 8259, 6.
    Json,
    /// What people write in tables: also `+1`, `.5`, `5.` and `007`.
    Table,
}

/// A number's parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    /// All digits as one number; wrong where `exact` is false.
    digits: u64,
    /// Power of ten that `digits` is times; wrong where `exact` is false.
    exponent: i32,
    negative: bool,
    /// Whether it has neither point nor exponent.
    pub(super) whole: bool,
    exact: bool,
    /// Whether its first digit is a zero that another one follows.
    pub(super) padded: bool,
    /// The place behind it.
    pub(super) end: usize,
}

/// Read the number that begins at `at`; `None` if none does.
#[inline(always)]
pub(super) fn parts(text: &[u8], at: usize, grammar: Grammar) -> Option<Parts> {
    let sign = text.get(at).copied();
    let negative = sign == Some(b'-');
    let signed = negative || (grammar == Grammar::Table && sign == Some(b'+'));
    let start = at + usize::from(signed);
    let (mut digits, mut end) = run(text, start, 0);
    let whole_digits = end - start;
    let padded = whole_digits > 1 && text[start] == b'0';
    if grammar == Grammar::Json && (whole_digits == 0 || padded) {
        return None;
    }
    let (mut count, mut exponent, mut whole) = (whole_digits, 0, true);
    if text.get(end) == Some(&b'.') {
        let point = end + 1;
        (digits, end) = run(text, point, digits);
        let fraction = end - point;
        if fraction == 0 && grammar == Grammar::Json {
            return None;
        }
        count += fraction;
        exponent = -i32::try_from(fraction).unwrap_or(i32::MAX);
        whole = false;
    }
    if count == 0 {
        return None;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let (power, behind) = power(text, end + 1)?;
        exponent = exponent.saturating_add(power);
        end = behind;
        whole = false;
    }
    Some(Parts { digits, exponent, negative, whole, exact: count <= SAFE_DIGITS, padded, end })
}

/// Append the digits from `at` on to `digits`; give the place behind them too.
#[inline(always)]
fn run(text: &[u8], mut at: usize, mut digits: u64) -> (u64, usize) {
    loop {
        let (value, n) = eight(load(text, at));
        digits = digits.wrapping_mul(SHIFTS[n]).wrapping_add(value);
        at += n;
        if n < 8 {
            return (digits, at);
        }
    }
}

/// Eight bytes, zeros behind the end.
#[inline]
fn load(text: &[u8], at: usize) -> u64 {
    if let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk) {
        return u64::from_le_bytes(*bytes);
    }
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Convert the digits at the front of eight bytes, and say how many there are.
#[inline]
fn eight(bytes: u64) -> (u64, usize) {
    let values = bytes ^ 0x3030_3030_3030_3030;
    // The high bit of each byte that isn't a digit. A carry reaches only bytes behind the first such one.
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    let n = others.trailing_zeros() / 8;
    // In two steps, for a shift by 64 is none.
    let half = 4 * (8 - n);
    let values = values << half << half;
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    (low.wrapping_add(high) >> 32, n as usize)
}

/// Read an exponent behind its letter.
#[cold]
fn power(text: &[u8], at: usize) -> Option<(i32, usize)> {
    let sign = text.get(at).copied();
    let start = at + usize::from(matches!(sign, Some(b'-' | b'+')));
    let n = text.get(start..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = text.get(start..start + n).filter(|digits| !digits.is_empty())?;
    let power = digits.iter().fold(0i32, |power, digit| {
        power.saturating_mul(10).saturating_add(i32::from(digit - b'0')).min(1 << 24)
    });
    Some((if sign == Some(b'-') { -power } else { power }, start + n))
}

impl Parts {
    /// Give it as a whole number, if it is one that 65 bits hold.
    #[inline]
    pub(super) fn integer(&self, text: &[u8]) -> Option<i128> {
        if !self.whole {
            return None;
        }
        let size = if self.exact { self.digits } else { long(text)? };
        Some(if self.negative { -i128::from(size) } else { i128::from(size) })
    }

    /// Give the double next to it; `text` is the number.
    #[inline]
    pub(super) fn double(&self, text: &[u8]) -> f64 {
        let power = self.exponent.unsigned_abs() as usize;
        if !self.exact || self.digits > 1 << 53 || power >= TENS.len() {
            return exactly(text);
        }
        #[expect(clippy::cast_precision_loss, reason = "up to 2⁵³ every whole number is a double")]
        let digits = self.digits as f64;
        let size = if self.exponent < 0 { digits / TENS[power] } else { digits * TENS[power] };
        if self.negative { -size } else { size }
    }

    /// Give the single next to it; `text` is the number.
    #[inline]
    pub(super) fn single(&self, text: &[u8]) -> f32 {
        let double = self.double(text);
        #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest is what is wanted")]
        let single = double as f32;
        // Rounding twice differs from rounding once only where the first lands between two singles, or on their ends.
        let between = double.to_bits() & 0x1fff_ffff == 0x1000_0000;
        if between || !(single.is_normal() || self.digits == 0) { exactly(text) } else { single }
    }
}

/// As the standard library reads it: any number of digits, any exponent.
#[cold]
fn exactly<T: std::str::FromStr + Default>(text: &[u8]) -> T {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A whole number's size, where it has more digits than always fit.
#[cold]
fn long(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.trim_start_matches(['-', '+']).parse().ok()
}

#[cfg(test)]
#[path = "numbers_tests.rs"]
mod tests;
