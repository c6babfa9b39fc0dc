//! A JSON object that remembers which keys stood twice: a plain map would let the last one win in silence.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// One line's object.
pub(crate) struct Object {
    pub(crate) map: Map<String, Value>,
    pub(crate) repeated: Vec<String>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Object, A::Error> {
        let mut object = Object { map: Map::new(), repeated: Vec::new() };
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value::<Value>()?;
            if object.map.contains_key(&key) {
                object.repeated.push(key);
            } else {
                object.map.insert(key, value);
            }
        }
        Ok(object)
    }
}
