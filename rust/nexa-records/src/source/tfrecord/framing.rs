//! `TFRecord`'s frames: length, its checksum, data, its checksum.
//!
//! <https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details>

use crate::source::framed::{Frame, Step};
use crate::source::rows::{Flaw, lost};

/// Bytes before a record's data: its length and the checksum of that.
const HEAD_BYTES: usize = 12;
/// Bytes behind it: its checksum.
const TAIL_BYTES: usize = 4;

/// Give the checksum as it is stored: rotated and shifted, so that data that holds checksums has another one.
pub(super) fn masked_crc(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn stored(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Read a record's length, unless it is damaged.
pub(super) fn length(head: &[u8]) -> Option<u64> {
    let (length, rest) = head.split_first_chunk::<8>()?;
    (stored(rest)? == masked_crc(length)).then(|| u64::from_le_bytes(*length))
}

/// All bytes of a record, and its data if that is sound.
type Record<'a> = (&'a [u8], Result<&'a [u8], Flaw>);

/// Take the first record off `block`, which consists of whole ones.
pub(super) fn record<'a>(block: &mut &'a [u8]) -> Option<Record<'a>> {
    let bytes = usize::try_from(length(block)?).ok()?;
    let (whole, rest) = block.split_at_checked(bytes.checked_add(HEAD_BYTES + TAIL_BYTES)?)?;
    *block = rest;
    let data = &whole[HEAD_BYTES..HEAD_BYTES + bytes];
    let sound = stored(&whole[HEAD_BYTES + bytes..]) == Some(masked_crc(data));
    let flaw = || Flaw::new("its bytes don't have the checksum that follows them".to_owned());
    Some((whole, if sound { Ok(data) } else { Err(flaw()) }))
}

/// Finds where records end.
pub(super) struct Framing {
    pub(super) record_bytes: usize,
}

impl Frame for Framing {
    fn step(&mut self, bytes: &[u8], offset: u64, _ended: bool) -> Step {
        if bytes.len() < HEAD_BYTES {
            return Step::More(HEAD_BYTES);
        }
        let Some(length) = length(bytes) else {
            let reason = "a record's length doesn't have the checksum that follows it, so that nobody knows where the \
                          next one begins";
            return Step::End(Some(lost(0, offset, reason.to_owned())));
        };
        let framed = length.saturating_add((HEAD_BYTES + TAIL_BYTES) as u64);
        let Some(whole) = usize::try_from(framed).ok().filter(|_| length <= self.record_bytes as u64) else {
            let reason =
                format!("it has {length} bytes, more than record_bytes allows ({})", self.record_bytes);
            return Step::Skip(framed, Some(Flaw::new(reason).bad(Some(offset), &bytes[..HEAD_BYTES])));
        };
        if bytes.len() < whole { Step::More(whole) } else { Step::Whole(whole) }
    }
}
