//! One record of a journal as bytes.
//!
//! Little endian: marker (4), crc32c (4) of all that follows, length of the payload (4); the payload is kind (1),
//! flags (1), attempt (2), key (16), value (8) and the body.
//!
//! Marker and checksum are each file's own ([`Seal`]): a body comes from outside, and might otherwise hold a whole record,
//! to be taken for one where the record around it is torn.

use crc_fast::CrcAlgorithm;

/// Bytes of a request's key.
pub const KEY_BYTES: usize = 16;

/// Identity of a request: the first half of a sha256.
pub type Key = [u8; KEY_BYTES];

/// Longest body.
pub const MAX_BODY_BYTES: usize = 1 << 30;

/// Bytes of a marker.
pub(crate) const MARKER_BYTES: usize = 4;
/// Bytes from which a file's seal is made.
pub(crate) const SALT_BYTES: usize = 16;
/// Marker, checksum, length.
pub(crate) const HEAD_BYTES: usize = 12;
/// What a payload holds beside its body.
pub(crate) const FIXED_BYTES: usize = 28;
/// The body is compressed.
pub(crate) const ZSTD: u8 = 1;
/// The record was taken over from another run, which paid for it.
pub(crate) const FOREIGN: u8 = 2;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A request is about to be sent; its value holds the most tokens of prompt (high half) and answer (low half).
    Intent = 1,
    /// The raw body of an answer; its value is the latency in microseconds.
    Answer = 2,
    /// The attempt certainly cost nothing; its value is the HTTP status or 0, its body the reason.
    Refused = 3,
    /// The request was sent and its answer is lost or broken; value and body as above.
    Lost = 4,
    /// Tokens of an answer, as the endpoint counted them, packed as in an intent.
    Settled = 5,
    /// What stays of an answer whose body was purged: its sha256.
    Digest = 6,
    /// An answer that was taken over from another run.
    Adopted = 7,
}

/// There is no such kind of record.
#[derive(Debug, thiserror::Error)]
#[error("there is no kind {0} of record; known: 1 to 7")]
pub struct UnknownKind(pub u8);

impl TryFrom<u8> for Kind {
    type Error = UnknownKind;

    fn try_from(byte: u8) -> Result<Self, UnknownKind> {
        Ok(match byte {
            1 => Self::Intent,
            2 => Self::Answer,
            3 => Self::Refused,
            4 => Self::Lost,
            5 => Self::Settled,
            6 => Self::Digest,
            7 => Self::Adopted,
            other => return Err(UnknownKind(other)),
        })
    }
}

/// A record without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub kind: Kind,
    pub flags: u8,
    pub attempt: u16,
    pub key: Key,
    pub value: u64,
}

impl Meta {
    pub(crate) fn foreign(&self) -> bool {
        self.flags & FOREIGN != 0 || self.kind == Kind::Adopted
    }
}

/// What the records of one file begin with, and what their checksums begin from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// Where a record begins: what a search for the next sound one looks for.
    pub marker: [u8; MARKER_BYTES],
    salt: [u8; SALT_BYTES],
}

impl Seal {
    pub(crate) fn of(salt: [u8; SALT_BYTES]) -> Self {
        let mut marker = [0; MARKER_BYTES];
        marker.copy_from_slice(&salt[..MARKER_BYTES]);
        marker[0] = 0xf5; // never in text, and never in a run of zeros
        Self { marker, salt }
    }

    pub(crate) fn salt(&self) -> [u8; SALT_BYTES] {
        self.salt
    }

    /// Begin a checksum.
    pub(crate) fn digest(&self) -> crc_fast::Digest {
        let mut digest = crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&self.salt);
        digest
    }

    fn checksum(&self, bytes: &[u8]) -> u32 {
        let mut digest = self.digest();
        digest.update(bytes);
        finished(&digest)
    }
}

/// Return what a checksum came to.
pub(crate) fn finished(digest: &crc_fast::Digest) -> u32 {
    u32::try_from(digest.finalize()).expect("a crc32c has 32 bits")
}

/// Append a record's bytes to `out`.
pub(crate) fn encode(seal: &Seal, meta: &Meta, body: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(FIXED_BYTES + body.len()).expect("bodies are bounded");
    let start = out.len();
    out.extend_from_slice(&seal.marker);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[meta.kind as u8, meta.flags]);
    out.extend_from_slice(&meta.attempt.to_le_bytes());
    out.extend_from_slice(&meta.key);
    out.extend_from_slice(&meta.value.to_le_bytes());
    out.extend_from_slice(body);
    let crc = seal.checksum(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// What the bytes at a place are.
#[derive(Debug, PartialEq)]
pub(crate) enum Found<'a> {
    /// A sound record of so many bytes.
    Record(Meta, &'a [u8], usize),
    /// The beginning of one of so many bytes, if it is one at all.
    Part(usize),
    /// No record.
    Nothing,
}

/// Return how long the record is that `bytes` begin with, if it is one; where less than a head is known, the head's length.
pub(crate) fn extent(seal: &Seal, bytes: &[u8]) -> Option<usize> {
    if bytes.len() < HEAD_BYTES {
        let known = bytes.len().min(MARKER_BYTES);
        return (bytes[..known] == seal.marker[..known]).then_some(HEAD_BYTES);
    }
    let length = u32_at(bytes, 8) as usize;
    let sound = bytes[..4] == seal.marker && (FIXED_BYTES..=FIXED_BYTES + MAX_BODY_BYTES).contains(&length);
    sound.then_some(HEAD_BYTES + length)
}

/// Read the record that `bytes` begin with.
pub(crate) fn decode<'a>(seal: &Seal, bytes: &'a [u8]) -> Found<'a> {
    let Some(size) = extent(seal, bytes) else { return Found::Nothing };
    if bytes.len() < size {
        return Found::Part(size);
    }
    let payload = &bytes[HEAD_BYTES..size];
    if seal.checksum(&bytes[8..size]) != u32_at(bytes, 4) {
        return Found::Nothing;
    }
    let Ok(kind) = Kind::try_from(payload[0]) else { return Found::Nothing };
    let mut key = [0; KEY_BYTES];
    key.copy_from_slice(&payload[4..20]);
    let mut value = [0; 8];
    value.copy_from_slice(&payload[20..28]);
    let attempt = u16::from_le_bytes([payload[2], payload[3]]);
    let meta = Meta { kind, flags: payload[1], attempt, key, value: u64::from_le_bytes(value) };
    Found::Record(meta, &payload[FIXED_BYTES..], size)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
