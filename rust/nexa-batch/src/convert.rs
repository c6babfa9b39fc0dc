//! Conversion on the way into a batch, so that no second pass over the numbers is needed.
//!
//! ```text
//! result = value × scale + shift        integer or float → float
//! result = value                        integer → wider integer
//! ```
//!
//! 1. Only what loses nothing but a float's last digits is allowed: an integer never becomes one that may not hold it.
//! 2. The line is computed in float32; in float64 where the stored type has 32 bits and is no float32, has 64 bits, or
//!    where the result is float64. Each result is rounded once, to nearest even.
//! 3. A loop knows both types, reads a row where it is mapped, and writes where the batch is: that is what the compiler
//!    can vectorise. A shift of zero is added as −0, the number that leaves every other as it is.

use std::fmt;
use std::str::FromStr;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use nexa_records::{Element, UnknownElement};

use crate::BatchError;

/// Type of a number in a batch: one that shards hold, or bfloat16, which Arrow doesn't know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A type that shards hold too.
    Stored(Element),
    /// The upper half of a float32.
    Bf16,
}

impl Target {
    /// Give the bytes of a number.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Stored(element) => element.bytes(),
            Self::Bf16 => 2,
        }
    }

    /// Give the name by which torch knows the type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stored(element) => element.name(),
            Self::Bf16 => "bfloat16",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = UnknownElement;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name == "bfloat16" { Ok(Self::Bf16) } else { name.parse().map(Self::Stored) }
    }
}

/// What a column's numbers become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conversion {
    /// Their type in the batch.
    pub target: Target,
    /// Factor.
    pub scale: f64,
    /// What is added after it.
    pub shift: f64,
}

/// A conversion between two types that fit.
#[derive(Clone, Copy)]
pub(crate) struct Convert {
    run: Run,
    line: Line,
}

type Run = fn(&[u8], &mut [u8], Line);

#[derive(Clone, Copy)]
struct Line {
    scale: f64,
    shift: f64,
}

impl Line {
    #[inline(always)]
    fn short(self, value: f32) -> f32 {
        value * self.scale as f32 + self.shift as f32
    }

    #[inline(always)]
    fn long(self, value: f64) -> f64 {
        value * self.scale + self.shift
    }
}

impl Convert {
    /// Choose the loop for a column, or `None` where its numbers stay as they are.
    pub(crate) fn new(column: &str, from: Element, wanted: &Conversion) -> Result<Option<Self>, BatchError> {
        let Conversion { target, scale, shift } = *wanted;
        let refuse = |detail: &str| BatchError::Conversion {
            column: column.to_owned(),
            from: from.name(),
            to: target.name(),
            detail: detail.to_owned(),
        };
        let plain = scale == 1.0 && shift == 0.0;
        if !(scale.is_finite() && shift.is_finite()) {
            return Err(refuse("scale and shift are finite numbers"));
        }
        if plain && target == Target::Stored(from) {
            return Ok(None);
        }
        let run = match target {
            Target::Stored(Element::F16) => to_half(from),
            Target::Stored(Element::F32) => to_single(from),
            Target::Stored(Element::F64) => to_double(from),
            Target::Bf16 => to_brain(from),
            Target::Stored(_) if !plain => return Err(refuse("scale and shift want a float as result")),
            Target::Stored(to) => widen(from, to)
                .ok_or_else(|| refuse("integers become floats, or integers that hold all of them"))?,
        };
        let shift = if shift == 0.0 { -0.0 } else { shift };
        Ok(Some(Self { run, line: Line { scale, shift } }))
    }

    /// Convert the numbers of `source` into `target`, which has room for as many.
    #[inline]
    pub(crate) fn run(&self, source: &[u8], target: &mut [u8]) {
        (self.run)(source, target, self.line);
    }
}

impl fmt::Debug for Convert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Convert").field("scale", &self.line.scale).field("shift", &self.line.shift).finish()
    }
}

/// A loop over numbers of two types that the compiler knows.
macro_rules! each {
    ($from:ty => $to:ty, |$value:ident, $line:ident| $result:expr) => {{
        fn run(source: &[u8], target: &mut [u8], $line: Line) {
            let source = source.as_chunks::<{ size_of::<$from>() }>().0;
            let target = target.as_chunks_mut::<{ size_of::<$to>() }>().0;
            for (to, from) in target.iter_mut().zip(source) {
                let $value = <$from>::from_ne_bytes(*from);
                let result: $to = $result;
                *to = result.to_ne_bytes();
            }
        }
        run as Run
    }};
}

