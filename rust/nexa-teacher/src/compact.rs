//! Any JSON value as compact text, its members in the order in which they came.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value's text; null and an empty list say nothing and have none.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Compact(pub Option<String>);

impl<'de> Deserialize<'de> for Compact {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Written(text) = Written::deserialize(from)?;
        Ok(Self(Some(text).filter(|text| !matches!(text.as_str(), "null" | "[]"))))
    }
}

struct Written(String);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

fn quoted<E: Error>(text: &str) -> Result<String, E> {
    serde_json::to_string(text).map_err(E::custom)
}

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Written, E> {
        Ok(Written("null".to_owned()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Written, E> {
        Ok(Written(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Written, E> {
        Ok(Written(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Written, E> {
        Ok(Written(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Written, E> {
        serde_json::to_string(&value).map(Written).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Written, E> {
        quoted(text).map(Written)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Written, A::Error> {
        let mut text = String::from("[");
        while let Some(Written(item)) = seq.next_element()? {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&item);
        }
        text.push(']');
        Ok(Written(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
        let mut text = String::from("{");
        while let Some((name, Written(value))) = map.next_entry::<String, Written>()? {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&quoted::<A::Error>(&name)?);
            text.push(':');
            text.push_str(&value);
        }
        text.push('}');
        Ok(Written(text))
    }
}
