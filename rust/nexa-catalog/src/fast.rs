//! A line as most writers write it, read in one pass without an allocation.
//!
//! ```text
//! line    := { pair , pair … }            blanks between tokens
//! pair    := "key" : value                a key at most once
//! value   := plain string                 valid UTF-8, no backslash, no control character
//!          | whole number                 at most 19 digits, no leading zero, no sign
//!          | true | false | null
//!          | [ plain string , … ]         for tags
//! for each pair: a known key of its type, sound by its own rules, goes into its field; an unknown one is kept as it is
//! anything else: nothing is said, the careful path reads the line anew
//! ```
//!
//! 1. It says "sound" or nothing. What is wrong with a line, and how it is told, stays in one place, `line`.
//! 2. What it takes is a subset on which reading has no latitude: no escapes to decode, no number to round, no key that
//!    stands twice, no order of keys to restore but a sort. So the two paths can agree to the byte, and the tests and
//!    the fuzz target hold them against each other.
//! 3. Strings are scanned eight bytes at a time in ordinary registers, the digest in blocks (`nexa_io::Digest`): the
//!    same instructions on every machine, and nothing to dispatch.

use std::borrow::Cow;

use nexa_io::Digest;

use crate::{MAX_LINE_BYTES, split, uri};

/// What a line says; tags and extra lie in the [`Scratch`].
pub(crate) struct Line<'a> {
    pub(crate) uri: &'a str,
    /// The uri's [identity](uri::identity).
    pub(crate) name: Cow<'a, str>,
    pub(crate) split: Option<&'a str>,
    pub(crate) bytes: Option<u64>,
    pub(crate) records: Option<u64>,
    pub(crate) checksum: Option<Digest>,
}

/// What outlives a line, so that the next one allocates nothing.
#[derive(Default)]
pub(crate) struct Scratch<'a> {
    /// The line's tags as a JSON list, or nothing.
    pub(crate) tags: String,
    /// The line's unknown keys as a JSON object, or nothing.
    pub(crate) extra: String,
    unknown: Vec<(&'a str, &'a str)>,
    /// Splits that are known to be sound.
    splits: Vec<&'a str>,
}

/// More unknown keys than a line of a catalog has.
const MAX_UNKNOWN: usize = 32;
const MAX_SPLITS: usize = 8;

/// Read a line without blanks at its ends; `None` leaves it to the careful path.
pub(crate) fn read<'a>(line: &'a str, scratch: &mut Scratch<'a>) -> Option<Line<'a>> {
    if line.len() > MAX_LINE_BYTES {
        return None;
    }
    scratch.tags.clear();
    scratch.unknown.clear();
    let mut cursor = Cursor { text: line, at: 0 };
    let mut found =
        Line { uri: "", name: Cow::default(), split: None, bytes: None, records: None, checksum: None };
    let mut seen = 0u8;
    cursor.take(b'{')?;
    loop {
        cursor.blanks();
        let key = cursor.key()?;
        cursor.blanks();
        cursor.take(b':')?;
        cursor.blanks();
        match key {
            Key::Uri => found.uri = cursor.string()?,
            Key::Split => found.split = cursor.or_null(Cursor::string)?,
            Key::Bytes => found.bytes = cursor.or_null(Cursor::number)?,
            Key::Records => found.records = cursor.or_null(Cursor::number)?,
            Key::Checksum => found.checksum = cursor.or_null(Cursor::digest)?,
            Key::Tags => drop(cursor.or_null(|cursor| cursor.list(&mut scratch.tags))?),
            Key::Unknown(name) => scratch.unknown.push((name, cursor.value()?)),
        }
        let bit = key.bit();
        if seen & bit != 0 {
            return None;
        }
        seen |= bit;
        cursor.blanks();
        match cursor.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    if cursor.at < line.len() || seen & Key::Uri.bit() == 0 {
        return None;
    }
    found.name = uri::identity(found.uri).ok()?;
    scratch.accept(found.split).then_some(found)
}

impl<'a> Scratch<'a> {
    fn accept(&mut self, split: Option<&'a str>) -> bool {
        self.write_extra() && split.is_none_or(|name| self.is_split(name))
    }

    fn is_split(&mut self, name: &'a str) -> bool {
        if self.splits.contains(&name) {
            return true;
        }
        let sound = split::is_name(name) && split::meant(name).is_none();
        if sound && self.splits.len() < MAX_SPLITS {
            self.splits.push(name);
        }
        sound
    }

    /// Write the unknown keys as `serde_json` writes a map; plain strings and whole numbers stay as they are.
    fn write_extra(&mut self) -> bool {
        self.extra.clear();
        if self.unknown.is_empty() {
            return true;
        }
        self.unknown.sort_unstable();
        if self.unknown.len() > MAX_UNKNOWN || self.unknown.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return false;
        }
        for (position, (key, value)) in self.unknown.iter().enumerate() {
            self.extra.push_str(if position == 0 { "{\"" } else { ",\"" });
            self.extra.push_str(key);
            self.extra.push_str("\":");
            self.extra.push_str(value);
        }
        self.extra.push('}');
        true
    }
}

/// A key of a line.
#[derive(Clone, Copy)]
enum Key<'a> {
    Uri,
    Split,
    Bytes,
    Records,
    Checksum,
    Tags,
    Unknown(&'a str),
}