fn widen(from: Element, to: Element) -> Option<Run> {
    macro_rules! table {
        ($($pattern:pat, $from:ty => $($to:ident $type:ty),+;)*) => {
            match (from, to) {
                $($(($pattern, Element::$to) => Some(each!($from => $type, |value, _line| value.into())),)+)*
                _ => None,
            }
        };
    }
    table! {
        Element::Bool, u8 => U8 u8, I8 u8;
        Element::Bool | Element::U8, u8 => I16 i16, U16 u16, I32 i32, U32 u32, I64 i64, U64 u64;
        Element::I8, i8 => I16 i16, I32 i32, I64 i64;
        Element::U16, u16 => I32 i32, U32 u32, I64 i64, U64 u64;
        Element::I16, i16 => I32 i32, I64 i64;
        Element::U32, u32 => I64 i64, U64 u64;
        Element::I32, i32 => I64 i64;
    }
}

fn to_single(from: Element) -> Run {
    match from {
        Element::Bool | Element::U8 => each!(u8 => f32, |value, line| line.short(f32::from(value))),
        Element::I8 => each!(i8 => f32, |value, line| line.short(f32::from(value))),
        Element::U16 => each!(u16 => f32, |value, line| line.short(f32::from(value))),
        Element::I16 => each!(i16 => f32, |value, line| line.short(f32::from(value))),
        Element::U32 => each!(u32 => f32, |value, line| line.long(f64::from(value)) as f32),
        Element::I32 => each!(i32 => f32, |value, line| line.long(f64::from(value)) as f32),
        Element::U64 => each!(u64 => f32, |value, line| line.long(value as f64) as f32),
        Element::I64 => each!(i64 => f32, |value, line| line.long(value as f64) as f32),
        Element::F16 => |source, target, line| {
            from_halves(
                source,
                target,
                |wide, target: &mut [u8]| {
                    for (to, value) in target.as_chunks_mut::<4>().0.iter_mut().zip(wide) {
                        *to = line.short(*value).to_ne_bytes();
                    }
                },
                4,
            );
        },
        Element::F32 => each!(f32 => f32, |value, line| line.short(value)),
        Element::F64 => each!(f64 => f32, |value, line| line.long(value) as f32),
    }
}

fn to_double(from: Element) -> Run {
    match from {
        Element::Bool | Element::U8 => each!(u8 => f64, |value, line| line.long(f64::from(value))),
        Element::I8 => each!(i8 => f64, |value, line| line.long(f64::from(value))),
        Element::U16 => each!(u16 => f64, |value, line| line.long(f64::from(value))),
        Element::I16 => each!(i16 => f64, |value, line| line.long(f64::from(value))),
        Element::U32 => each!(u32 => f64, |value, line| line.long(f64::from(value))),
        Element::I32 => each!(i32 => f64, |value, line| line.long(f64::from(value))),
        Element::U64 => each!(u64 => f64, |value, line| line.long(value as f64)),
        Element::I64 => each!(i64 => f64, |value, line| line.long(value as f64)),
        Element::F16 => |source, target, line| {
            from_halves(
                source,
                target,
                |wide, target: &mut [u8]| {
                    for (to, value) in target.as_chunks_mut::<8>().0.iter_mut().zip(wide) {
                        *to = line.long(f64::from(*value)).to_ne_bytes();
                    }
                },
                8,
            );
        },
        Element::F32 => each!(f32 => f64, |value, line| line.long(f64::from(value))),
        Element::F64 => each!(f64 => f64, |value, line| line.long(value)),
    }
}

fn to_brain(from: Element) -> Run {
    match from {
        Element::Bool | Element::U8 => each!(u8 => u16, |value, line| brain(line.short(f32::from(value)))),
        Element::I8 => each!(i8 => u16, |value, line| brain(line.short(f32::from(value)))),
        Element::U16 => each!(u16 => u16, |value, line| brain(line.short(f32::from(value)))),
        Element::I16 => each!(i16 => u16, |value, line| brain(line.short(f32::from(value)))),
        Element::U32 => {
            each!(u32 => u16, |value, line| bf16::from_f64(line.long(f64::from(value))).to_bits())
        }
        Element::I32 => {
            each!(i32 => u16, |value, line| bf16::from_f64(line.long(f64::from(value))).to_bits())
        }
        Element::U64 => each!(u64 => u16, |value, line| bf16::from_f64(line.long(value as f64)).to_bits()),
        Element::I64 => each!(i64 => u16, |value, line| bf16::from_f64(line.long(value as f64)).to_bits()),
        Element::F16 => |source, target, line| {
            from_halves(
                source,
                target,
                |wide, target: &mut [u8]| {
                    for (to, value) in target.as_chunks_mut::<2>().0.iter_mut().zip(wide) {
                        *to = brain(line.short(*value)).to_ne_bytes();
                    }
                },
                2,
            );
        },
        Element::F32 => each!(f32 => u16, |value, line| brain(line.short(value))),
        Element::F64 => each!(f64 => u16, |value, line| bf16::from_f64(line.long(value)).to_bits()),
    }
}

