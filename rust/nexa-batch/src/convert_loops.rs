//! The loops of conversions: one for each pair of types, each known to the compiler.

use nexa_records::Element;

use crate::lanes::{Lanes, Work, dispatch};

/// Converts the numbers of a source into a target that has room for as many.
pub(crate) type Run = fn(&[u8], &mut [u8], Line);

/// What is done to each number on its way into a float.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub scale: f64,
    pub shift: f64,
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

/// Round to bfloat16 without a branch, so that the loop around it can be vectorised.
#[inline(always)]
fn brain(value: f32) -> u16 {
    let bits = value.to_bits();
    // Half of the last digit that stays, less one where that digit is even: ties go to even.
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // NaN: rounding could carry it into infinity; its upper half with the quiet bit is NaN for sure.
    let chosen = if value.is_nan() { bits | 0x0040_0000 } else { rounded };
    (chosen >> 16) as u16
}

/// Round to the odd one of the two float32 beside a number that is none: whoever rounds that to fewer digits rounds as
/// if it were the number itself. To nearest, it could become a tie that the number isn't.
#[inline(always)]
fn odd(value: f64) -> f32 {
    let near = value as f32;
    let (bits, back) = (near.to_bits(), f64::from(near));
    let other = if back.abs() > value.abs() { bits.wrapping_sub(1) } else { bits.wrapping_add(1) };
    // NaN differs from all, itself too, and has no neighbours.
    let exact = back == value || value.is_nan();
    f32::from_bits(if exact || bits & 1 == 1 { bits } else { other })
}

/// A loop over numbers of two types.
macro_rules! each {
    ($from:ty => $to:ty, |$value:ident, $line:ident| $result:expr) => {{
        struct Each<'a>(&'a [u8], &'a mut [u8], Line);
        impl Work for Each<'_> {
            #[inline(always)]
            fn run<L: Lanes>(self, _lanes: L) {
                let Self(source, target, $line) = self;
                let source = source.as_chunks::<{ size_of::<$from>() }>().0;
                let target = target.as_chunks_mut::<{ size_of::<$to>() }>().0;
                for (to, from) in target.iter_mut().zip(source) {
                    let $value = <$from>::from_ne_bytes(*from);
                    let result: $to = $result;
                    *to = result.to_ne_bytes();
                }
            }
        }
        (|source, target, line| dispatch(Each(source, target, line))) as Run
    }};
}

/// The same, eight numbers at a time.
macro_rules! eights {
    ($from:ty => $to:ty, |$values:ident, $lanes:ident, $line:ident| $result:expr) => {{
        struct Eights<'a>(&'a [u8], &'a mut [u8], Line);
        impl Work for Eights<'_> {
            #[inline(always)]
            fn run<L: Lanes>(self, $lanes: L) {
                let Self(source, target, $line) = self;
                let (source, last) = source.as_chunks::<{ size_of::<$from>() }>().0.as_chunks::<8>();
                let target = target.as_chunks_mut::<{ size_of::<$to>() }>().0;
                let (target, end) = target.split_at_mut(source.len() * 8);
                let eight = |from: &[[u8; size_of::<$from>()]; 8]| {
                    let $values = from.map(<$from>::from_ne_bytes);
                    let results: [$to; 8] = $result;
                    results.map(<$to>::to_ne_bytes)
                };
                for (to, from) in target.as_chunks_mut::<8>().0.iter_mut().zip(source) {
                    *to = eight(from);
                }
                let mut rest = [[0; size_of::<$from>()]; 8];
                rest[..last.len()].copy_from_slice(last);
                end.copy_from_slice(&eight(&rest)[..end.len()]);
            }
        }
        (|source, target, line| dispatch(Eights(source, target, line))) as Run
    }};
}

