//! What was seen of one column.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use crate::cells::{Cells, Kind, Numbers, Part, is_null, length, span};
use crate::distinct::Distinct;
use crate::moments::Moments;

/// Characters of a text that are kept to be shown.
const SHOWN: usize = 80;

/// Memory that is used again for each block.
#[derive(Default)]
pub(crate) struct Scratch {
    values: Vec<f64>,
    keys: Vec<u64>,
}

/// Counts, moments, distinct values and a sample of one column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub name: String,
    pub kind: Kind,
    pub dtype: String,
    /// Whether its values are integers, to be shown as such.
    pub integer: Option<Integer>,
    pub part: Part,
    pub values: u64,
    pub nulls: u64,
    /// Number of the first row with a null or a NaN.
    pub first_missing: Option<u64>,
    pub moments: Moments,
    pub distinct: Distinct,
    /// Of each row of the sample the value, a text's or list's length; NaN where it is missing.
    sampled: Vec<f64>,
    /// Of each row of the sample the beginning of its text.
    texts: Texts,
}

/// How the keys of integers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Integer {
    /// As bits of a float.
    Small,
    Signed,
    Unsigned,
}

impl Column {
    pub(crate) fn new(name: String, dtype: String, cells: &Cells<'_>, part: Part, counted: usize) -> Self {
        let integer = match cells {
            Cells::Numbers { numbers, .. } => match numbers {
                Numbers::I64(_) => Some(Integer::Signed),
                Numbers::U64(_) => Some(Integer::Unsigned),
                Numbers::F16(_) | Numbers::F32(_) | Numbers::F64(_) | Numbers::Bool(_) => None,
                _ => Some(Integer::Small),
            },
            Cells::Spans { kind, .. } => (*kind == Kind::List).then_some(Integer::Small),
        };
        Self {
            name,
            kind: cells.kind(),
            dtype,
            integer,
            part,
            values: 0,
            nulls: 0,
            first_missing: None,
            moments: Moments::default(),
            distinct: Distinct::new(counted),
            sampled: Vec::new(),
            texts: Texts::default(),
        }
    }

    /// Take in some rows of a batch that begins with row `first`.
    pub(crate) fn add(&mut self, cells: &Cells<'_>, first: u64, rows: Range<usize>, scratch: &mut Scratch) {
        let missing = self.nulls + self.moments.nans;
        self.count(cells, rows.clone(), scratch);
        if self.first_missing.is_none() && self.nulls + self.moments.nans > missing {
            let gone = |row: &usize| cells.is_missing(*row, self.part);
            self.first_missing = rows.into_iter().find(gone).map(|row| first + row as u64);
        }
    }

    fn count(&mut self, cells: &Cells<'_>, rows: Range<usize>, scratch: &mut Scratch) {
        scratch.values.clear();
        scratch.keys.clear();
        match *cells {
            Cells::Numbers { numbers, width, rows: row_nulls, leaves } => {
                let (first, stride, count) = match self.part {
                    Part::One(at) => (rows.start * width + at, width, rows.len()),
                    Part::All => (rows.start * width, 1, rows.len() * width),
                };
                self.values += count as u64;
                let nullable = row_nulls.is_some_and(|nulls| nulls.null_count() > 0)
                    || leaves.is_some_and(|nulls| nulls.null_count() > 0);
                if nullable {
                    for at in (0..count).map(|at| first + at * stride) {
                        if is_null(row_nulls, leaves, width, at) {
                            self.nulls += 1;
                        } else {
                            scratch.values.push(numbers.wide(at));
                            scratch.keys.push(numbers.bits(at));
                        }
                    }
                } else {
                    numbers.gather(first, stride, count, &mut scratch.values);
                    if cells.by_bits() {
                        scratch.keys.extend((0..count).map(|at| numbers.bits(first + at * stride)));
                    }
                }
                if cells.by_bits() {
                    self.distinct.add_keys(&scratch.keys);
                } else {
                    self.distinct.add_floats(&scratch.values);
                }
            }
            Cells::Spans { kind, array } => {
                self.values += rows.len() as u64;
                for row in rows {
                    if array.is_null(row) {
                        self.nulls += 1;
                        continue;
                    }
                    let length = rounded(length(array, row));
                    scratch.values.push(length);
                    if kind == Kind::List {
                        self.distinct.add_floats(&[length]);
                    } else {
                        let bytes = span(array, row);
                        self.distinct.add_text(xxh3_64(bytes), || shown(kind, bytes));
                    }
                }
            }
        }
        self.moments.add(&scratch.values);
    }

