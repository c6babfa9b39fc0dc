//! Values that nobody wants are read as strictly as others: what is a bad record doesn't depend on the columns wanted.

use super::super::numbers::{Grammar, parts};
use super::cursor::{Cursor, Flaw};
use super::string;

/// Words that stand for numbers where Python's `json` writes such; RFC 8259 has none.
const FLOAT_WORDS: [(&[u8], f64); 3] =
    [(b"NaN", f64::NAN), (b"Infinity", f64::INFINITY), (b"-Infinity", f64::NEG_INFINITY)];

/// Read a word that stands for a number, if one comes next.
#[cold]
pub(super) fn float_word(cursor: &mut Cursor<'_>) -> Option<f64> {
    FLOAT_WORDS.iter().find(|(word, _)| cursor.word(word)).map(|(_, value)| *value)
}

/// Pass over the value that comes next.
pub(super) fn value(cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
    match cursor.peek() {
        b'"' => {
            cursor.at += 1;
            string::skip(cursor)
        }
        b'{' => object(cursor),
        b'[' => list(cursor),
        b'-' | b'0'..=b'9' => number(cursor),
        _ => word(cursor),
    }
}

fn number(cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
    match parts(cursor.text, cursor.at, Grammar::Json) {
        Some(parts) => {
            cursor.at = parts.end;
            Ok(())
        }
        None if float_word(cursor).is_some() => Ok(()),
        None => Err(Flaw::new(cursor.at, "a number is expected and what stands here is none")),
    }
}

fn word(cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
    let words: [&[u8]; 3] = [b"true", b"false", b"null"];
    if words.iter().any(|word| cursor.word(word)) || float_word(cursor).is_some() {
        return Ok(());
    }
    Err(cursor.expected("a value"))
}

fn list(cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
    cursor.enter()?;
    cursor.space();
    if !cursor.take(b']') {
        loop {
            cursor.space();
            value(cursor)?;
            if !cursor.more(b']')? {
                break;
            }
        }
    }
    cursor.leave();
    Ok(())
}

fn object(cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
    cursor.enter()?;
    cursor.space();
    if !cursor.take(b'}') {
        loop {
            key(cursor, string::skip)?;
            value(cursor)?;
            if !cursor.more(b'}')? {
                break;
            }
        }
    }
    cursor.leave();
    Ok(())
}

/// Read a key by `read`, and what stands between it and its value.
pub(super) fn key<T>(
    cursor: &mut Cursor<'_>,
    read: impl FnOnce(&mut Cursor<'_>) -> Result<T, Flaw>,
) -> Result<T, Flaw> {
    cursor.space();
    if !cursor.take(b'"') {
        return Err(cursor.expected("a key"));
    }
    let key = read(cursor)?;
    colon(cursor)?;
    Ok(key)
}

/// Pass over the colon and the space around it.
#[inline]
pub(super) fn colon(cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
    if !cursor.take(b':') {
        cursor.space();
        if !cursor.take(b':') {
            return Err(cursor.expected("':'"));
        }
    }
    cursor.space();
    Ok(())
}