/// Choose the loop to integers that hold all of the stored ones.
pub(crate) fn widen(from: Element, to: Element) -> Option<Run> {
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

/// Choose the loop to float32.
pub(crate) fn to_single(from: Element) -> Run {
    match from {
        Element::Bool | Element::U8 => each!(u8 => f32, |value, line| line.short(f32::from(value))),
        Element::I8 => each!(i8 => f32, |value, line| line.short(f32::from(value))),
        Element::U16 => each!(u16 => f32, |value, line| line.short(f32::from(value))),
        Element::I16 => each!(i16 => f32, |value, line| line.short(f32::from(value))),
        Element::U32 => each!(u32 => f32, |value, line| line.long(f64::from(value)) as f32),
        Element::I32 => each!(i32 => f32, |value, line| line.long(f64::from(value)) as f32),
        Element::U64 => each!(u64 => f32, |value, line| line.long(value as f64) as f32),
        Element::I64 => each!(i64 => f32, |value, line| line.long(value as f64) as f32),
        Element::F16 => {
            eights!(u16 => f32, |values, lanes, line| lanes.singles(values).map(|each| line.short(each)))
        }
        Element::F32 => each!(f32 => f32, |value, line| line.short(value)),
        Element::F64 => each!(f64 => f32, |value, line| line.long(value) as f32),
    }
}

/// Choose the loop to float64.
pub(crate) fn to_double(from: Element) -> Run {
    match from {
        Element::Bool | Element::U8 => each!(u8 => f64, |value, line| line.long(f64::from(value))),
        Element::I8 => each!(i8 => f64, |value, line| line.long(f64::from(value))),
        Element::U16 => each!(u16 => f64, |value, line| line.long(f64::from(value))),
        Element::I16 => each!(i16 => f64, |value, line| line.long(f64::from(value))),
        Element::U32 => each!(u32 => f64, |value, line| line.long(f64::from(value))),
        Element::I32 => each!(i32 => f64, |value, line| line.long(f64::from(value))),
        Element::U64 => each!(u64 => f64, |value, line| line.long(value as f64)),
        Element::I64 => each!(i64 => f64, |value, line| line.long(value as f64)),
        Element::F16 => {
            eights!(u16 => f64, |values, lanes, line| lanes.singles(values).map(|each| line.long(each.into())))
        }
        Element::F32 => each!(f32 => f64, |value, line| line.long(f64::from(value))),
        Element::F64 => each!(f64 => f64, |value, line| line.long(value)),
    }
}

/// Choose the loop to bfloat16.
pub(crate) fn to_brain(from: Element) -> Run {
    match from {
        Element::Bool | Element::U8 => each!(u8 => u16, |value, line| brain(line.short(f32::from(value)))),
        Element::I8 => each!(i8 => u16, |value, line| brain(line.short(f32::from(value)))),
        Element::U16 => each!(u16 => u16, |value, line| brain(line.short(f32::from(value)))),
        Element::I16 => each!(i16 => u16, |value, line| brain(line.short(f32::from(value)))),
        Element::U32 => each!(u32 => u16, |value, line| brain(odd(line.long(f64::from(value))))),
        Element::I32 => each!(i32 => u16, |value, line| brain(odd(line.long(f64::from(value))))),
        Element::U64 => each!(u64 => u16, |value, line| brain(odd(line.long(value as f64)))),
        Element::I64 => each!(i64 => u16, |value, line| brain(odd(line.long(value as f64)))),
        Element::F16 => {
            eights!(u16 => u16, |values, lanes, line| lanes.singles(values).map(|each| brain(line.short(each))))
        }
        Element::F32 => each!(f32 => u16, |value, line| brain(line.short(value))),
        Element::F64 => each!(f64 => u16, |value, line| brain(odd(line.long(value)))),
    }
}

/// Choose the loop to float16.
pub(crate) fn to_half(from: Element) -> Run {
    macro_rules! halves {
        ($from:ty, |$value:ident, $line:ident| $wide:expr) => {
            eights!($from => u16, |values, lanes, $line| lanes.halves(values.map(|$value| $wide)))
        };
    }
    match from {
        Element::Bool | Element::U8 => halves!(u8, |value, line| line.short(f32::from(value))),
        Element::I8 => halves!(i8, |value, line| line.short(f32::from(value))),
        Element::U16 => halves!(u16, |value, line| line.short(f32::from(value))),
        Element::I16 => halves!(i16, |value, line| line.short(f32::from(value))),
        Element::U32 => halves!(u32, |value, line| odd(line.long(f64::from(value)))),
        Element::I32 => halves!(i32, |value, line| odd(line.long(f64::from(value)))),
        Element::U64 => halves!(u64, |value, line| odd(line.long(value as f64))),
        Element::I64 => halves!(i64, |value, line| odd(line.long(value as f64))),
        Element::F16 => eights!(u16 => u16, |values, lanes, line| {
            lanes.halves(lanes.singles(values).map(|each| line.short(each)))
        }),
        Element::F32 => halves!(f32, |value, line| line.short(value)),
        Element::F64 => halves!(f64, |value, line| odd(line.long(value))),
    }
}
