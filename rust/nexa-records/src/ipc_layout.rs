//! Where the parts of an Arrow IPC file lie, believed only after each was found inside the file.
//!
//! The layout, from <https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format>:
//!
//! ```text
//! "ARROW1\0\0"  schema message  blocks…  footer  footer's length (i32)  "ARROW1"
//! ```

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::{Block, Footer, MetadataVersion};
use arrow_schema::{ArrowError, DataType, Schema};
use flatbuffers::VerifierOptions;

use crate::{RecordError, guard, sniff};

pub(crate) const MAGIC: &[u8] = b"ARROW1";
/// The magic is padded so that the first message is aligned.
const HEAD_BYTES: usize = 8;
/// The footer's length and the closing magic.
const TAIL_BYTES: usize = 10;
/// A message starts with a continuation marker and its length.
const MIN_METADATA_BYTES: usize = 8;
/// Tables in one flatbuffer, roughly two a column: an honest schema has some thousands.
const MAX_TABLES: usize = 250_000;
/// Bytes of a flatbuffer when what it shares is counted each time: bounds what a small file can unfold to.
const MAX_APPARENT_BYTES: usize = 256 << 20;

/// One message with its body, known to lie inside the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: usize,
    metadata_bytes: usize,
    body_bytes: usize,
}

impl Span {
    /// Give the span at `start`, if it lies within `end`.
    pub(crate) fn new(start: usize, metadata_bytes: usize, body_bytes: usize, end: usize) -> Option<Self> {
        let stop = start.checked_add(metadata_bytes)?.checked_add(body_bytes)?;
        (stop <= end).then_some(Self { start, metadata_bytes, body_bytes })
    }

    /// Give the range of the message's flatbuffer with its length prefix.
    pub(crate) fn metadata(self) -> Range<usize> {
        self.start..self.start + self.metadata_bytes
    }

    /// Give the range of the buffers.
    pub(crate) fn body(self) -> Range<usize> {
        let start = self.start + self.metadata_bytes;
        start..start + self.body_bytes
    }
}

/// A dictionary, or what is added to one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dictionary {
    /// The first batch that it holds for.
    pub(crate) from: usize,
    pub(crate) span: Span,
}

/// What the footer says, checked.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) schema: Schema,
    pub(crate) dictionaries: Vec<Dictionary>,
    pub(crate) batches: Vec<Span>,
}

/// A file's bytes by ranges, whether all of it is in memory or a part is read at a time.
pub(crate) trait Ranges {
    /// Give the file's length.
    fn len(&self) -> usize;

    /// Give the bytes of a range that lies inside the file.
    fn get(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, RecordError>;
}

impl Ranges for [u8] {
    fn len(&self) -> usize {
        self.len()
    }

