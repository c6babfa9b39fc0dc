//! One column of one batch as values: numbers side by side or one of each row, flags, texts, lists.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, FixedSizeListArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use half::f16;

/// What kind of values a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Number,
    Boolean,
    Text,
    Binary,
    List,
}

/// Which of a row's numbers a column is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// That at this place.
    One(usize),
    /// All together.
    All,
}

/// The numbers of a column, row by row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Numbers<'a> {
    U8(&'a [u8]),
    I8(&'a [i8]),
    U16(&'a [u16]),
    I16(&'a [i16]),
    U32(&'a [u32]),
    I32(&'a [i32]),
    U64(&'a [u64]),
    I64(&'a [i64]),
    F16(&'a [f16]),
    F32(&'a [f32]),
    F64(&'a [f64]),
    Bool(&'a BooleanBuffer),
}

/// A column of a batch.
pub(crate) enum Cells<'a> {
    /// Rows of `width` numbers each.
    Numbers {
        numbers: Numbers<'a>,
        width: usize,
        rows: Option<&'a NullBuffer>,
        leaves: Option<&'a NullBuffer>,
    },
    /// Texts or bytes, or lists of which the lengths alone are looked at.
    Spans { kind: Kind, array: &'a dyn Array },
}

/// Do something with numbers as what they are; flags come as a closure's second arm.
macro_rules! each_type {
    ($numbers:expr, $values:ident => $done:expr, $flags:ident => $otherwise:expr) => {
        match $numbers {
            Numbers::U8($values) => $done,
            Numbers::I8($values) => $done,
            Numbers::U16($values) => $done,
            Numbers::I16($values) => $done,
            Numbers::U32($values) => $done,
            Numbers::I32($values) => $done,
            Numbers::U64($values) => $done,
            Numbers::I64($values) => $done,
            Numbers::F16($values) => $done,
            Numbers::F32($values) => $done,
            Numbers::F64($values) => $done,
            Numbers::Bool($flags) => $otherwise,
        }
    };
}

/// A number as a float and as the bits that tell it from others.
pub(crate) trait Number: Copy {
    fn wide(self) -> f64;
    type Bytes: AsRef<[u8]>;
    /// Return what equal numbers have in common: one zero, one NaN.
    fn bytes(self) -> Self::Bytes;
}

macro_rules! number {
    ($($number:ty: $wide:expr),*) => { $(impl Number for $number {
        #[inline(always)]
        fn wide(self) -> f64 {
            $wide(self)
        }

        type Bytes = [u8; size_of::<$number>()];

        #[inline(always)]
        fn bytes(self) -> Self::Bytes {
            self.to_le_bytes()
        }
    })* };
}

number!(u8: f64::from, i8: f64::from, u16: f64::from, i16: f64::from, u32: f64::from, i32: f64::from);
number!(u64: rounded_u64, i64: rounded_i64);

#[expect(
    clippy::cast_precision_loss,
    reason = "a mean needs no more; what tells integers apart is their bits"
)]
const fn rounded_u64(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "as above")]
const fn rounded_i64(value: i64) -> f64 {
    value as f64
}

macro_rules! float {
    ($($number:ty: $zero:expr, $nan:expr, $wide:expr),*) => { $(impl Number for $number {
        #[inline(always)]
        fn wide(self) -> f64 {
            $wide(self)
        }

        type Bytes = [u8; size_of::<$number>()];

        #[inline(always)]
        #[allow(clippy::float_cmp, reason = "zero of either sign")]
        fn bytes(self) -> Self::Bytes {
            let one = if self.is_nan() { $nan } else if self == $zero { $zero } else { self };
            one.to_le_bytes()
        }
    })* };
}

float!(f32: 0.0, Self::NAN, f64::from, f64: 0.0, Self::NAN, std::convert::identity, f16: Self::ZERO, Self::NAN, f64::from);

impl<'a> Cells<'a> {
    /// Look at a column; `None` if its type is none that values are known of.
    pub(crate) fn of(array: &'a dyn Array) -> Option<Self> {
        let kind = match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => Kind::Text,
            DataType::Binary | DataType::LargeBinary => Kind::Binary,
            DataType::List(_) | DataType::LargeList(_) => Kind::List,
            DataType::FixedSizeList(..) => return Self::vectors(array.as_fixed_size_list()),
            _ => {
                let numbers = Numbers::of(array)?;
                return Some(Self::Numbers { numbers, width: 1, rows: array.nulls(), leaves: None });
            }
        };
        Some(Self::Spans { kind, array })
    }

    fn vectors(list: &'a FixedSizeListArray) -> Option<Self> {
        let mut width = usize::try_from(list.value_length()).ok()?;
        let mut leaves = list.values();
        while let DataType::FixedSizeList(_, len) = leaves.data_type() {
            width = width.checked_mul(usize::try_from(*len).ok()?)?;
            leaves = leaves.as_fixed_size_list().values();
        }
        let numbers = Numbers::of(leaves.as_ref())?;
        Some(Self::Numbers { numbers, width, rows: list.nulls(), leaves: leaves.nulls() })
    }

    /// Return numbers a row; 1 for what isn't a vector.
    pub(crate) const fn width(&self) -> usize {
        match self {
            Self::Numbers { width, .. } => *width,
            Self::Spans { .. } => 1,
        }
    }

    /// Return the kind of values.
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Numbers { numbers: Numbers::Bool(_), .. } => Kind::Boolean,
            Self::Numbers { .. } => Kind::Number,
            Self::Spans { kind, .. } => *kind,
        }
    }

    /// Say whether a row's value is null or NaN, or one of its values is.
    pub(crate) fn is_missing(&self, row: usize, part: Part) -> bool {
        match *self {
            Self::Numbers { numbers, width, rows, leaves } => {
                let places = match part {
                    Part::One(at) => row * width + at..row * width + at + 1,
                    Part::All => row * width..(row + 1) * width,
                };
                places.into_iter().any(|at| is_null(rows, leaves, width, at) || numbers.wide(at).is_nan())
            }
            Self::Spans { array, .. } => array.is_null(row),
        }
    }

    /// Say whether the bits of an integer, rather than of it as a float, tell it from others.
    pub(crate) const fn by_bits(&self) -> bool {
        matches!(self, Self::Numbers { numbers: Numbers::U64(_) | Numbers::I64(_), .. })
    }
}

/// Say whether the number at `at` is null, or the row of `width` numbers that it is in.
pub(crate) fn is_null(
    rows: Option<&NullBuffer>,
    leaves: Option<&NullBuffer>,
    width: usize,
    at: usize,
) -> bool {
    rows.is_some_and(|nulls| nulls.is_null(at / width)) || leaves.is_some_and(|nulls| nulls.is_null(at))
}

impl<'a> Numbers<'a> {
    fn of(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::UInt8 => Self::U8(array.as_primitive::<UInt8Type>().values()),
            DataType::Int8 => Self::I8(array.as_primitive::<Int8Type>().values()),
            DataType::UInt16 => Self::U16(array.as_primitive::<UInt16Type>().values()),
            DataType::Int16 => Self::I16(array.as_primitive::<Int16Type>().values()),
            DataType::UInt32 => Self::U32(array.as_primitive::<UInt32Type>().values()),
            DataType::Int32 => Self::I32(array.as_primitive::<Int32Type>().values()),
            DataType::UInt64 => Self::U64(array.as_primitive::<UInt64Type>().values()),
            DataType::Int64 => Self::I64(array.as_primitive::<Int64Type>().values()),
            DataType::Float16 => Self::F16(array.as_primitive::<Float16Type>().values()),
            DataType::Float32 => Self::F32(array.as_primitive::<Float32Type>().values()),
            DataType::Float64 => Self::F64(array.as_primitive::<Float64Type>().values()),
            DataType::Boolean => Self::Bool(array.as_boolean().values()),
            _ => return None,
        })
    }

    /// Return one number.
    pub(crate) fn wide(self, at: usize) -> f64 {
        each_type!(self, values => values[at].wide(), flags => f64::from(u8::from(flags.value(at))))
    }

    /// Append numbers `first, first + stride, …`, `count` of them.
    pub(crate) fn gather(self, first: usize, stride: usize, count: usize, into: &mut Vec<f64>) {
        let flag = |flags: &BooleanBuffer, at: usize| f64::from(u8::from(flags.value(first + at * stride)));
        if stride == 1 {
            each_type!(self, values => into.extend(values[first..first + count].iter().map(|value| value.wide())),
                flags => into.extend((0..count).map(|at| flag(flags, at))));
        } else {
            // The last one's row needn't be whole.
            each_type!(self, values => {
                let rows = values[first..].chunks(stride).take(count);
                into.extend(rows.map(|row| row[0].wide()));
            }, flags => into.extend((0..count).map(|at| flag(flags, at))));
        }
    }

    /// Append the numbers at some places.
    pub(crate) fn pick(self, places: impl Iterator<Item = usize>, into: &mut Vec<f64>) {
        each_type!(self, values => into.extend(places.map(|at| values[at].wide())),
            flags => into.extend(places.map(|at| f64::from(u8::from(flags.value(at))))));
    }

    /// Return what tells the number at `at` from others.
    pub(crate) fn bits(self, at: usize) -> u64 {
        match self {
            Self::U64(values) => values[at],
            Self::I64(values) => values[at].cast_unsigned(),
            other => crate::distinct::float_key(other.wide(at)),
        }
    }

    /// Write what equal numbers have in common, of a range.
    pub(crate) fn put(self, range: Range<usize>, bytes: &mut Vec<u8>) {
        each_type!(self, values => put_all(&values[range], bytes),
            flags => bytes.extend(range.map(|at| u8::from(flags.value(at)))));
    }
}

fn put_all<T: Number>(values: &[T], bytes: &mut Vec<u8>) {
    let begun = bytes.len();
    bytes.resize(begun + size_of_val(values), 0);
    for (value, into) in values.iter().zip(bytes[begun..].chunks_exact_mut(size_of::<T>())) {
        into.copy_from_slice(value.bytes().as_ref());
    }
}

/// Return the bytes of a text or of binary data; of a list, none.
pub(crate) fn span(array: &dyn Array, row: usize) -> &[u8] {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).as_bytes(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).as_bytes(),
        DataType::Binary => array.as_binary::<i32>().value(row),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        _ => &[],
    }
}

/// Return the length of a row: characters of text, bytes, elements of a list.
pub(crate) fn length(array: &dyn Array, row: usize) -> usize {
    match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value_length(row).unsigned_abs() as usize,
        #[expect(clippy::cast_possible_truncation, reason = "a list in memory")]
        DataType::LargeList(_) => array.as_list::<i64>().value_length(row).unsigned_abs() as usize,
        DataType::Utf8 => array.as_string::<i32>().value(row).chars().count(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).chars().count(),
        _ => span(array, row).len(),
    }
}
