//! Where in a record's text its reading stands, and what a reader may say against it.

/// How deep lists and objects may lie within each other: as deep as `serde_json` reads, and no stack ends before.
pub(super) const MAX_DEPTH: u32 = 128;

/// What is wrong with a record.
#[derive(Debug)]
pub(super) struct Flaw(Box<Detail>);

#[derive(Debug)]
pub(super) struct Detail {
    /// The place in the record.
    pub(super) at: usize,
    /// The column, with the names of what it lies in before it; empty for what belongs to none.
    pub(super) column: String,
    pub(super) reason: String,
}

impl Flaw {
    #[cold]
    pub(super) fn new(at: usize, reason: impl Into<String>) -> Self {
        Self(Box::new(Detail { at, column: String::new(), reason: reason.into() }))
    }

    /// Say in which column it is.
    #[cold]
    pub(super) fn within(mut self, name: &str) -> Self {
        let inner = &self.0.column;
        self.0.column = if inner.is_empty() { name.to_owned() } else { format!("{name}.{inner}") };
        self
    }

    pub(super) fn detail(self) -> Detail {
        *self.0
    }
}

/// A record's text and a place in it.
pub(super) struct Cursor<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    depth: u32,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Return the byte that comes next; at the end 0, which nothing begins with.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// Pass over white space (RFC 8259, 2).
    #[inline]
    pub(super) fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    /// Pass over `byte`, if it comes next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == byte;
        self.at += usize::from(there);
        there
    }

    /// Pass over `word`, if it comes next.
    #[inline]
    pub(super) fn word(&mut self, word: &[u8]) -> bool {
        let there = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += if there { word.len() } else { 0 };
        there
    }

    /// Pass over `,`, or over `end`; `true` where more comes.
    #[inline]
    pub(super) fn more(&mut self, end: u8) -> Result<bool, Flaw> {
        if self.take(b',') {
            return Ok(true);
        }
        if self.take(end) {
            return Ok(false);
        }
        self.space();
        if self.take(b',') {
            return Ok(true);
        }
        if self.take(end) { Ok(false) } else { Err(self.expected(&format!("',' or '{}'", end as char))) }
    }

    /// Go a level deeper, past the bracket that comes next.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), Flaw> {
        if self.depth == MAX_DEPTH {
            return Err(Flaw::new(self.at, format!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Come back from a level.
    #[inline]
    pub(super) const fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Say what should stand here.
    #[cold]
    pub(super) fn expected(&self, what: &str) -> Flaw {
        let found = match self.text.get(self.at) {
            None => "it ends".to_owned(),
            Some(byte @ 0x20..=0x7e) => format!("there is '{}'", *byte as char),
            Some(byte) => format!("there is the byte 0x{byte:02x}"),
        };
        Flaw::new(self.at, format!("{found} where {what} is expected"))
    }

    /// Say what a value is where one of another type is wanted: a type, or what isn't JSON.
    #[cold]
    pub(super) fn unfit(&mut self, wanted: &str) -> Flaw {
        let (start, first) = (self.at, self.peek());
        match super::skip::value(self) {
            Ok(()) => {
                let shown = String::from_utf8_lossy(&self.text[start..self.at.min(start + 40)]).into_owned();
                let dots = if self.at > start + 40 { "…" } else { "" };
                Flaw::new(start, format!("{} ({shown}{dots}) stands where {wanted} is expected", kind(first)))
            }
            Err(flaw) => flaw,
        }
    }
}

/// Name a value's type by its first byte.
pub(super) const fn kind(first: u8) -> &'static str {
    match first {
        b'{' => "an object",
        b'[' => "a list",
        b'"' => "a text",
        b't' | b'f' => "a truth value",
        b'n' => "null",
        _ => "a number",
    }
}