    /// Keep the values of rows that are in the sample.
    pub(crate) fn keep(&mut self, cells: &Cells<'_>, first: u64, chosen: &[u32]) {
        match *cells {
            Cells::Numbers { numbers, width, rows, leaves } => {
                let place = |&row: &u32| {
                    let row = row as usize;
                    match self.part {
                        Part::One(at) => row * width + at,
                        // One of them, another in each row.
                        Part::All => row * width + spread(first + row as u64, width),
                    }
                };
                let begun = self.sampled.len();
                numbers.pick(chosen.iter().map(place), &mut self.sampled);
                if rows.is_some() || leaves.is_some() {
                    for (value, at) in self.sampled[begun..].iter_mut().zip(chosen.iter().map(place)) {
                        if is_null(rows, leaves, width, at) {
                            *value = f64::NAN;
                        }
                    }
                }
            }
            Cells::Spans { kind, array } => {
                for &row in chosen {
                    let row = row as usize;
                    let missing = array.is_null(row);
                    self.sampled.push(if missing { f64::NAN } else { rounded(length(array, row)) });
                    if kind != Kind::List {
                        self.texts.push(|into| {
                            if !missing {
                                show(kind, span(array, row), into);
                            }
                        });
                    }
                }
            }
        }
    }

    /// Let go of the rows that the sample let go of.
    pub(crate) fn prune(&mut self, kept: &[u32]) {
        self.sampled = kept.iter().map(|&at| self.sampled[at as usize]).collect();
        if !self.texts.ends.is_empty() {
            self.texts = self.texts.only(kept);
        }
    }

    /// Take in what was seen of the same column elsewhere.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.values += other.values;
        self.nulls += other.nulls;
        self.first_missing = self.first_missing.into_iter().chain(other.first_missing).min();
        self.moments.merge(&other.moments);
        self.distinct.merge(&other.distinct);
        self.sampled.extend(&other.sampled);
        other.texts.iter().for_each(|text| self.texts.push(|into| into.push_str(text)));
    }

    /// Return the sample, NaN for what is missing.
    pub(crate) fn sampled(&self) -> &[f64] {
        &self.sampled
    }

    /// Return the beginnings of the sample's texts.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().zip(&self.sampled).filter(|(_, length)| !length.is_nan()).map(|(text, _)| text)
    }
}

/// Texts, one behind the other in one piece of memory.
#[derive(Clone, Debug, Default)]
struct Texts {
    joined: String,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.joined);
        self.ends.push(self.joined.len());
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(&0).chain(&self.ends);
        begins.zip(&self.ends).map(|(&begin, &end)| &self.joined[begin..end])
    }

    /// Return those at some places.
    fn only(&self, places: &[u32]) -> Self {
        let mut kept = Self::default();
        for &at in places {
            let begin = if at == 0 { 0 } else { self.ends[at as usize - 1] };
            kept.push(|into| into.push_str(&self.joined[begin..self.ends[at as usize]]));
        }
        kept
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below the width")]
fn spread(row: u64, width: usize) -> usize {
    (crate::sample::row_hash(!row) % width as u64) as usize
}

/// Return the beginning of a text, or of bytes as hexadecimal numbers.
fn shown(kind: Kind, bytes: &[u8]) -> Box<str> {
    let mut text = String::new();
    show(kind, bytes, &mut text);
    text.into()
}

/// Write the beginning of a text, or of bytes as hexadecimal numbers.
fn show(kind: Kind, bytes: &[u8], into: &mut String) {
    if kind == Kind::Binary {
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        into.extend(bytes.iter().take(SHOWN / 2).flat_map(digits));
        return;
    }
    // Of characters of four bytes at most.
    let beginning = bytes.get(..4 * (SHOWN + 1)).unwrap_or(bytes);
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(cut) => std::str::from_utf8(&beginning[..cut.valid_up_to()]).unwrap_or_default(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => {
            into.push_str(&text[..end]);
            into.push('…');
        }
        None => into.push_str(text),
    }
}

#[expect(clippy::cast_precision_loss, reason = "no text has 2^53 characters")]
const fn rounded(count: usize) -> f64 {
    count as f64
}
