//! What a `.npy` header's `descr` says of an element, and the column that it becomes.
//!
//! <https://numpy.org/doc/stable/reference/arrays.interface.html#object.__array_interface__> has the type strings.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};

use super::literal::Literal;
use crate::source::rows::field;
use crate::spec::{EXTENSION_METADATA, EXTENSION_NAME, TENSOR_EXTENSION};

/// Fields of a structured type that are followed.
const MAX_FIELDS: usize = 10_000;

/// Why an array can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::source) enum Refused {
    /// It is none, or a damaged one.
    Odd(String),
    /// It is one that has no columns.
    Unsupported(String),
    /// It consists of pickles.
    Pickled,
}

/// How values lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As Arrow has them, but for the order of bytes.
    Plain,
    /// A byte, not 0 if true.
    Bool,
    /// 64 bits, the least of which numbers means that there is none.
    Time,
    /// The same, in days, where Arrow has 32 bits.
    Days,
    /// Bytes, filled up with zeros.
    Bytes,
    /// UTF-32, filled up with zeros.
    Text,
}

/// The type of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dtype {
    pub(super) kind: Kind,
    pub(super) data_type: DataType,
    pub(super) width: usize,
    pub(super) big_endian: bool,
}

/// One column, within a row of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    /// Shape of a row's values; empty for one value.
    pub(super) shape: Vec<usize>,
    /// Where it begins in a row.
    pub(super) offset: usize,
    /// Bytes that it has in a row.
    pub(super) bytes: usize,
}

impl Cell {
    /// Place values of a shape at an offset.
    fn new(name: &str, dtype: Dtype, shape: Vec<usize>, offset: usize) -> Result<Self, Refused> {
        let elements = shape.iter().try_fold(1usize, |product, axis| product.checked_mul(*axis));
        let bytes = elements.and_then(|n| n.checked_mul(dtype.width)).filter(|n| i32::try_from(*n).is_ok());
        let bytes = bytes
            .ok_or_else(|| Refused::Unsupported(format!("a row of the shape {shape:?} is too large")))?;
        if bytes == 0 {
            return Err(Refused::Unsupported(format!("a row of the shape {shape:?} holds nothing")));
        }
        if !shape.is_empty() && matches!(dtype.kind, Kind::Bytes | Kind::Text | Kind::Time | Kind::Days) {
            let what = "texts, bytes and times are read from arrays with one axis; reshape it before saving";
            return Err(Refused::Unsupported(what.to_owned()));
        }
        Ok(Self { name: name.to_owned(), dtype, shape, offset, bytes })
    }

    /// Give the column's field.
    pub(super) fn field(&self) -> Field {
        if self.shape.is_empty() {
            let may_be_null = matches!(self.dtype.kind, Kind::Time | Kind::Days);
            return field(&self.name, self.dtype.data_type.clone()).with_nullable(may_be_null);
        }
        tensor(&self.name, &self.dtype.data_type, &self.shape).with_nullable(false)
    }
}

/// Make the field of a tensor a row; its storage has fewer than 2³¹ values.
pub(in crate::source) fn tensor(name: &str, item: &DataType, shape: &[usize]) -> Field {
    let size = i32::try_from(shape.iter().product::<usize>()).unwrap_or(i32::MAX);
    let list = DataType::FixedSizeList(Arc::new(Field::new("item", item.clone(), true)), size);
    let metadata = [
        (EXTENSION_NAME.to_owned(), TENSOR_EXTENSION.to_owned()),
        (EXTENSION_METADATA.to_owned(), format!("{{\"shape\":{shape:?}}}")),
    ];
    field(name, list).with_metadata(HashMap::from(metadata))
}

/// Say what one row of an array of `descr` consists of, and its bytes.
pub(super) fn cells(name: &str, descr: &Literal, row_shape: &[usize]) -> Result<(Vec<Cell>, usize), Refused> {
    match descr {
        Literal::Text(text) => {
            let cell = Cell::new(name, parse(text)?, row_shape.to_vec(), 0)?;
            let bytes = cell.bytes;
            Ok((vec![cell], bytes))
        }
        Literal::List(fields) if row_shape.is_empty() && fields.len() <= MAX_FIELDS => structured(fields),
        Literal::List(_) => {
            Err(Refused::Unsupported("a structured array has one axis, a row an item".to_owned()))
        }
        _ => Err(Refused::Odd("its descr is neither a type nor a list of fields".to_owned())),
    }
}

