//! Where the parts of an Arrow IPC stream lie: message after message, since a stream has no footer.
//!
//! <https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format>

use std::path::Path;

use arrow_ipc::MessageHeader;
use arrow_schema::ArrowError;

use crate::ipc_layout::{Dictionary, Layout, Span, sound_schema};
use crate::{RecordError, guard, ipc_message};

/// Stands before a message's length, since Arrow 0.15.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Read a stream's messages' headers.
///
/// # Returns
/// What it holds, and, where it ends in the middle of a message, what is missing.
pub(crate) fn read(bytes: &[u8], path: &Path) -> Result<(Layout, Option<String>), RecordError> {
    let corrupt = |detail: String| RecordError::Corrupt { path: path.to_owned(), batch: None, detail };
    let torn = |detail: String| RecordError::Truncated { path: path.to_owned(), detail };
    let first = match next(bytes, 0) {
        Next::Message(span) => span,
        Next::Torn(detail) => return Err(torn(detail)),
        Next::End => return Err(torn("it ends before its schema".to_owned())),
        Next::Corrupt(detail) => {
            return Err(RecordError::NotOfFormat { path: path.to_owned(), format: "arrow_stream", detail });
        }
    };
    let message = ipc_message::parse(&bytes[first.metadata()]).map_err(corrupt)?;
    let schema = guard::decode(path, None, || {
        sound_schema(
            message
                .header_as_schema()
                .ok_or_else(|| ArrowError::ParseError("its first message is no schema".to_owned()))?,
        )
    })?;
    let mut layout = Layout { schema, dictionaries: Vec::new(), batches: Vec::new() };
    let mut at = first.body().end;
    loop {
        let span = match next(bytes, at) {
            Next::Message(span) => span,
            Next::End => return Ok((layout, None)),
            Next::Torn(detail) | Next::Corrupt(detail) => return Ok((layout, Some(detail))),
        };
        match ipc_message::parse(&bytes[span.metadata()]).map(|message| message.header_type()) {
            Ok(MessageHeader::RecordBatch) => layout.batches.push(span),
            Ok(MessageHeader::DictionaryBatch) => {
                layout.dictionaries.push(Dictionary { from: layout.batches.len(), span });
            }
            Ok(other) => {
                let name = other.variant_name().unwrap_or("nothing known");
                return Ok((layout, Some(format!("the message at byte {at} is a {name}"))));
            }
            Err(detail) => return Ok((layout, Some(format!("the message at byte {at}: {detail}")))),
        }
        at = span.body().end;
    }
}

enum Next {
    Message(Span),
    End,
    Torn(String),
    Corrupt(String),
}

/// Find the message at `at`, and that it lies inside the stream.
fn next(bytes: &[u8], at: usize) -> Next {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return Next::End;
    }
    let prefix = if rest.starts_with(&CONTINUATION) { 8 } else { 4 };
    let Some(length) = rest.get(prefix - 4..prefix).and_then(|length| length.try_into().ok()) else {
        return Next::Torn(format!("it ends at byte {} in a message's length", bytes.len()));
    };
    let length = i32::from_le_bytes(length);
    if length == 0 {
        return Next::End;
    }
    let Ok(length) = usize::try_from(length) else {
        return Next::Corrupt(format!("the message at byte {at} claims {length} bytes"));
    };
    let Some(metadata) = rest.get(..length.saturating_add(prefix)) else {
        return Next::Torn(format!("it ends at byte {} in the message at byte {at}", bytes.len()));
    };
    let body = match ipc_message::parse(metadata).map(|message| usize::try_from(message.bodyLength())) {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Next::Corrupt(format!("the message at byte {at} claims a negative body")),
        Err(detail) => return Next::Corrupt(format!("the message at byte {at}: {detail}")),
    };
    match Span::new(at, metadata.len(), body, bytes.len()) {
        Some(span) => Next::Message(span),
        None => {
            Next::Torn(format!("it ends at byte {} in the body of the message at byte {at}", bytes.len()))
        }
    }
}

#[cfg(test)]
#[path = "ipc_stream_tests.rs"]
mod tests;
