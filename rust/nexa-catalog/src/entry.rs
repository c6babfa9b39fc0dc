//! One line of a catalog, once it is known to be sound.

use nexa_io::Digest;
use serde_json::{Map, Value};

/// What a catalog says about one shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The line in the catalog, counted from 1.
    pub line: u64,
    /// Where the shard is, as the catalog has it.
    pub uri: String,
    /// The split that the shard belongs to.
    pub split: Option<String>,
    /// The file's size.
    pub bytes: Option<u64>,
    /// The number of records in the shard.
    pub records: Option<u64>,
    /// The file's digest.
    pub checksum: Option<Digest>,
    /// Free labels.
    pub tags: Vec<String>,
    /// The keys that we do not know, kept as they are.
    pub extra: Map<String, Value>,
}

impl Entry {
    /// Make an entry that says nothing but where its shard is.
    #[must_use]
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            line: 0,
            uri: uri.into(),
            split: None,
            bytes: None,
            records: None,
            checksum: None,
            tags: Vec::new(),
            extra: Map::new(),
        }
    }

    /// Write the entry as a line of a catalog, without the newline.
    ///
    /// Keys stand in alphabetical order, so that equal entries give equal lines. [`parse`](crate::parse) gives the
    /// same entry back.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut object = self.extra.clone();
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(key.to_owned(), value);
            }
        };
        set("uri", Some(Value::from(self.uri.as_str())));
        set("split", self.split.as_deref().map(Value::from));
        set("bytes", self.bytes.map(Value::from));
        set("records", self.records.map(Value::from));
        set("checksum", self.checksum.map(|digest| Value::from(digest.to_string())));
        set("tags", (!self.tags.is_empty()).then(|| Value::from(self.tags.clone())));
        Value::Object(object).to_string()
    }
}
