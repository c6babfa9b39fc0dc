//! A file that is one array, as a JSON dump is: its elements are the records.

use super::super::text::Ends;

/// Finds the commas between the elements: quotes, brackets and backslashes are all that has to be known for it.
#[derive(Clone, Copy, Default)]
pub(super) struct Elements {
    depth: usize,
    quoted: bool,
    escaped: bool,
    /// Whether the array's own bracket was met.
    closed: bool,
}

impl Elements {
    /// Give the place of the next comma or bracket that ends an element.
    fn next(&mut self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < text.len() {
            if self.quoted {
                at += self.within(&text[at..]);
                continue;
            }
            match text[at] {
                b'"' => self.quoted = true,
                b'{' | b'[' => self.depth += 1,
                b']' if self.depth == 0 && !self.closed => {
                    self.closed = true;
                    return Some(at);
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b',' if self.depth == 0 && !self.closed => return Some(at),
                _ => {}
            }
            at += 1;
        }
        None
    }

    /// Go through a text, to its end or that of what there is of it; return how far.
    fn within(&mut self, text: &[u8]) -> usize {
        if self.escaped {
            self.escaped = false;
            return 1;
        }
        let Some(at) = memchr::memchr2(b'"', b'\\', text) else { return text.len() };
        if text[at] == b'"' {
            self.quoted = false;
        } else {
            self.escaped = true;
        }
        at + 1
    }

    /// Give the first record of `text`, which begins with one, and where the next one begins; `None` at the end.
    pub(super) fn split(text: &[u8]) -> (&[u8], usize) {
        match Self::default().next(text) {
            Some(at) if text[at] == b',' => (&text[..at], at + 1),
            // What follows the array is the record's to be refused with.
            Some(at) => match text[at + 1..].iter().all(u8::is_ascii_whitespace) {
                true => (&text[..at], text.len()),
                false => (text, text.len()),
            },
            None => (text, text.len()),
        }
    }
}

impl Ends for Elements {
    fn begin(&mut self) {
        *self = Self { closed: self.closed, ..Self::default() };
    }

    fn last(&mut self, text: &[u8]) -> Option<usize> {
        let (mut last, mut at) = (None, 0);
        while let Some(end) = self.next(&text[at..]) {
            at += end + 1;
            // The array's bracket goes with its last element.
            if !self.closed {
                last = Some(at);
            }
        }
        last
    }

    fn first(&mut self, text: &[u8]) -> Option<usize> {
        let end = self.next(text)?;
        Some(if self.closed { end } else { end + 1 })
    }

    fn missing(&self, _: &[u8]) -> Option<&'static str> {
        (!self.closed).then_some("the file ends before its array does: it was cut short")
    }
}
