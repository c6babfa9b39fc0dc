//! Bodies in fewer bytes.

use zstd::bulk::{Compressor, Decompressor};

use crate::frame::{Kind, MAX_BODY_BYTES, Meta};

/// Shorter bodies gain nothing.
const WORTH_COMPRESSING: usize = 512;
/// How hard is tried.
pub(crate) const LEVEL: i32 = 1;

/// Return the body compressed, if it is an answer's and smaller for it.
pub(crate) fn compressed(packer: &mut Compressor<'_>, meta: &Meta, body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < WORTH_COMPRESSING || !matches!(meta.kind, Kind::Answer | Kind::Adopted) {
        return None;
    }
    packer.compress(body).ok().filter(|packed| packed.len() < body.len())
}

/// Return the body that was compressed, if it is one.
pub(crate) fn decompressed(unpacker: &mut Decompressor<'_>, body: &[u8]) -> Option<Vec<u8>> {
    let size = zstd::zstd_safe::get_frame_content_size(body).ok()??;
    let size = usize::try_from(size).ok().filter(|size| *size <= MAX_BODY_BYTES)?;
    unpacker.decompress(body, size).ok()
}
