//! Reads a field straight into its column.

use arrow_array::OffsetSizeTrait;

use super::super::growing::{Bools, Grow, Numbers, Texts};
use super::super::jsonl::value::Native;
use super::super::numbers::{Grammar, parts};

/// A column that fields are read into.
pub(super) trait Fields: Grow {
    /// Read the field that begins at `at`, where it is of the common form; give the place behind it. `None` changes
    /// nothing: [`careful`](Self::careful) knows what it is.
    fn quick(&mut self, record: &[u8], at: usize, delimiter: u8) -> Option<usize>;

    /// Read any field that isn't a missing value.
    ///
    /// # Errors
    /// What is expected instead.
    fn careful(&mut self, text: &[u8]) -> Result<(), &'static str>;
}

/// Say whether a field ends at `at`.
#[inline]
fn ends(record: &[u8], at: usize, delimiter: u8) -> bool {
    record.get(at).is_none_or(|byte| *byte == delimiter)
}

impl<T: Native> Fields for Numbers<T> {
    #[inline]
    fn quick(&mut self, record: &[u8], at: usize, delimiter: u8) -> Option<usize> {
        let parts = parts(record, at, Grammar::Table)?;
        if !ends(record, parts.end, delimiter) {
            return None;
        }
        let value = T::of(&parts, &record[at..parts.end])?;
        self.push(value);
        Some(parts.end)
    }

    fn careful(&mut self, text: &[u8]) -> Result<(), &'static str> {
        let text = text.trim_ascii();
        let number = parts(text, 0, Grammar::Table).filter(|parts| parts.end == text.len());
        let number = number.and_then(|parts| T::of(&parts, text));
        let value = number.or_else(|| float_word(text).and_then(T::of_word)).ok_or(T::NAME)?;
        self.push(value);
        Ok(())
    }
}

/// Read a word that stands for a number, in any case and with any sign.
pub(super) fn float_word(text: &[u8]) -> Option<f64> {
    let (sign, word) = match text {
        [b'-', word @ ..] => (-1.0, word),
        [b'+', word @ ..] => (1.0, word),
        word => (1.0, word),
    };
    if word.eq_ignore_ascii_case(b"nan") {
        return Some(f64::NAN);
    }
    let infinity = word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"infinity");
    infinity.then_some(sign * f64::INFINITY)
}

/// Read a truth value as languages write it: `true`, `True` or `TRUE`.
pub(super) fn truth(text: &[u8]) -> Option<bool> {
    match text {
        b"true" | b"True" | b"TRUE" => Some(true),
        b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}

impl Fields for Bools {
    fn quick(&mut self, _: &[u8], _: usize, _: u8) -> Option<usize> {
        None
    }

    fn careful(&mut self, text: &[u8]) -> Result<(), &'static str> {
        self.push(truth(text.trim_ascii()).ok_or("bool (true or false)")?);
        Ok(())
    }
}

/// Text is never quick: whether it is missing has to be looked at.
impl<O: OffsetSizeTrait> Fields for Texts<O> {
    fn quick(&mut self, _: &[u8], _: usize, _: u8) -> Option<usize> {
        None
    }

    fn careful(&mut self, text: &[u8]) -> Result<(), &'static str> {
        self.push(text);
        Ok(())
    }
}
