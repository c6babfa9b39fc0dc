//! Reads an object into columns, one for each of its keys.
//!
//! Records of one file have their keys in one order, nearly always. So behind each key the one is tried that followed it in
//! the record before, as bytes with its quotes; only where that fails is a key looked up by name.

use std::collections::HashMap;

use arrow_array::ArrayRef;
use arrow_schema::{ArrowError, Fields};

use super::super::growing::{Grow, Validity, finish_all, finish_struct};
use super::cursor::{Cursor, Flaw};
use super::value::Value;
use super::{skip, string};

/// Keys beyond the known ones that are kept in mind.
const MAX_STRANGERS: usize = 1024;

/// What no key begins with: the quote is before it.
const NEVER: &[u8] = b"\0";

/// A key that may come.
struct Slot {
    name: String,
    /// As it stands in the text, with quotes; [`NEVER`] for one that has to be escaped.
    quoted: Box<[u8]>,
    /// Its column; none for what nobody wants.
    column: Option<usize>,
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strangers {
    /// Passed over: the caller's schema says what is wanted.
    Skip,
    /// A flaw: the schema was found in records without that key, and its values would vanish in silence.
    Refuse,
}

/// Columns of an object's keys.
pub(super) struct Object {
    slots: Vec<Slot>,
    by_name: HashMap<Box<[u8]>, usize>,
    /// The slot that the last record began with.
    first: usize,
    /// The slot that last followed each slot.
    after: Vec<usize>,
    columns: Vec<Box<dyn Value>>,
    /// The slot of each column.
    owners: Vec<usize>,
    required: Vec<bool>,
    strangers: Strangers,
    rows: usize,
}

/// A key as it stands in text that nobody escaped without need.
fn quoted(name: &str) -> Box<[u8]> {
    if string::plain_end(name.as_bytes(), 0) < name.len() {
        return NEVER.into();
    }
    format!("\"{name}\"").into_bytes().into()
}

impl Object {
    pub(super) fn new(strangers: Strangers) -> Self {
        Self {
            slots: Vec::new(),
            by_name: HashMap::new(),
            first: 0,
            after: Vec::new(),
            columns: Vec::new(),
            owners: Vec::new(),
            required: Vec::new(),
            strangers,
            rows: 0,
        }
    }

    /// Add a key with a column.
    pub(super) fn wanted(&mut self, name: &str, column: Box<dyn Value>, required: bool) {
        let slot = self.slot(name, Some(self.columns.len()));
        self.columns.push(column);
        self.owners.push(slot);
        self.required.push(required);
    }

    /// Add a key that may come and that nobody wants.
    pub(super) fn unwanted(&mut self, name: &str) {
        self.slot(name, None);
    }

    fn slot(&mut self, name: &str, column: Option<usize>) -> usize {
        let slot = self.slots.len();
        self.slots.push(Slot { name: name.to_owned(), quoted: quoted(name), column });
        self.by_name.insert(name.as_bytes().into(), slot);
        // Until records say otherwise, keys come in the schema's order.
        self.after.push(slot + 1);
        slot
    }

    /// Return the number of whole objects read.
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// Read the object whose bracket comes next.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
        cursor.enter()?;
        cursor.space();
        let mut filled = 0;
        if !cursor.take(b'}') {
            let mut previous = None;
            loop {
                cursor.space();
                let slot = self.key(cursor, previous)?;
                filled += self.value(cursor, slot)?;
                previous = slot.or(previous);
                if !cursor.more(b'}')? {
                    break;
                }
            }
        }
        if filled < self.columns.len() {
            self.fill(cursor)?;
        }
        self.rows += 1;
        cursor.leave();
        Ok(())
    }

    /// Read a key and its colon; `None` for one that is not kept in mind.
    #[inline]
    fn key(&mut self, cursor: &mut Cursor<'_>, previous: Option<usize>) -> Result<Option<usize>, Flaw> {
        let guess = previous.map_or(self.first, |previous| self.after[previous]);
        let slot = match self.slots.get(guess) {
            Some(slot) if cursor.word(&slot.quoted) => Some(guess),
            _ => self.look_up(cursor, previous)?,
        };
        skip::colon(cursor)?;
        Ok(slot)
    }

