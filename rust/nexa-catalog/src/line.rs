//! One line of a catalog: all that is wrong with it, or an entry.

use std::str::FromStr;

use nexa_io::{Digest, IoError};
use serde_json::{Map, Value};

use crate::json::Object;
use crate::{Code, Entry, Finding, MAX_LINE_BYTES, Severity, split, uri};

/// Parse one line, without its newline.
///
/// Warnings may come with an entry; anything worse takes its place. Blank lines give neither.
pub(crate) fn parse(line: &[u8], number: u64) -> (Option<Entry>, Vec<Finding>) {
    let line = line.trim_ascii();
    if line.is_empty() {
        return (None, Vec::new());
    }
    let object = match object(line) {
        Ok(object) => object,
        Err(finding) => return (None, vec![finding.at(number)]),
    };
    let mut reader = Reader::new(object);
    let entry = reader.entry(number);
    let findings = reader.findings.into_iter().map(|finding| finding.at(number)).collect::<Vec<_>>();
    let sound = findings.iter().all(|finding| finding.severity == Severity::Warning);
    (entry.filter(|_| sound), findings)
}

pub(crate) fn too_long(bytes: u64) -> Finding {
    let message = format!("the line has {bytes} bytes, and {MAX_LINE_BYTES} are read");
    Finding::new(Code::LineTooLong, message).fix("write one JSON object a line, each ended by a newline")
}

fn object(line: &[u8]) -> Result<Object, Finding> {
    if line.len() > MAX_LINE_BYTES {
        return Err(too_long(line.len() as u64));
    }
    let text = std::str::from_utf8(line).map_err(|error| {
        let message = format!("the line is not UTF-8 from byte {} on", error.valid_up_to());
        let utf16 = line.starts_with(b"\xff\xfe") || line.starts_with(b"\xfe\xff");
        let remedy = if utf16 {
            "it looks like UTF-16; save the catalog as UTF-8"
        } else {
            "save the catalog as UTF-8"
        };
        Finding::new(Code::InvalidUtf8, message).fix(remedy)
    })?;
    serde_json::from_str::<Object>(text).map_err(|error| {
        // The catalog's line is the finding's; the parser's own is always 1.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let reason = error.to_string().replace(&place, "");
        if error.is_data() {
            let message = format!("the line is not a JSON object: {reason}");
            return Finding::new(Code::NotAnObject, message)
                .fix("write one JSON object a line, with the key uri");
        }
        let message = format!("the line is not JSON at column {}: {reason}", error.column());
        Finding::new(Code::InvalidJson, message)
            .fix("write each line with a JSON library, such as json.dumps")
    })
}

/// Takes the known keys out of a line's object and collects what is wrong with them.
struct Reader {
    object: Map<String, Value>,
    shard: Option<String>,
    findings: Vec<Finding>,
}

impl Reader {
    fn new(Object { map, repeated }: Object) -> Self {
        let shard = map.get("uri").and_then(Value::as_str).map(str::to_owned);
        let mut reader = Self { object: map, shard, findings: Vec::new() };
        for key in repeated {
            reader.report(
                Code::DuplicateKey,
                &key,
                format!("the key {key:?} stands twice"),
                "keep one of them",
            );
        }
        reader
    }

    fn entry(&mut self, line: u64) -> Option<Entry> {
        let uri = self.uri();
        let split = self.split();
        let bytes = self.count("bytes");
        let records = self.count("records");
        let checksum = self.checksum();
        let tags = self.tags();
        let extra = std::mem::take(&mut self.object);
        Some(Entry { line, uri: uri?, split, bytes, records, checksum, tags, extra })
    }

    fn report(&mut self, code: Code, key: &str, message: String, remedy: impl Into<String>) {
        let finding = Finding::new(code, message).key(key).fix(remedy);
        self.findings.push(Finding { shard: self.shard.clone(), ..finding });
    }

    /// Take a key's value; null stands for an absent key, as many writers have it.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.object.remove(key).filter(|value| !value.is_null())
    }

    fn wrong_type(&mut self, key: &str, expected: &str, found: &Value) {
        let message = format!("{key} is {}, where {expected} should be", kind(found));
        self.report(Code::WrongType, key, message, format!("write {key} as {expected}, or leave it out"));
    }

    fn string(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            other => {
                self.wrong_type(key, "a string", &other);
                None
            }
        }
    }

    fn uri(&mut self) -> Option<String> {
        if self.object.get("uri").is_none_or(Value::is_null) {
            self.object.remove("uri");
            let remedy = "add the shard's path, relative to the catalog's folder";
            self.report(Code::MissingUri, "uri", "the line has no uri".to_owned(), remedy);
            return None;
        }
        let text = self.string("uri")?;
        if let Err(problem) = uri::identity_by_rules(&text) {
            self.report(problem.code(), "uri", problem.to_string(), problem.remedy());
        }
        Some(text)
    }

    fn split(&mut self) -> Option<String> {
        let name = self.string("split")?;
        if !split::is_name(&name) {
            let message = format!("the split {name:?} is not a name of letters, digits, _ . and -");
            self.report(
                Code::InvalidSplit,
                "split",
                message,
                "name it train, validation, test or a word of your own",
            );
        } else if let Some(meant) = split::meant(&name) {
            let message = format!("the split {name:?} is likely meant to be {meant:?}");
            self.report(
                Code::InvalidSplit,
                "split",
                message,
                format!("write {meant:?}, or ask for {name:?} by name"),
            );
            self.findings.iter_mut().rev().take(1).for_each(|finding| finding.severity = Severity::Warning);
        }
        Some(name)
    }

    fn count(&mut self, key: &str) -> Option<u64> {
        let number = match self.take(key)? {
            Value::Number(number) => number,
            other => {
                self.wrong_type(key, "a whole number", &other);
                return None;
            }
        };
        if number.is_u64() {
            return number.as_u64();
        }
        let remedy = format!("write the true count as a whole number, or leave {key} out");
        if number.as_f64().is_some_and(|value| value < 0.0) {
            self.report(Code::NegativeNumber, key, format!("{key} is {number}, below zero"), remedy);
        } else {
            let message = format!("{key} is {number}, which is not a whole number below 2^64");
            self.report(Code::InvalidNumber, key, message, remedy);
        }
        None
    }

    fn checksum(&mut self) -> Option<Digest> {
        let text = self.string("checksum")?;
        match Digest::from_str(&text) {
            Ok(digest) => Some(digest),
            Err(error) => {
                let code = match error {
                    IoError::UnknownAlgorithm { .. } => Code::UnknownChecksumAlgorithm,
                    _ => Code::InvalidChecksum,
                };
                let remedy = "write it as sha256:… with 64 hexadecimal digits, or leave it out";
                self.report(code, "checksum", error.to_string(), remedy);
                None
            }
        }
    }

    fn tags(&mut self) -> Vec<String> {
        let list = match self.take("tags") {
            None => return Vec::new(),
            Some(Value::Array(list)) => list,
            Some(other) => {
                self.wrong_type("tags", "a list of strings", &other);
                return Vec::new();
            }
        };
        let mut tags = Vec::with_capacity(list.len());
        for value in list {
            match value {
                Value::String(tag) => tags.push(tag),
                other => {
                    let message = format!("tags holds {}, where only strings should be", kind(&other));
                    self.report(Code::WrongType, "tags", message, "write tags as a list of strings");
                    return tags;
                }
            }
        }
        tags
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