fn structured(fields: &[Literal]) -> Result<(Vec<Cell>, usize), Refused> {
    let (mut cells, mut offset) = (Vec::<Cell>::new(), 0usize);
    for entry in fields {
        let Literal::Tuple(parts) = entry else { return Err(Refused::Odd("a field is no tuple".to_owned())) };
        let (name, text, shape) = match parts.as_slice() {
            [name, Literal::Text(text)] => (name, text, Vec::new()),
            [name, Literal::Text(text), shape] => (name, text, axes(shape)?),
            [_, Literal::List(_), ..] => {
                let what = "a field has fields of its own; save these as fields of the array";
                return Err(Refused::Unsupported(what.to_owned()));
            }
            _ => {
                return Err(Refused::Odd(
                    "a field is neither name and type nor name, type and shape".to_owned(),
                ));
            }
        };
        // A field with a title has both in a tuple, the name last.
        let name = match name {
            Literal::Text(name) => name,
            Literal::Tuple(names) if matches!(names.as_slice(), [_, Literal::Text(_)]) => match &names[1] {
                Literal::Text(name) => name,
                _ => unreachable!("matched above"),
            },
            _ => return Err(Refused::Odd("a field's name is no text".to_owned())),
        };
        let bytes = match padding(text).filter(|_| name.is_empty()) {
            Some(bytes) => bytes,
            None => {
                let cell = Cell::new(name, parse(text)?, shape, offset)?;
                let bytes = cell.bytes;
                cells.push(cell);
                bytes
            }
        };
        offset = offset
            .checked_add(bytes)
            .filter(|end| i32::try_from(*end).is_ok())
            .ok_or_else(|| Refused::Unsupported("a row is too large".to_owned()))?;
    }
    if cells.is_empty() {
        return Err(Refused::Unsupported("its rows have no fields".to_owned()));
    }
    Ok((cells, offset))
}

/// Give the bytes of `|V4`, which is what aligned structures have between fields.
fn padding(text: &str) -> Option<usize> {
    text.strip_prefix("|V").and_then(|bytes| bytes.parse().ok())
}

/// Read a shape.
pub(super) fn axes(literal: &Literal) -> Result<Vec<usize>, Refused> {
    let axis = |literal: &Literal| match literal {
        Literal::Number(n) => usize::try_from(*n).ok(),
        _ => None,
    };
    let axes = match literal {
        Literal::Tuple(items) => items.iter().map(axis).collect(),
        one => axis(one).map(|axis| vec![axis]),
    };
    axes.ok_or_else(|| Refused::Odd("its shape is no tuple of sizes".to_owned()))
}

/// Read a type string such as `<f4`.
fn parse(text: &str) -> Result<Dtype, Refused> {
    let unsupported = |what: &str| Err(Refused::Unsupported(format!("its type {text:?} is {what}")));
    let (order, rest) = match text.as_bytes().first() {
        Some(b'<' | b'|' | b'=') => (false, &text[1..]),
        Some(b'>') => (true, &text[1..]),
        _ => (false, text),
    };
    let Some(letter) = rest.chars().next().filter(char::is_ascii) else {
        return Err(Refused::Odd("its type is empty".to_owned()));
    };
    let size = &rest[1..];
    let (kind, data_type) = match (letter, size) {
        ('O', _) => return Err(Refused::Pickled),
        ('b', "1") => (Kind::Bool, DataType::Boolean),
        ('i', "1") => (Kind::Plain, DataType::Int8),
        ('i', "2") => (Kind::Plain, DataType::Int16),
        ('i', "4") => (Kind::Plain, DataType::Int32),
        ('i', "8") => (Kind::Plain, DataType::Int64),
        ('u', "1") => (Kind::Plain, DataType::UInt8),
        ('u', "2") => (Kind::Plain, DataType::UInt16),
        ('u', "4") => (Kind::Plain, DataType::UInt32),
        ('u', "8") => (Kind::Plain, DataType::UInt64),
        ('f', "2") => (Kind::Plain, DataType::Float16),
        ('f', "4") => (Kind::Plain, DataType::Float32),
        ('f', "8") => (Kind::Plain, DataType::Float64),
        ('S' | 'a', _) => (Kind::Bytes, DataType::Binary),
        ('U', _) => (Kind::Text, DataType::Utf8),
        ('M', "8[D]") => (Kind::Days, DataType::Date32),
        ('M', unit) if time_unit(unit).is_some() => {
            (Kind::Time, DataType::Timestamp(time_unit(unit).unwrap_or(TimeUnit::Second), None))
        }
        ('m', unit) if time_unit(unit).is_some() => {
            (Kind::Time, DataType::Duration(time_unit(unit).unwrap_or(TimeUnit::Second)))
        }
        ('M' | 'm', _) => {
            return unsupported("a time in a unit that Arrow doesn't have; save it in s, ms, us or ns");
        }
        ('c', _) => return unsupported("complex; save its parts as two arrays"),
        ('f', _) => return unsupported("a number that only some machines have; save it as float64"),
        ('V', _) => return unsupported("bytes without a meaning; view them as numbers before saving"),
        _ => return Err(Refused::Odd(format!("it has the unknown type {text:?}"))),
    };
    let units = || size.parse::<usize>().ok();
    let width = match kind {
        Kind::Bool => Some(1),
        Kind::Time | Kind::Days => Some(8),
        Kind::Bytes => units(),
        Kind::Text => units().and_then(|units| units.checked_mul(4)),
        Kind::Plain => data_type.primitive_width(),
    };
    let width = width.ok_or_else(|| Refused::Odd(format!("its type {text:?} has no size")))?;
    Ok(Dtype { kind, data_type, width, big_endian: order })
}

fn time_unit(size: &str) -> Option<TimeUnit> {
    Some(match size {
        "8[s]" => TimeUnit::Second,
        "8[ms]" => TimeUnit::Millisecond,
        "8[us]" => TimeUnit::Microsecond,
        "8[ns]" => TimeUnit::Nanosecond,
        _ => return None,
    })
}
