//! `tf.train.Example`: a record's features, with what protocol buffers say of fields that come twice.
//!
//! <https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto> and `feature.proto` beside
//! it. Fields come in any order, unknown ones are passed over, and a map's entry that comes twice counts the last time.

use std::borrow::Cow;

use super::wire::{Fields, MALFORMED, Value, varint};
use crate::source::rows::Flaw;
use crate::source::value_column::ValueColumn;

/// What a feature's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bytes,
    Float,
    Int64,
}

impl Kind {
    const fn of(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Bytes,
            2 => Self::Float,
            3 => Self::Int64,
            _ => return None,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes_list",
            Self::Float => "float_list",
            Self::Int64 => "int64_list",
        }
    }
}

/// One feature's values, encoded; without a kind it has none, and is missing.
pub(super) struct Feature<'a> {
    pub(super) kind: Option<Kind>,
    list: Cow<'a, [u8]>,
}

/// Why a record of sequences isn't read.
pub(super) const SEQUENCE: &str = "it is a tf.train.SequenceExample, whose feature lists have no columns; write its features as \
                                   tf.train.Example, a list as a feature with several values";

/// Give each feature of an example to `each`, by its name.
pub(super) fn features(
    example: &[u8],
    mut each: impl FnMut(&str, Feature<'_>) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    for field in Fields::new(example) {
        match field.map_err(malformed)? {
            (1, Value::Bytes(features)) => {
                for field in Fields::new(features) {
                    if let (1, Value::Bytes(entry)) = field.map_err(malformed)? {
                        let (name, value) = entry_of(entry)?;
                        each(name, feature(value)?)?;
                    }
                }
            }
            (2, Value::Bytes(_)) => return Err(Flaw::new(SEQUENCE.to_owned())),
            _ => {}
        }
    }
    Ok(())
}

fn malformed(reason: &str) -> Flaw {
    Flaw::new(reason.to_owned())
}

/// Add a message to what came of it before: two messages end to end are their union.
fn merge<'a>(before: &mut Cow<'a, [u8]>, more: &'a [u8]) {
    if before.is_empty() {
        *before = Cow::Borrowed(more);
    } else {
        before.to_mut().extend_from_slice(more);
    }
}

fn entry_of(entry: &[u8]) -> Result<(&str, Cow<'_, [u8]>), Flaw> {
    let (mut name, mut value) = ("", Cow::Borrowed(&[][..]));
    for field in Fields::new(entry) {
        match field.map_err(malformed)? {
            (1, Value::Bytes(text)) => {
                name = std::str::from_utf8(text)
                    .map_err(|_| Flaw::new("a feature's name is no UTF-8".to_owned()))?;
            }
            (2, Value::Bytes(bytes)) => merge(&mut value, bytes),
            _ => {}
        }
    }
    Ok((name, value))
}

/// Read which list a feature has: of several the last, joined with those of its kind right before it.
fn feature(message: Cow<'_, [u8]>) -> Result<Feature<'_>, Flaw> {
    match message {
        Cow::Borrowed(bytes) => lists(bytes),
        Cow::Owned(bytes) => {
            let Feature { kind, list } = lists(&bytes)?;
            Ok(Feature { kind, list: Cow::Owned(list.into_owned()) })
        }
    }
}

fn lists(message: &[u8]) -> Result<Feature<'_>, Flaw> {
    let mut feature = Feature { kind: None, list: Cow::Borrowed(&[]) };
    for field in Fields::new(message) {
        let (number, Value::Bytes(list)) = field.map_err(malformed)? else { continue };
        let Some(kind) = Kind::of(number) else { continue };
        if feature.kind == Some(kind) {
            merge(&mut feature.list, list);
        } else {
            feature = Feature { kind: Some(kind), list: Cow::Borrowed(list) };
        }
    }
    Ok(feature)
}

impl Feature<'_> {
    /// Count its values.
    pub(super) fn count(&self) -> Result<usize, &'static str> {
        let mut count = 0;
        self.each(|values| {
            count += match values {
                Values::Int(_) | Values::Bytes(_) => 1,
                Values::Floats(floats) => floats.len() / 4,
            };
            Ok::<_, &str>(())
        })?;
        Ok(count)
    }

    /// Put its values into a column.
    pub(super) fn put(&self, column: &mut ValueColumn) -> Result<(), String> {
        self.each(|values| match values {
            Values::Int(value) => column.put_int(value),
            Values::Floats(floats) => column.put_floats(floats),
            Values::Bytes(bytes) => column.put_text(bytes),
        })
    }

    fn each<E: From<&'static str>>(
        &self,
        mut each: impl FnMut(Values<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for field in Fields::new(&self.list) {
            match (self.kind, field?) {
                (Some(Kind::Bytes), (1, Value::Bytes(bytes))) => each(Values::Bytes(bytes))?,
                (Some(Kind::Float), (1, Value::Fixed32(float))) => each(Values::Floats(&float))?,
                (Some(Kind::Float), (1, Value::Bytes(floats))) if floats.len().is_multiple_of(4) => {
                    each(Values::Floats(floats))?;
                }
                (Some(Kind::Float), (1, Value::Bytes(_))) => return Err(MALFORMED.into()),
                (Some(Kind::Int64), (1, Value::Varint(int))) => each(Values::Int(int.cast_signed()))?,
                (Some(Kind::Int64), (1, Value::Bytes(mut packed))) => {
                    while !packed.is_empty() {
                        each(Values::Int(varint(&mut packed).ok_or(MALFORMED)?.cast_signed()))?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// One value, or some that lie end to end.
enum Values<'a> {
    Int(i64),
    /// Each 4 bytes, the lowest first.
    Floats(&'a [u8]),
    Bytes(&'a [u8]),
}
