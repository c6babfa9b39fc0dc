//! Finds the types of columns in the fields of records.
//!
//! ```text
//! all missing → utf8    true, false → bool    whole numbers → int64, or uint64 where one is beyond and none below zero
//! numbers → float64     all else, and what begins with a zero that digits follow (it is a code, not a number) → utf8
//! ```

use arrow_schema::DataType;

use super::super::numbers::{Grammar, Parts, parts};
use super::column::{float_word, truth};

/// What a column's fields have been so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Seen {
    #[default]
    Nothing,
    Bool,
    Int,
    /// Beyond the 64 bits with a sign.
    Unsigned,
    Negative,
    Float,
    Text,
}

impl Seen {
    /// Say what a field is that isn't missing.
    pub(super) fn of(text: &[u8], quoted: bool) -> Self {
        let text = text.trim_ascii();
        if let Some(parts) = parts(text, 0, Grammar::Table).filter(|parts| parts.end == text.len()) {
            return Self::of_number(&parts, text);
        }
        if truth(text).is_some() {
            return Self::Bool;
        }
        if !quoted && float_word(text).is_some() { Self::Float } else { Self::Text }
    }

    fn of_number(parts: &Parts, text: &[u8]) -> Self {
        if parts.padded || text.first() == Some(&b'+') {
            return Self::Text;
        }
        match parts.integer(text) {
            Some(value) if i64::try_from(value).is_ok() => {
                if value < 0 {
                    Self::Negative
                } else {
                    Self::Int
                }
            }
            Some(value) if u64::try_from(value).is_ok() => Self::Unsigned,
            _ => Self::Float,
        }
    }

    /// Return what holds both.
    pub(super) fn with(self, other: Self) -> Self {
        use Seen::{Float, Int, Negative, Nothing, Text, Unsigned};
        match (self, other) {
            (one, other) if one == other => one,
            (Nothing, other) | (other, Nothing) => other,
            (Int, Negative) | (Negative, Int) => Negative,
            (Int, Unsigned) | (Unsigned, Int) => Unsigned,
            (Int | Unsigned | Negative | Float, Int | Unsigned | Negative | Float) => Float,
            _ => Text,
        }
    }

    pub(super) const fn data_type(self) -> DataType {
        match self {
            Self::Nothing | Self::Text => DataType::Utf8,
            Self::Bool => DataType::Boolean,
            Self::Int | Self::Negative => DataType::Int64,
            Self::Unsigned => DataType::UInt64,
            Self::Float => DataType::Float64,
        }
    }
}