    fn get(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, RecordError> {
        Ok(Cow::Borrowed(&self[range]))
    }
}

/// Read the footer of a file and check what it claims.
pub(crate) fn read(bytes: &(impl Ranges + ?Sized), path: &Path) -> Result<Layout, RecordError> {
    let footer_range = footer_range(bytes, path)?;
    let blocks_end = footer_range.start;
    let corrupt = |detail: String| RecordError::Corrupt { path: path.to_owned(), batch: None, detail };
    let footer = bytes.get(footer_range)?;
    let footer = arrow_ipc::root_as_footer_with_opts(&verifier(), &footer)
        .map_err(|error| corrupt(format!("its footer cannot be read ({error})")))?;
    check_version(footer.version()).map_err(corrupt)?;
    let schema = read_schema(&footer, path)?;
    let batches = footer.recordBatches().ok_or_else(|| corrupt("its footer lists no batches".to_owned()))?;
    let mut free_bytes = blocks_end.saturating_sub(HEAD_BYTES);
    let mut span = |block: &Block| {
        let span = checked_span(block, blocks_end)?;
        // Blocks that overlap would let a small file unfold to any size.
        free_bytes = (span.metadata_bytes.checked_add(span.body_bytes))
            .and_then(|bytes| free_bytes.checked_sub(bytes))
            .ok_or_else(|| "its footer lists blocks that overlap".to_owned())?;
        Ok(span)
    };
    let dictionaries =
        footer.dictionaries().iter().flatten().map(&mut span).collect::<Result<Vec<_>, String>>();
    let dictionaries =
        dictionaries.map_err(corrupt)?.into_iter().map(|span| Dictionary { from: 0, span }).collect();
    let batches = batches.iter().map(&mut span).collect::<Result<Vec<_>, String>>().map_err(corrupt)?;
    Ok(Layout { schema, dictionaries, batches })
}

/// Give the limits under which a flatbuffer of this file is verified.
pub(crate) fn verifier() -> VerifierOptions {
    VerifierOptions {
        max_tables: MAX_TABLES,
        max_apparent_size: MAX_APPARENT_BYTES,
        ..VerifierOptions::default()
    }
}

/// Refuse metadata versions whose meaning has changed since.
pub(crate) fn check_version(version: MetadataVersion) -> Result<(), String> {
    if (MetadataVersion::V4..=MetadataVersion::V5).contains(&version) {
        return Ok(());
    }
    let name = version.variant_name().map_or_else(|| version.0.to_string(), str::to_owned);
    Err(format!("it is of Arrow metadata version {name}, and V4 and V5 (Arrow 0.8 and later) are read"))
}

fn footer_range(bytes: &(impl Ranges + ?Sized), path: &Path) -> Result<Range<usize>, RecordError> {
    let truncated = |detail: String| RecordError::Truncated { path: path.to_owned(), detail };
    let len = bytes.len();
    if len == 0 {
        return Err(truncated("the file is empty".to_owned()));
    }
    let head = bytes.get(0..len.min(sniff::LOOKED_AT))?;
    if !MAGIC.starts_with(&head[..head.len().min(MAGIC.len())]) {
        return Err(RecordError::NotArrow { path: path.to_owned(), detail: sniff::describe(&head) });
    }
    if len < HEAD_BYTES + TAIL_BYTES {
        return Err(truncated(format!("it ends after {len} bytes, before any footer")));
    }
    let tail = bytes.get(len - TAIL_BYTES..len)?;
    let Some(tail) = tail.last_chunk::<TAIL_BYTES>() else {
        return Err(truncated(format!("it ends after {len} bytes, before any footer")));
    };
    let [length @ .., _, _, _, _, _, _] = tail;
    if !tail.ends_with(MAGIC) {
        return Err(truncated(format!(
            "it does not end with \"ARROW1\" after {len} bytes: its writer did not finish, or a copy stopped"
        )));
    }
    let footer_bytes = i32::from_le_bytes(*length);
    let end = len - TAIL_BYTES;
    let start = usize::try_from(footer_bytes).ok().and_then(|length| end.checked_sub(length));
    match start {
        Some(start) if start >= HEAD_BYTES && start < end => Ok(start..end),
        _ => Err(RecordError::Corrupt {
            path: path.to_owned(),
            batch: None,
            detail: format!("it claims a footer of {footer_bytes} bytes in a file of {len}"),
        }),
    }
}

fn read_schema(footer: &Footer<'_>, path: &Path) -> Result<Schema, RecordError> {
    guard::decode(path, None, || {
        sound_schema(
            footer.schema().ok_or_else(|| ArrowError::ParseError("the footer has no schema".to_owned()))?,
        )
    })
}

/// Give a schema, if there can be columns of it; panics where the library does, so that it is called within a guard.
pub(crate) fn sound_schema(schema: arrow_ipc::Schema<'_>) -> Result<Schema, ArrowError> {
    if !schema.endianness().equals_to_target_endianness() {
        return Err(ArrowError::IpcError("it was written in the other byte order".to_owned()));
    }
    let schema = arrow_ipc::convert::try_fb_to_schema(schema)?;
    for field in schema.flattened_fields() {
        let value = match field.data_type() {
            DataType::Dictionary(_, value) => value,
            kind => kind,
        };
        if let DataType::FixedSizeList(_, size @ ..0) | DataType::FixedSizeBinary(size @ ..0) = value {
            let detail = format!("column {:?} has rows of {size} elements", field.name());
            return Err(ArrowError::SchemaError(detail));
        }
    }
    // Other types that contradict themselves, such as a map without keys, show with the first array that is made.
    drop(RecordBatch::new_empty(Arc::new(schema.clone())));
    Ok(schema)
}

fn checked_span(block: &Block, blocks_end: usize) -> Result<Span, String> {
    let (offset, metadata, body) = (block.offset(), block.metaDataLength(), block.bodyLength());
    let span = || {
        let start = usize::try_from(offset).ok().filter(|start| *start >= HEAD_BYTES)?;
        let metadata_bytes = usize::try_from(metadata).ok().filter(|bytes| *bytes >= MIN_METADATA_BYTES)?;
        let body_bytes = usize::try_from(body).ok()?;
        Span::new(start, metadata_bytes, body_bytes, blocks_end)
    };
    span().ok_or_else(|| {
        format!(
            "its footer claims a block at {offset} with {metadata} + {body} bytes, and the blocks end at \
             {blocks_end}"
        )
    })
}
