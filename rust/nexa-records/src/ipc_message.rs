//! A message's own claims (counts, buffer positions, decompressed sizes), checked before anything follows them.

use std::ops::Range;

use arrow_ipc::{Message, RecordBatch};

use crate::ipc_layout::{check_version, verifier};

/// Most bytes that the buffers of one batch may unpack to. Batches are written some MiB large; beyond this a
/// claim is taken for a lie (or a bomb) before memory is asked for.
const MAX_UNPACKED_BYTES: u64 = 4 << 30;
/// Most entries that one array may claim: as many as [`MAX_UNPACKED_BYTES`] has bits. Types without bytes, such
/// as null, would otherwise let a small file claim any number.
const MAX_ENTRIES: i64 = 8 << 32;
/// No block of zstd (4 bytes for up to 128 KiB) and none of lz4 (a byte for up to 255) unpacks to more than this
/// many times its size.
const MAX_RATIO: u64 = 1 << 15;
/// A compressed buffer starts with its unpacked length.
const LENGTH_PREFIX_BYTES: usize = 8;

/// Parse a message whose bytes, with their prefix, are `metadata`.
pub(crate) fn parse(metadata: &[u8]) -> Result<Message<'_>, String> {
    // Files before Arrow 0.15 have the length alone; since then a continuation marker stands before it.
    let skip = if metadata.starts_with(&[0xff; 4]) { 8 } else { 4 };
    let flatbuffer = metadata.get(skip..).ok_or("its message has no room for a length")?;
    let message = arrow_ipc::root_as_message_with_opts(&verifier(), flatbuffer)
        .map_err(|error| format!("its message cannot be read ({error})"))?;
    check_version(message.version())?;
    Ok(message)
}

/// Check a batch's claims against its body.
pub(crate) fn check(batch: &RecordBatch<'_>, body: &[u8]) -> Result<(), String> {
    let buffers = buffers(batch, body.len())?;
    let compressed = batch.compression().is_some();
    let mut unpacked_bytes = 0u64;
    for range in buffers.into_iter().filter(|_| compressed) {
        unpacked_bytes = unpacked_bytes.saturating_add(unpacked(&body[range])?);
    }
    if unpacked_bytes > MAX_UNPACKED_BYTES {
        return Err(format!(
            "it claims to unpack to {unpacked_bytes} bytes, and up to {MAX_UNPACKED_BYTES} are read; write \
             smaller batches"
        ));
    }
    Ok(())
}

/// Give where a batch's buffers lie in a body of so many bytes, and check what it claims of its arrays.
pub(crate) fn buffers(batch: &RecordBatch<'_>, body_bytes: usize) -> Result<Vec<Range<usize>>, String> {
    rows(batch)?;
    for node in batch.nodes().iter().flatten() {
        let (length, nulls) = (node.length(), node.null_count());
        if !(0..=MAX_ENTRIES).contains(&length) || !(0..=length).contains(&nulls) {
            return Err(format!("an array claims {length} entries, {nulls} of them null"));
        }
    }
    let mut free_bytes = body_bytes;
    let range = |buffer: &arrow_ipc::Buffer| {
        let (offset, length) = (buffer.offset(), buffer.length());
        let range = within(body_bytes, offset, length).ok_or_else(|| {
            format!("a buffer claims {length} bytes at {offset} in a body of {body_bytes} bytes")
        })?;
        // Buffers that overlap could each be copied for alignment: a small file would unfold to any size.
        free_bytes = free_bytes.checked_sub(range.len()).ok_or("its buffers overlap")?;
        Ok(range)
    };
    batch.buffers().iter().flatten().map(range).collect()
}

/// Give the rows that a batch claims.
pub(crate) fn rows(batch: &RecordBatch<'_>) -> Result<u64, String> {
    let rows = batch.length();
    if rows > MAX_ENTRIES {
        return Err(format!("it claims {rows} rows"));
    }
    u64::try_from(rows).map_err(|_| format!("it claims {rows} rows"))
}

fn within(body_bytes: usize, offset: i64, length: i64) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    (end <= body_bytes).then_some(start..end)
}

/// Give the bytes that a compressed buffer claims to unpack to; 0 where it needs no memory of its own.
fn unpacked(buffer: &[u8]) -> Result<u64, String> {
    if buffer.is_empty() {
        return Ok(0);
    }
    let (prefix, packed) = buffer
        .split_first_chunk::<LENGTH_PREFIX_BYTES>()
        .ok_or("a compressed buffer is too short for its length")?;
    match i64::from_le_bytes(*prefix) {
        -1 => Ok(0),
        claim => u64::try_from(claim)
            .ok()
            .filter(|bytes| *bytes <= (packed.len() as u64).saturating_mul(MAX_RATIO))
            .ok_or_else(|| format!("{} compressed bytes claim to unpack to {claim}", packed.len())),
    }
}