/// Round to bfloat16 without a branch, so that the loop around it can be vectorised.
#[inline(always)]
fn brain(value: f32) -> u16 {
    let bits = value.to_bits();
    // Half of the last digit that stays, less one where that digit is even: ties go to even.
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // NaN: rounding could carry it into infinity; its upper half with the quiet bit is NaN for sure.
    let chosen = if bits & 0x7fff_ffff > 0x7f80_0000 { bits | 0x0040_0000 } else { rounded };
    (chosen >> 16) as u16
}

/// Numbers that pass through float32 at a time on their way from or to float16.
const HALVES: usize = 64;

/// A loop to float16 through a few float32, which the `half` crate converts by the CPU's instruction where it has one.
macro_rules! halves {
    ($from:ty, |$value:ident, $line:ident| $wide:expr) => {{
        fn run(source: &[u8], target: &mut [u8], $line: Line) {
            let mut wide = [0_f32; HALVES];
            let source = source.as_chunks::<{ size_of::<$from>() }>().0;
            for (from, to) in source.chunks(HALVES).zip(target.chunks_mut(HALVES * 2)) {
                for (wide, from) in wide.iter_mut().zip(from) {
                    let $value = <$from>::from_ne_bytes(*from);
                    *wide = $wide;
                }
                write_halves(&wide[..from.len()], to);
            }
        }
        run as Run
    }};
}

fn to_half(from: Element) -> Run {
    match from {
        Element::Bool | Element::U8 => halves!(u8, |value, line| line.short(f32::from(value))),
        Element::I8 => halves!(i8, |value, line| line.short(f32::from(value))),
        Element::U16 => halves!(u16, |value, line| line.short(f32::from(value))),
        Element::I16 => halves!(i16, |value, line| line.short(f32::from(value))),
        Element::U32 => each!(u32 => u16, |value, line| f16::from_f64(line.long(f64::from(value))).to_bits()),
        Element::I32 => each!(i32 => u16, |value, line| f16::from_f64(line.long(f64::from(value))).to_bits()),
        Element::U64 => each!(u64 => u16, |value, line| f16::from_f64(line.long(value as f64)).to_bits()),
        Element::I64 => each!(i64 => u16, |value, line| f16::from_f64(line.long(value as f64)).to_bits()),
        Element::F16 => |source, target, line| {
            from_halves(
                source,
                target,
                |wide, target: &mut [u8]| {
                    let mut moved = [0_f32; HALVES];
                    for (to, value) in moved.iter_mut().zip(wide) {
                        *to = line.short(*value);
                    }
                    write_halves(&moved[..wide.len()], target);
                },
                2,
            );
        },
        Element::F32 => halves!(f32, |value, line| line.short(value)),
        Element::F64 => each!(f64 => u16, |value, line| f16::from_f64(line.long(value)).to_bits()),
    }
}

/// Give float16 as float32, a few at a time, to `write` with their place in the target.
fn from_halves(source: &[u8], target: &mut [u8], write: impl Fn(&[f32], &mut [u8]), bytes: usize) {
    let (mut narrow, mut wide) = ([f16::ZERO; HALVES], [0_f32; HALVES]);
    let source = source.as_chunks::<2>().0;
    for (from, to) in source.chunks(HALVES).zip(target.chunks_mut(HALVES * bytes)) {
        for (narrow, from) in narrow.iter_mut().zip(from) {
            *narrow = f16::from_ne_bytes(*from);
        }
        let count = from.len();
        narrow[..count].convert_to_f32_slice(&mut wide[..count]);
        write(&wide[..count], to);
    }
}

fn write_halves(wide: &[f32], target: &mut [u8]) {
    let mut narrow = [f16::ZERO; HALVES];
    narrow[..wide.len()].convert_from_f32_slice(wide);
    for (to, value) in target.as_chunks_mut::<2>().0.iter_mut().zip(&narrow) {
        *to = value.to_ne_bytes();
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
