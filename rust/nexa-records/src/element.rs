//! The element types of a batch exist as one enum so that Rust, numpy and torch agree on names and widths.

use std::fmt;
use std::str::FromStr;

use arrow_schema::DataType;

/// Type of one element of a fixed-width column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// One byte an element, 0 or 1. Arrow packs booleans into bits; they are unpacked on the way out.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// IEEE 754 half precision.
    F16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
}

impl Element {
    /// Every element type.
    pub const ALL: [Self; 12] = [
        Self::Bool,
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::F16,
        Self::F32,
        Self::F64,
    ];

    /// Give the bytes that one element takes in a batch.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Give the name by which numpy and torch know the type, such as `float32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// Give the Arrow primitive of the element type.
    #[must_use]
    pub const fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::U8 => DataType::UInt8,
            Self::I8 => DataType::Int8,
            Self::U16 => DataType::UInt16,
            Self::I16 => DataType::Int16,
            Self::U32 => DataType::UInt32,
            Self::I32 => DataType::Int32,
            Self::U64 => DataType::UInt64,
            Self::I64 => DataType::Int64,
            Self::F16 => DataType::Float16,
            Self::F32 => DataType::Float32,
            Self::F64 => DataType::Float64,
        }
    }

    /// Give the element type of an Arrow primitive, or `None` where a batch has no such type.
    #[must_use]
    pub const fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Boolean => Some(Self::Bool),
            DataType::UInt8 => Some(Self::U8),
            DataType::Int8 => Some(Self::I8),
            DataType::UInt16 => Some(Self::U16),
            DataType::Int16 => Some(Self::I16),
            DataType::UInt32 => Some(Self::U32),
            DataType::Int32 => Some(Self::I32),
            DataType::UInt64 => Some(Self::U64),
            DataType::Int64 => Some(Self::I64),
            DataType::Float16 => Some(Self::F16),
            DataType::Float32 => Some(Self::F32),
            DataType::Float64 => Some(Self::F64),
            _ => None,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is none of [`Element`]'s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown element type {name:?}; known are bool, uint8, int8, uint16, int16, uint32, int32, uint64, int64, \
     float16, float32 and float64"
)]
pub struct UnknownElement {
    /// The name as it was given.
    pub name: String,
}

impl FromStr for Element {
    type Err = UnknownElement;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|element| element.name() == name)
            .ok_or_else(|| UnknownElement { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back() {
        for element in Element::ALL {
            assert_eq!(element.name().parse::<Element>().unwrap(), element);
        }
    }

    #[test]
    fn every_arrow_primitive_leads_back() {
        for element in Element::ALL {
            assert_eq!(Element::of(&element.data_type()), Some(element));
        }
    }

    #[test]
    fn an_unknown_name_is_refused_by_name() {
        let error = "float31".parse::<Element>().unwrap_err();
        assert!(error.to_string().contains("\"float31\""), "{error}");
    }
}
