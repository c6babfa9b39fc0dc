//! Finds columns and types in records.
//!
//! ```text
//! null ≤ everything          a column of nulls only has the type null
//! int64 ≤ uint64 ≤ float64   uint64 where one is beyond int64 and none below zero; float64 beyond both
//! list, object               by their elements and keys
//! else                       no type: the error names both records
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema};

use super::super::numbers::{Grammar, Parts, parts};
use super::super::unit::BadRecord;
use super::cursor::{Cursor, Flaw};
use super::{skip, string};

/// Keys that are taken for columns, in one object: more are data that was written as keys.
const MAX_KEYS: usize = 1 << 16;

/// Types found so far.
#[derive(Default)]
pub(super) struct Found {
    keys: Keys,
    /// Records looked at, bad ones too.
    records: u64,
    /// Why the first bad one is bad.
    first_flaw: Option<String>,
    good: u64,
}

#[derive(Default)]
struct Keys {
    nodes: Vec<(String, Node)>,
    by_name: HashMap<Vec<u8>, usize>,
    /// Types that the caller says: such columns' values aren't looked at.
    given: HashMap<Vec<u8>, DataType>,
}

/// What a value was seen to be.
#[derive(Default)]
struct Node {
    shape: Shape,
    /// The record that it was first of this shape in.
    record: u64,
    /// Whether a number was below zero.
    negative: bool,
}

#[derive(Default)]
enum Shape {
    #[default]
    Null,
    Bool,
    Int,
    Unsigned,
    Float,
    Text,
    List(Box<Node>),
    Object(Keys),
    Given(DataType),
}

/// Why looking ends.
enum Stop {
    Flaw(Flaw),
    /// No type fits; in words, with the column.
    Conflict {
        column: String,
        detail: String,
    },
}

impl From<Flaw> for Stop {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl Stop {
    fn within(self, name: &str) -> Self {
        match self {
            Self::Flaw(flaw) => Self::Flaw(flaw.within(name)),
            Self::Conflict { column, detail } if column.is_empty() => {
                Self::Conflict { column: name.to_owned(), detail }
            }
            Self::Conflict { column, detail } => {
                Self::Conflict { column: format!("{name}.{column}"), detail }
            }
        }
    }
}

impl Found {
    /// Begin, with the types of columns that are known.
    pub(super) fn new(types: Option<&Schema>) -> Self {
        let fields = types.iter().flat_map(|types| types.fields().iter());
        let given =
            fields.map(|field| (field.name().clone().into_bytes(), field.data_type().clone())).collect();
        Self { keys: Keys { given, ..Keys::default() }, ..Self::default() }
    }

    /// Return how many records were looked at.
    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    /// Look at a record. One that is bad tells nothing: it will be refused when it is read.
    ///
    /// # Errors
    /// That no type fits what was found in a column.
    pub(super) fn look(&mut self, text: &[u8]) -> Result<(), String> {
        let record = self.records;
        self.records += 1;
        if let Err(flaw) = valid(text) {
            self.first_flaw.get_or_insert_with(|| flaw.detail().reason);
            return Ok(());
        }
        let mut cursor = Cursor::new(text);
        cursor.space();
        match self.keys.look(&mut cursor, record) {
            Ok(()) => {
                self.good += 1;
                Ok(())
            }
            Err(Stop::Flaw(_)) => Ok(()),
            Err(Stop::Conflict { column, detail }) => Err(format!("column {column:?} {detail}")),
        }
    }

    /// Count a record that couldn't be got at.
    pub(super) fn lost(&mut self, bad: BadRecord) -> Result<(), String> {
        self.records += bad.records;
        self.first_flaw.get_or_insert(bad.reason);
        Ok(())
    }

    /// Give the schema; without a record it has no columns.
    ///
    /// # Errors
    /// That none of the records can be read.
    pub(super) fn schema(self) -> Result<Schema, String> {
        match self.first_flaw {
            Some(flaw) if self.good == 0 => Err(format!(
                "none of its first {} records can be read, the first because {flaw}; mend the file",
                self.records
            )),
            _ => Ok(Schema::new(self.keys.fields())),
        }
    }
}

/// Say what is wrong with a record.
fn valid(text: &[u8]) -> Result<(), Flaw> {
    if simdutf8::basic::from_utf8(text).is_err() {
        return Err(Flaw::new(0, "it is not UTF-8"));
    }
    let mut cursor = Cursor::new(text);
    cursor.space();
    if cursor.peek() != b'{' {
        return Err(cursor.unfit("an object"));
    }
    skip::value(&mut cursor)?;
    cursor.space();
    if cursor.at < text.len() { Err(cursor.expected("the record's end")) } else { Ok(()) }
}

impl Keys {
    fn look(&mut self, cursor: &mut Cursor<'_>, record: u64) -> Result<(), Stop> {
        cursor.enter()?;
        cursor.space();
        if !cursor.take(b'}') {
            loop {
                let mut name = Vec::new();
                skip::key(cursor, |cursor| string::read(cursor, &mut name))?;
                let (name, node) = self.node(name)?;
                node.look(cursor, record).map_err(|stop| stop.within(name))?;
                if !cursor.more(b'}')? {
                    break;
                }
            }
        }
        cursor.leave();
        Ok(())
    }