    fn look_up(&mut self, cursor: &mut Cursor<'_>, previous: Option<usize>) -> Result<Option<usize>, Flaw> {
        let start = cursor.at;
        if !cursor.take(b'"') {
            return Err(cursor.expected("a key"));
        }
        let mut name = Vec::new();
        string::read(cursor, &mut name)?;
        let slot = match self.by_name.get(name.as_slice()) {
            Some(slot) => Some(*slot),
            None => self.stranger(&name, start)?,
        };
        if let Some(slot) = slot {
            *previous.map_or(&mut self.first, |previous| &mut self.after[previous]) = slot;
        }
        Ok(slot)
    }

    fn stranger(&mut self, name: &[u8], at: usize) -> Result<Option<usize>, Flaw> {
        let name = String::from_utf8_lossy(name);
        if self.strangers == Strangers::Refuse {
            return Err(Flaw::new(
                at,
                format!(
                    "the key {name:?} is in none of the records from which the columns were found; raise \
                     data.read.infer, or say its type in data.read.types"
                ),
            ));
        }
        Ok((self.slots.len() < self.columns.len() + MAX_STRANGERS).then(|| self.slot(&name, None)))
    }

    /// Read a key's value, and return how many columns more have one.
    #[inline]
    fn value(&mut self, cursor: &mut Cursor<'_>, slot: Option<usize>) -> Result<usize, Flaw> {
        let Some((name, column)) =
            slot.and_then(|slot| self.slots[slot].column.map(|column| (&self.slots[slot].name, column)))
        else {
            skip::value(cursor)?;
            return Ok(0);
        };
        let column = &mut self.columns[column];
        let again = column.rows() > self.rows;
        if again {
            // The last one of a key counts, as for Python's `json`.
            column.truncate(self.rows);
        }
        column.value(cursor).map_err(|flaw| flaw.within(name))?;
        Ok(usize::from(!again))
    }

    /// Append a missing value to the columns whose keys didn't come.
    fn fill(&mut self, cursor: &Cursor<'_>) -> Result<(), Flaw> {
        for (index, column) in self.columns.iter_mut().enumerate() {
            if column.rows() > self.rows {
                continue;
            }
            if self.required[index] {
                let name = &self.slots[self.owners[index]].name;
                let flaw = Flaw::new(cursor.at, "its key is missing where the schema allows no null");
                return Err(flaw.within(name));
            }
            column.null();
        }
        Ok(())
    }

    /// Append an object that is missing: its columns have a row for it all the same.
    fn null(&mut self) {
        for column in &mut self.columns {
            column.null();
        }
        self.rows += 1;
    }

    /// Take back all objects but the first `rows`, and what was read of one that isn't whole.
    pub(super) fn truncate(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.truncate(rows);
        }
        self.rows = self.rows.min(rows);
    }

    /// Give the columns, and begin anew.
    pub(super) fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.rows = 0;
        finish_all(&mut self.columns)
    }
}

/// A column of objects.
pub(super) struct Structs {
    object: Object,
    fields: Fields,
    valid: Validity,
}

impl Structs {
    pub(super) fn new(fields: Fields, object: Object) -> Self {
        Self { object, fields, valid: Validity::new() }
    }
}

impl Grow for Structs {
    fn rows(&self) -> usize {
        self.object.rows()
    }

    fn null(&mut self) {
        self.object.null();
        self.valid.push(false);
    }

    fn truncate(&mut self, rows: usize) {
        self.object.truncate(rows);
        self.valid.truncate(rows);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let rows = self.object.rows();
        let columns = self.object.finish()?;
        finish_struct(&self.fields, columns, rows, &mut self.valid)
    }
}

impl Value for Structs {
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
        match cursor.peek() {
            b'{' => {
                self.object.read(cursor)?;
                self.valid.push(true);
                Ok(())
            }
            _ if cursor.word(b"null") => {
                self.null();
                Ok(())
            }
            _ => Err(cursor.unfit("an object")),
        }
    }
}
