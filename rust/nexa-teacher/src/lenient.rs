//! Members of a body that endpoints write in more than one way: read where they make sense, passed over elsewhere.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A text, or a number or truth value as text; nothing else.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Text(pub Option<String>);

/// A count; nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Count(pub Option<i64>);

/// How many tokens were used; what is no object says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub prompt_tokens: Count,
    pub completion_tokens: Count,
    pub total_tokens: Count,
}

/// A message's content: text, or a list of parts of which those of text are joined.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Content(pub Option<String>);

/// A log probability; null is that of an impossible token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Logprob(pub f32);

macro_rules! passed_over {
    () => {
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Some(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }

    passed_over!();
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a count")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Count, E> {
        Ok(Count(i64::try_from(value).ok()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Count, E> {
        Ok(Count((value >= 0).then_some(value)))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }

    passed_over!();
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CountVisitor)
    }
}

#[derive(serde::Deserialize)]
struct Part {
    #[serde(default)]
    text: Text,
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text or a list of parts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
        Ok(Content(Some(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Content, E> {
        Ok(Content(None))
    }

    fn visit_none<E: Error>(self) -> Result<Content, E> {
        Ok(Content(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
        let mut joined = None;
        while let Some(part) = seq.next_element::<Part>()? {
            if let Some(text) = part.text.0 {
                joined.get_or_insert_with(String::new).push_str(&text);
            }
        }
        Ok(Content(joined))
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ContentVisitor)
    }
}

struct LogprobVisitor;

impl Visitor<'_> for LogprobVisitor {
    type Value = Logprob;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a log probability")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Logprob, E> {
        Ok(Logprob(value as f32))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Logprob, E> {
        Ok(Logprob(value as f32))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Logprob, E> {
        Ok(Logprob(value as f32))
    }

    fn visit_unit<E: Error>(self) -> Result<Logprob, E> {
        Ok(Logprob(f32::NEG_INFINITY))
    }
}

impl<'de> Deserialize<'de> for Logprob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LogprobVisitor)
    }
}

struct CountsVisitor;

impl<'de> Visitor<'de> for CountsVisitor {
    type Value = Counts;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("counts by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Counts, A::Error> {
        let mut counts = Counts::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "prompt_tokens" => counts.prompt_tokens = map.next_value()?,
                "completion_tokens" => counts.completion_tokens = map.next_value()?,
                "total_tokens" => counts.total_tokens = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(counts)
    }

    fn visit_unit<E: Error>(self) -> Result<Counts, E> {
        Ok(Counts::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Counts, E> {
        Ok(Counts::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Counts, E> {
        Ok(Counts::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Counts, E> {
        Ok(Counts::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Counts, E> {
        Ok(Counts::default())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Counts, E> {
        Ok(Counts::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Counts, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Counts::default())
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CountsVisitor)
    }
}
