//! The Python literals that a `.npy` header is made of, read without Python: texts, whole numbers, booleans, tuples,
//! lists and dictionaries.

/// Nested literals that are followed; numpy writes three, a structured type within another one more each.
const MAX_DEPTH: usize = 16;

/// A Python literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    Number(i64),
    Bool(bool),
    None,
    Tuple(Vec<Self>),
    List(Vec<Self>),
    Dict(Vec<(String, Self)>),
}

/// Read one literal, which is all of `text` but for white space.
pub(super) fn parse(text: &str) -> Result<Literal, String> {
    let mut parser = Parser { text, at: 0 };
    let literal = parser.literal(0)?;
    match parser.peek() {
        None => Ok(literal),
        Some(_) => Err(parser.odd("something follows it")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn odd(&self, what: &str) -> String {
        format!("its header is no Python literal that numpy would write: {what} at byte {}", self.at)
    }

    /// Give the next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Step over `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn literal(&mut self, depth: usize) -> Result<Literal, String> {
        if depth > MAX_DEPTH {
            return Err(self.odd("too deep a nesting"));
        }
        match self.peek() {
            Some(b'{') => self.dict(depth),
            Some(b'(') => self.tuple(depth),
            Some(b'[') => self.items(b']', depth).map(|(items, _)| Literal::List(items)),
            Some(b'\'' | b'"') => self.string().map(Literal::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
            None => Err(self.odd("an end")),
        }
    }

    /// Read items up to `close`, and say whether a comma stood behind the last.
    fn items(&mut self, close: u8, depth: usize) -> Result<(Vec<Literal>, bool), String> {
        self.at += 1;
        let (mut items, mut comma) = (Vec::new(), true);
        while !self.take(close) {
            if !comma {
                return Err(self.odd("no comma"));
            }
            items.push(self.literal(depth + 1)?);
            comma = self.take(b',');
        }
        Ok((items, comma))
    }

    fn tuple(&mut self, depth: usize) -> Result<Literal, String> {
        let (mut items, comma) = self.items(b')', depth)?;
        // One item without a comma is that item in brackets.
        match items.len() {
            1 if !comma => items.pop().ok_or_else(String::new),
            _ => Ok(Literal::Tuple(items)),
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Literal, String> {
        self.at += 1;
        let (mut entries, mut comma) = (Vec::new(), true);
        while !self.take(b'}') {
            if !comma || !matches!(self.peek(), Some(b'\'' | b'"')) {
                return Err(self.odd("no key"));
            }
            let key = self.string()?;
            if !self.take(b':') {
                return Err(self.odd("no colon"));
            }
            entries.push((key, self.literal(depth + 1)?));
            comma = self.take(b',');
        }
        Ok(Literal::Dict(entries))
    }

    fn number(&mut self) -> Result<Literal, String> {
        let rest = &self.text[self.at..];
        let end = rest.bytes().skip(1).take_while(u8::is_ascii_digit).count() + 1;
        let number = rest[..end].parse().map_err(|_| self.odd("no number of 64 bits"))?;
        self.at += end;
        // Python 2 wrote long numbers so.
        self.at += usize::from(self.text.as_bytes().get(self.at) == Some(&b'L'));
        Ok(Literal::Number(number))
    }

    fn word(&mut self) -> Result<Literal, String> {
        for (word, literal) in
            [("True", Literal::Bool(true)), ("False", Literal::Bool(false)), ("None", Literal::None)]
        {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(literal);
            }
        }
        Err(self.odd("an unknown word"))
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.text.as_bytes()[self.at];
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(next) = self.text[self.at..].chars().next() else {
                return Err(self.odd("an open text"));
            };
            self.at += next.len_utf8();
            match next {
                '\\' => out.push(self.escape()?),
                end if end == char::from(quote) => return Ok(out),
                other => out.push(other),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let kind = self.text.as_bytes().get(self.at).copied();
        self.at += usize::from(kind.is_some_and(|kind| kind.is_ascii()));
        let digits = match kind {
            Some(plain @ (b'\\' | b'\'' | b'"')) => return Ok(char::from(plain)),
            Some(b'n') => return Ok('\n'),
            Some(b't') => return Ok('\t'),
            Some(b'r') => return Ok('\r'),
            Some(b'x') => 2,
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => return Err(self.odd("an unknown escape")),
        };
        let code = self.text.get(self.at..self.at + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        self.at += digits;
        code.and_then(char::from_u32).ok_or_else(|| self.odd("no character"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_numpy_writes_is_read() {
        let text = "{'descr': [('a', '<f4', (2,)), ('caf\\xe9', '|S3')], 'fortran_order': False, 'shape': (3L,), }  \n";
        let Literal::Dict(entries) = parse(text).unwrap() else { panic!("a dictionary") };
        assert_eq!(entries[2], ("shape".to_owned(), Literal::Tuple(vec![Literal::Number(3)])));
        let Literal::List(fields) = &entries[0].1 else { panic!("a list") };
        assert_eq!(
            fields[1],
            Literal::Tuple(vec![Literal::Text("café".to_owned()), Literal::Text("|S3".to_owned())])
        );
    }

    #[test]
    fn brackets_around_one_item_are_a_tuple_with_a_comma_only() {
        assert_eq!(parse("(1)"), Ok(Literal::Number(1)));
        assert_eq!(parse("(1,)"), Ok(Literal::Tuple(vec![Literal::Number(1)])));
        assert_eq!(parse("()"), Ok(Literal::Tuple(vec![])));
    }

    #[test]
    fn what_is_no_literal_is_refused_where_it_goes_wrong() {
        for text in [
            "",
            "{",
            "{'a' 1}",
            "{'a': 1 'b': 2}",
            "__import__('os')",
            "1 2",
            "'\\q'",
            "'a",
            "(,)",
            "'\\xé9'",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("at byte"), "{text}: {error}");
        }
        assert!(parse(&"(".repeat(100_000)).unwrap_err().contains("too deep"));
        assert!(parse("99999999999999999999").unwrap_err().contains("64 bits"));
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[\\{\\}\\(\\)\\[\\]'\"\\\\,:xuUL0-9 éTrueNo-]{0,40}") {
            let _ = parse(&text);
        }
    }
}
