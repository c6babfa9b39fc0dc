//! What some endpoints write that isn't JSON, made JSON: looked for only where a body doesn't parse.

/// Written by encoders that let floats through; JSON has no word for them.
const NUMBERS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
const ESCAPE_BYTES: usize = 6;

/// Return `body` with NaN and infinities as null and halves of surrogate pairs as U+FFFD, if there is any of them.
pub(crate) fn mend(body: &[u8]) -> Option<Vec<u8>> {
    let mut mended = Vec::with_capacity(body.len());
    let (mut at, mut in_text, mut changed) = (0, false, false);
    while at < body.len() {
        let rest = &body[at..];
        let (taken, written): (usize, &[u8]) = match rest[0] {
            b'"' => {
                in_text = !in_text;
                (1, b"\"")
            }
            b'\\' if in_text => match surrogates(rest) {
                Some(Surrogates::Pair) => (2 * ESCAPE_BYTES, &rest[..2 * ESCAPE_BYTES]),
                Some(Surrogates::Half) => (ESCAPE_BYTES, b"\\ufffd"),
                None => (rest.len().min(2), &rest[..rest.len().min(2)]),
            },
            _ if !in_text => match NUMBERS.iter().find(|word| rest.starts_with(word)) {
                Some(word) => (word.len(), b"null"),
                None => (1, &rest[..1]),
            },
            _ => (1, &rest[..1]),
        };
        changed |= written != &rest[..taken];
        mended.extend_from_slice(written);
        at += taken;
    }
    changed.then_some(mended)
}

enum Surrogates {
    Pair,
    Half,
}

/// Say what the escape is that `bytes` begin with, if it is of a surrogate.
fn surrogates(bytes: &[u8]) -> Option<Surrogates> {
    match code(bytes)? {
        0xd800..=0xdbff => match bytes.get(ESCAPE_BYTES..).and_then(code) {
            Some(0xdc00..=0xdfff) => Some(Surrogates::Pair),
            _ => Some(Surrogates::Half),
        },
        0xdc00..=0xdfff => Some(Surrogates::Half),
        _ => None,
    }
}

/// Read an escape of the form `\uXXXX`.
fn code(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.get(..ESCAPE_BYTES)?.strip_prefix(b"\\u")?;
    let text =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(text, 16).ok()
}