    fn node(&mut self, name: Vec<u8>) -> Result<(&str, &mut Node), Stop> {
        let index = match self.by_name.get(&name) {
            Some(index) => *index,
            None if self.nodes.len() == MAX_KEYS => {
                let detail =
                    format!("is one of more than {MAX_KEYS}; give a schema with those that are wanted");
                return Err(Stop::Conflict { column: String::from_utf8_lossy(&name).into_owned(), detail });
            }
            None => {
                let shape = self.given.get(&name).cloned().map_or(Shape::Null, Shape::Given);
                self.nodes
                    .push((String::from_utf8_lossy(&name).into_owned(), Node { shape, ..Node::default() }));
                self.by_name.insert(name, self.nodes.len() - 1);
                self.nodes.len() - 1
            }
        };
        let (name, node) = &mut self.nodes[index];
        Ok((name, node))
    }

    fn fields(self) -> Fields {
        self.nodes.into_iter().map(|(name, node)| Field::new(name, node.data_type(), true)).collect()
    }
}

impl Node {
    fn look(&mut self, cursor: &mut Cursor<'_>, record: u64) -> Result<(), Stop> {
        if matches!(self.shape, Shape::Given(_)) {
            return Ok(skip::value(cursor)?);
        }
        match cursor.peek() {
            b'n' => skip::value(cursor)?,
            b'{' => self.keys(record)?.look(cursor, record)?,
            b'[' => self.element(record)?.elements(cursor, record)?,
            _ => {
                let (shape, negative) = scalar(cursor)?;
                self.negative |= negative;
                self.merge(shape, record)?;
            }
        }
        Ok(())
    }

    fn elements(&mut self, cursor: &mut Cursor<'_>, record: u64) -> Result<(), Stop> {
        cursor.enter()?;
        cursor.space();
        if !cursor.take(b']') {
            loop {
                cursor.space();
                self.look(cursor, record)?;
                if !cursor.more(b']')? {
                    break;
                }
            }
        }
        cursor.leave();
        Ok(())
    }

    /// Be an object, and give its keys.
    fn keys(&mut self, record: u64) -> Result<&mut Keys, Stop> {
        if matches!(self.shape, Shape::Null) {
            (self.shape, self.record) = (Shape::Object(Keys::default()), record);
        }
        match &mut self.shape {
            Shape::Object(keys) => Ok(keys),
            other => Err(conflict(other.name(), self.record, "an object", record)),
        }
    }

    /// Be a list, and give what its elements are.
    fn element(&mut self, record: u64) -> Result<&mut Self, Stop> {
        if matches!(self.shape, Shape::Null) {
            (self.shape, self.record) = (Shape::List(Box::default()), record);
        }
        match &mut self.shape {
            Shape::List(element) => Ok(element),
            other => Err(conflict(other.name(), self.record, "a list", record)),
        }
    }

    /// Be what holds both what it was and a scalar.
    fn merge(&mut self, shape: Shape, record: u64) -> Result<(), Stop> {
        let merged = match (&self.shape, shape) {
            (Shape::Null, shape) => {
                self.record = record;
                shape
            }
            (Shape::Bool, Shape::Bool) => Shape::Bool,
            (Shape::Text, Shape::Text) => Shape::Text,
            (was, shape) if was.is_number() && shape.is_number() => was.wider(shape),
            (was, shape) => return Err(conflict(was.name(), self.record, shape.name(), record)),
        };
        self.shape = merged;
        Ok(())
    }

    fn data_type(self) -> DataType {
        match self.shape {
            Shape::Null => DataType::Null,
            Shape::Bool => DataType::Boolean,
            Shape::Int => DataType::Int64,
            Shape::Unsigned if self.negative => DataType::Float64,
            Shape::Unsigned => DataType::UInt64,
            Shape::Float => DataType::Float64,
            Shape::Text => DataType::Utf8,
            Shape::List(element) => {
                DataType::List(Arc::new(Field::new_list_field(element.data_type(), true)))
            }
            Shape::Object(keys) => DataType::Struct(keys.fields()),
            Shape::Given(data_type) => data_type,
        }
    }
}

fn conflict(was: &str, before: u64, is: &str, record: u64) -> Stop {
    let detail = format!(
        "is {was} in record {before} and {is} in record {record}; say its type in data.read.types, or mend the file"
    );
    Stop::Conflict { column: String::new(), detail }
}

impl Shape {
    const fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Unsigned | Self::Float)
    }

    /// Of two kinds of numbers, the one that holds both.
    fn wider(&self, other: Self) -> Self {
        match (self, other) {
            (Self::Int, Self::Int) => Self::Int,
            (Self::Float, _) | (_, Self::Float) => Self::Float,
            _ => Self::Unsigned,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a truth value",
            Self::Int | Self::Unsigned | Self::Float => "a number",
            Self::Text => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
            Self::Given(_) => "of the type that was said",
        }
    }
}

/// Pass over a value that is neither list, object nor null; say what it is, and whether it is a number below zero.
fn scalar(cursor: &mut Cursor<'_>) -> Result<(Shape, bool), Flaw> {
    let first = cursor.peek();
    if let Some(parts) = parts(cursor.text, cursor.at, Grammar::Json) {
        let shape = number(&parts, &cursor.text[cursor.at..parts.end]);
        cursor.at = parts.end;
        return Ok((shape, first == b'-'));
    }
    skip::value(cursor)?;
    let shape = match first {
        b'"' => Shape::Text,
        b't' | b'f' => Shape::Bool,
        _ => Shape::Float,
    };
    Ok((shape, first == b'-'))
}

fn number(parts: &Parts, text: &[u8]) -> Shape {
    match parts.integer(text) {
        Some(value) if i64::try_from(value).is_ok() => Shape::Int,
        // Below what 64 bits hold it is a double for certain.
        Some(value) if u64::try_from(value).is_ok() => Shape::Unsigned,
        _ => Shape::Float,
    }
}
