//! Where records and fields end, which quotes decide.
//!
//! A quote opens only at a field's beginning, as RFC 4180 (2) has it; within an unquoted field it is a character like others.
//! Behind the quote that closes, what follows up to the delimiter belongs to the field (and makes its record a bad one).

use super::super::text::Ends;

/// What the next byte means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A field begins.
    #[default]
    Start,
    /// Within a field without quotes, or behind its closing quote.
    Plain,
    Quoted,
    /// Behind a quote within a quoted field: a second one makes it a character, all else ends the quoting.
    Quote,
}

/// Finds the line ends outside quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    delimiter: u8,
    state: State,
}

impl Rows {
    pub(super) const fn new(delimiter: u8) -> Self {
        Self { delimiter, state: State::Start }
    }

    /// Give the place behind the next line end outside quotes.
    pub(super) fn next(&mut self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < text.len() {
            at += match self.state {
                State::Quoted => match memchr::memchr(b'"', &text[at..]) {
                    Some(n) => {
                        self.state = State::Quote;
                        n + 1
                    }
                    None => return None,
                },
                State::Quote if text[at] == b'"' => {
                    self.state = State::Quoted;
                    1
                }
                State::Start if text[at] == b'"' => {
                    self.state = State::Quoted;
                    1
                }
                _ => {
                    self.state = State::Plain;
                    let n = memchr::memchr2(self.delimiter, b'\n', &text[at..])?;
                    self.state = State::Start;
                    if text[at + n] == b'\n' {
                        return Some(at + n + 1);
                    }
                    n + 1
                }
            };
        }
        None
    }
}

impl Ends for Rows {
    fn begin(&mut self) {
        self.state = State::Start;
    }

    fn last(&mut self, text: &[u8]) -> Option<usize> {
        // Without a quote nothing but line ends matters, which are found from behind.
        if matches!(self.state, State::Start | State::Plain) && memchr::memchr(b'"', text).is_none() {
            let end = memchr::memrchr(b'\n', text).map(|at| at + 1);
            let rest = &text[end.unwrap_or(0)..];
            self.state = match rest.last() {
                None if end.is_some() => State::Start,
                None => self.state,
                Some(byte) if *byte == self.delimiter => State::Start,
                Some(_) => State::Plain,
            };
            return end;
        }
        let (mut last, mut at) = (None, 0);
        while let Some(end) = self.next(&text[at..]) {
            at += end;
            last = Some(at);
        }
        last
    }

    fn first(&mut self, text: &[u8]) -> Option<usize> {
        self.next(text)
    }
}

/// Give the first record of `text`, without its line end, and where the next one begins.
#[inline]
pub(super) fn split(text: &[u8], delimiter: u8, quotes: bool) -> (&[u8], usize) {
    let end =
        if quotes { Rows::new(delimiter).next(text) } else { memchr::memchr(b'\n', text).map(|at| at + 1) };
    let next = end.unwrap_or(text.len());
    let record = end.map_or(text, |end| &text[..end - 1]);
    (record.strip_suffix(b"\r").unwrap_or(record), next)
}
