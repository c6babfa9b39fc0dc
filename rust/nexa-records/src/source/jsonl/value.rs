//! Reads a value straight into its column.

use arrow_array::OffsetSizeTrait;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};

use super::super::growing::{Bools, FixedLists, Grow, Lists, Nothing, Numbers, Texts};
use super::super::numbers::{Grammar, Parts, parts};
use super::cursor::{Cursor, Flaw};
use super::{skip, string};

/// A column that values are read into.
pub(super) trait Value: Grow {
    /// Read the value that comes next.
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Flaw>;

    /// Read the elements of the list whose bracket comes next. Every column has a loop of its own, so that which type it
    /// is of is asked once a list and not once an element.
    fn elements(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
        cursor.enter()?;
        cursor.space();
        if !cursor.take(b']') {
            loop {
                cursor.space();
                self.value(cursor)?;
                if !cursor.more(b']')? {
                    break;
                }
            }
        }
        cursor.leave();
        Ok(())
    }
}

/// Append a missing value if that is what comes next; else say what is expected.
#[cold]
fn null_or<C: Grow>(column: &mut C, cursor: &mut Cursor<'_>, wanted: &str) -> Result<(), Flaw> {
    if cursor.word(b"null") {
        column.null();
        return Ok(());
    }
    Err(cursor.unfit(wanted))
}

/// A number type that JSON's numbers become.
pub(in super::super) trait Native: ArrowPrimitiveType {
    /// What messages call it.
    const NAME: &'static str;

    /// Convert a number; `None` where it doesn't fit.
    fn of(parts: &Parts, text: &[u8]) -> Option<Self::Native>;

    /// Convert what isn't written as a number.
    fn of_word(word: f64) -> Option<Self::Native>;
}

macro_rules! whole_numbers {
    ($($type:ty, $name:literal;)*) => {$(
        impl Native for $type {
            const NAME: &'static str = $name;

            #[inline]
            fn of(parts: &Parts, text: &[u8]) -> Option<Self::Native> {
                parts.integer(text)?.try_into().ok()
            }

            fn of_word(_: f64) -> Option<Self::Native> {
                None
            }
        }
    )*};
}

whole_numbers! {
    Int8Type, "int8"; Int16Type, "int16"; Int32Type, "int32"; Int64Type, "int64";
    UInt8Type, "uint8"; UInt16Type, "uint16"; UInt32Type, "uint32"; UInt64Type, "uint64";
}

impl Native for Float64Type {
    const NAME: &'static str = "float64";

    #[inline]
    fn of(parts: &Parts, text: &[u8]) -> Option<f64> {
        Some(parts.double(text))
    }

    fn of_word(word: f64) -> Option<f64> {
        Some(word)
    }
}

impl Native for Float32Type {
    const NAME: &'static str = "float32";

    #[inline]
    fn of(parts: &Parts, text: &[u8]) -> Option<f32> {
        Some(parts.single(text))
    }

    #[expect(clippy::cast_possible_truncation, reason = "NaN and infinity have no digits to lose")]
    fn of_word(word: f64) -> Option<f32> {
        Some(word as f32)
    }
}

impl<T: Native> Value for Numbers<T> {
    #[inline]
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
        let start = cursor.at;
        if let Some(parts) = parts(cursor.text, start, Grammar::Json)
            && let Some(value) = T::of(&parts, &cursor.text[start..parts.end])
        {
            cursor.at = parts.end;
            self.push(value);
            return Ok(());
        }
        let word = skip::float_word(cursor);
        if let Some(value) = word.and_then(T::of_word) {
            self.push(value);
            return Ok(());
        }
        cursor.at = start;
        null_or(self, cursor, T::NAME)
    }
}

impl Value for Bools {
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
        if cursor.word(b"true") {
            self.push(true);
        } else if cursor.word(b"false") {
            self.push(false);
        } else {
            return null_or(self, cursor, "bool");
        }
        Ok(())
    }
}

impl Value for Nothing {
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
        null_or(self, cursor, "null (all that the records had from which types were found)")
    }
}

impl<O: OffsetSizeTrait> Value for Texts<O> {
    #[inline]
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
        if !cursor.take(b'"') {
            return null_or(self, cursor, "text");
        }
        string::read(cursor, &mut self.bytes)?;
        self.end(true);
        Ok(())
    }
}

impl<O: OffsetSizeTrait> Value for Lists<O, dyn Value> {
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
        if cursor.peek() != b'[' {
            return null_or(self, cursor, "a list");
        }
        self.elements.elements(cursor)?;
        self.end(true);
        Ok(())
    }
}

impl Value for FixedLists<dyn Value> {
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
        if cursor.peek() != b'[' {
            return null_or(self, cursor, "a list");
        }
        let (start, before) = (cursor.at, self.elements.rows());
        self.elements.elements(cursor)?;
        let (found, size) = (self.elements.rows() - before, self.size);
        if found != size {
            return Err(Flaw::new(
                start,
                format!("a list of {found} stands where one of {size} is expected"),
            ));
        }
        self.end();
        Ok(())
    }
}

/// A column that no value may be missing of.
pub(super) struct Required(pub(super) Box<dyn Value>);

impl Grow for Required {
    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn null(&mut self) {
        self.0.null();
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    fn finish(&mut self) -> Result<arrow_array::ArrayRef, arrow_schema::ArrowError> {
        self.0.finish()
    }
}

impl Value for Required {
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
        if cursor.peek() == b'n' {
            return Err(Flaw::new(cursor.at, "null stands where the schema allows none"));
        }
        self.0.value(cursor)
    }
}