impl Key<'_> {
    /// Each known key's own bit.
    const fn bit(self) -> u8 {
        match self {
            Self::Uri => 1,
            Self::Split => 2,
            Self::Bytes => 4,
            Self::Records => 8,
            Self::Checksum => 16,
            Self::Tags => 32,
            Self::Unknown(_) => 0,
        }
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn key(&mut self) -> Option<Key<'a>> {
        // Compared where it stands: a look for its end would cost more than all else.
        let known = match self.text.as_bytes().get(self.at + 1)? {
            b'u' => self.literal(b"\"uri\"").map(|()| Key::Uri),
            b's' => self.literal(b"\"split\"").map(|()| Key::Split),
            b'b' => self.literal(b"\"bytes\"").map(|()| Key::Bytes),
            b'r' => self.literal(b"\"records\"").map(|()| Key::Records),
            b'c' => self.literal(b"\"checksum\"").map(|()| Key::Checksum),
            b't' => self.literal(b"\"tags\"").map(|()| Key::Tags),
            _ => None,
        };
        known.or_else(|| self.string().map(Key::Unknown))
    }

    /// Take a plain string, and give what is between its quotes.
    fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        let end = start + plain_bytes(&self.text.as_bytes()[start..]);
        self.at = end;
        self.take(b'"')?;
        self.text.get(start..end)
    }

    fn number(&mut self) -> Option<u64> {
        let start = self.at;
        let mut number = 0u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        // 19 digits stay below 2^64. A point or an exponent is seen by who looks for the comma.
        let digits = self.at - start;
        let padded = digits > 1 && self.text.as_bytes()[start] == b'0';
        ((1..=19).contains(&digits) && !padded).then_some(number)
    }

    fn digest(&mut self) -> Option<Digest> {
        const SHA256_BYTES: usize = "sha256:".len() + 64;
        let start = self.at + 1;
        let end = start + SHA256_BYTES;
        let rest = &self.text.as_bytes()[self.at..];
        // What is 64 digits has no end among them that a look would find.
        if rest.starts_with(b"\"sha256:") && self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return self.text.get(start..end)?.parse().ok();
        }
        self.string()?.parse().ok()
    }

    fn literal<const N: usize>(&mut self, word: &[u8; N]) -> Option<()> {
        let found = self.text.as_bytes()[self.at..].first_chunk() == Some(word);
        found.then(|| self.at += N)
    }

    /// Take a value, or null, which stands for an absent key.
    fn or_null<T>(&mut self, value: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.peek() == Some(b'n') { self.literal(b"null").map(|()| None) } else { value(self).map(Some) }
    }

    /// Take a list of plain strings, and write it without blanks unless it is empty.
    fn list(&mut self, into: &mut String) -> Option<()> {
        self.take(b'[')?;
        self.blanks();
        if self.peek()? == b']' {
            return self.take(b']');
        }
        loop {
            self.blanks();
            let item = self.string()?;
            into.push_str(if into.is_empty() { "[\"" } else { ",\"" });
            into.push_str(item);
            into.push('"');
            self.blanks();
            match self.next()? {
                b',' => {}
                b']' => break,
                _ => return None,
            }
        }
        into.push(']');
        Some(())
    }

    /// Take a value of an unknown key, and give it as it stands.
    fn value(&mut self) -> Option<&'a str> {
        let start = self.at;
        match self.peek()? {
            b'"' => self.string().map(drop)?,
            b'0'..=b'9' => self.number().map(drop)?,
            b't' => self.literal(b"true")?,
            b'f' => self.literal(b"false")?,
            b'n' => self.literal(b"null")?,
            _ => return None,
        }
        self.text.get(start..self.at)
    }
}

/// Count the bytes before the first quote, backslash or control character.
fn plain_bytes(bytes: &[u8]) -> usize {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // The high bit of each byte below `limit`. A borrow may mark bytes above the first that is marked rightly, never
    // one before it (Mycroft), and the first is all that is asked for.
    let below = |word: u64, limit: u64| word.wrapping_sub(limit * LOW) & !word & HIGH;
    let mut count = 0;
    for eight in bytes.chunks_exact(8) {
        let Ok(eight) = eight.try_into() else { break };
        let word = u64::from_le_bytes(eight);
        let quote = below(word ^ (LOW * u64::from(b'"')), 1);
        let backslash = below(word ^ (LOW * u64::from(b'\\')), 1);
        let found = quote | backslash | below(word, 0x20);
        if found != 0 {
            return count + found.trailing_zeros() as usize / 8;
        }
        count += 8;
    }
    let rest = &bytes[count..];
    count + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn plain_bytes_are_those_of_a_walk(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'a')], 0..40)) {
            let walk = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            prop_assert_eq!(plain_bytes(&bytes), walk.unwrap_or(bytes.len()));
        }
    }

    #[test]
    fn common_lines_are_read_and_odd_ones_are_left() {
        for (line, taken) in [
            (r#"{"uri": "a.arrow", "split": "train", "bytes": 12, "records": 0, "tags": ["x", "y"]}"#, true),
            (r#"{"uri":"é/file:a","z":"w","a":true,"tags":[]}"#, true),
            (r#"{"uri":"a","bytes":null}"#, true),
            (r#"{"uri":"a","bytes":18446744073709551615}"#, false),
            (r#"{"uri":"a","bytes":00}"#, false),
            (r#"{"uri":"a","bytes":1.0}"#, false),
            (r#"{"uri":"a","x":[1]}"#, false),
            (r#"{"uri":"a","uri":"a"}"#, false),
            (r#"{"uri":"a","x":1,"x":1}"#, false),
            (r#"{"uri":"a\n"}"#, false),
            (r#"{"uri":"a","split":"val"}"#, false),
            (r#"{"uri":"a"} x"#, false),
            (r#"{"uri":"a",}"#, false),
            ("{}", false),
        ] {
            assert_eq!(read(line, &mut Scratch::default()).is_some(), taken, "{line}");
        }
    }
}
