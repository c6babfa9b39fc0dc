//! Texts: where they end, and what their escapes stand for.

use super::cursor::{Cursor, Flaw};

/// Bytes that are looked at together; the loop over them is one that compilers turn into vectors.
const LANES: usize = 32;

/// Return the place of the first byte from `at` on that is a quote, a backslash or a control character, or the end.
#[inline]
pub(super) fn plain_end(text: &[u8], mut at: usize) -> usize {
    while let Some(lanes) = text.get(at..).and_then(<[u8]>::first_chunk::<LANES>) {
        if lanes.iter().fold(false, |any, byte| any | special(*byte)) {
            break;
        }
        at += LANES;
    }
    at + text[at..].iter().position(|byte| special(*byte)).unwrap_or(text.len() - at)
}

#[inline]
const fn special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// Pass over the text that begins behind the quote before the cursor, and append it to `into`.
#[inline]
pub(super) fn read(cursor: &mut Cursor<'_>, into: &mut Vec<u8>) -> Result<(), Flaw> {
    loop {
        let start = cursor.at;
        cursor.at = plain_end(cursor.text, start);
        into.extend_from_slice(&cursor.text[start..cursor.at]);
        match cursor.peek() {
            b'"' => {
                cursor.at += 1;
                return Ok(());
            }
            b'\\' => escape(cursor, into)?,
            _ => return Err(unended(cursor)),
        }
    }
}

/// As [`read`], without keeping it.
#[inline]
pub(super) fn skip(cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
    let mut kept = Vec::new();
    loop {
        cursor.at = plain_end(cursor.text, cursor.at);
        match cursor.peek() {
            b'"' => {
                cursor.at += 1;
                return Ok(());
            }
            b'\\' => {
                kept.clear();
                escape(cursor, &mut kept)?;
            }
            _ => return Err(unended(cursor)),
        }
    }
}

#[cold]
fn unended(cursor: &Cursor<'_>) -> Flaw {
    match cursor.text.get(cursor.at) {
        None => Flaw::new(cursor.at, "it ends within a text"),
        Some(byte) => Flaw::new(
            cursor.at,
            format!("the control character 0x{byte:02x} stands in a text; write it as \\u{byte:04x}"),
        ),
    }
}

/// Append what the escape at the cursor stands for (RFC 8259, 7).
fn escape(cursor: &mut Cursor<'_>, into: &mut Vec<u8>) -> Result<(), Flaw> {
    let start = cursor.at;
    cursor.at += 2;
    let byte = match cursor.text.get(start + 1) {
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => {
            let character = character(cursor, start)?;
            into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(());
        }
        _ => return Err(Flaw::new(start, "a backslash stands before what is no escape")),
    };
    into.push(byte);
    Ok(())
}

/// Read four hexadecimal digits, or twice as many where they are the first half of a pair.
fn character(cursor: &mut Cursor<'_>, start: usize) -> Result<char, Flaw> {
    let first = unit(cursor, start)?;
    if let Some(character) = char::from_u32(first) {
        return Ok(character);
    }
    let lone = || Flaw::new(start, format!("\\u{first:04x} is half of a pair without the other half"));
    if first >= 0xdc00 || !cursor.word(b"\\u") {
        return Err(lone());
    }
    let second = unit(cursor, start)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(lone());
    }
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or_else(lone)
}

fn unit(cursor: &mut Cursor<'_>, start: usize) -> Result<u32, Flaw> {
    let digits = cursor.text.get(cursor.at..cursor.at + 4).unwrap_or_default();
    let value = digits.iter().try_fold(0, |value, digit| Some(value << 4 | (*digit as char).to_digit(16)?));
    cursor.at += 4;
    value
        .filter(|_| digits.len() == 4)
        .ok_or_else(|| Flaw::new(start, "\\u stands before what are no four hexadecimal digits"))
}
