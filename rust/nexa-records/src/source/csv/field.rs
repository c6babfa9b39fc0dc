//! One field of a record: as it lies in the text, and what it says.

use std::borrow::Cow;

/// A field as it lies in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// What it says, without its quotes.
    pub(super) text: Cow<'a, [u8]>,
    /// Whether it had quotes: then it is never a missing value.
    pub(super) quoted: bool,
    /// The place behind it: that of a delimiter, or the record's end.
    pub(super) end: usize,
}

/// Read the field of `record` that begins at `at`.
///
/// # Errors
/// What its quotes do wrong.
pub(super) fn field(record: &[u8], at: usize, delimiter: u8) -> Result<Field<'_>, &'static str> {
    if record.get(at) == Some(&b'"') {
        return quoted(record, at + 1, delimiter);
    }
    let rest = &record[at..];
    let end = at + memchr::memchr(delimiter, rest).unwrap_or(rest.len());
    Ok(Field { text: Cow::Borrowed(&record[at..end]), quoted: false, end })
}

fn quoted(record: &[u8], start: usize, delimiter: u8) -> Result<Field<'_>, &'static str> {
    let mut text = Cow::Borrowed(&record[..0]);
    let mut from = start;
    loop {
        let quote = memchr::memchr(b'"', &record[from..]).ok_or("a quote is opened and not closed")?;
        let part = &record[from..from + quote];
        let behind = from + quote + 1;
        if record.get(behind) == Some(&b'"') {
            // Doubled, it stands for one.
            text.to_mut().extend_from_slice(&record[from..behind]);
            from = behind + 1;
            continue;
        }
        if text.is_empty() {
            text = Cow::Borrowed(part);
        } else {
            text.to_mut().extend_from_slice(part);
        }
        return match record.get(behind) {
            Some(byte) if *byte != delimiter => {
                Err("text follows a closing quote; double the quotes within a field")
            }
            _ => Ok(Field { text, quoted: true, end: behind }),
        };
    }
}

/// Give all fields of a record.
///
/// # Errors
/// As [`field`].
pub(super) fn fields(record: &[u8], delimiter: u8) -> Result<Vec<Field<'_>>, &'static str> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let field = field(record, at, delimiter)?;
        at = field.end + 1;
        let last = field.end == record.len();
        fields.push(field);
        if last {
            return Ok(fields);
        }
    }
}
