//! A gzip file's members one after the other, which the decoder of one member doesn't know about.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::unpack::only_zeros;

/// What members begin with (RFC 1952, 2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Unpacks all members.
pub(super) struct Gzip<R> {
    /// Gone only while it is exchanged for the next one.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gzip<R> {
    pub(super) fn new(packed: R) -> Self {
        Self { member: Some(GzDecoder::new(packed)) }
    }

    /// Give what the bytes come from.
    pub(super) fn packed(&self) -> &R {
        // `read` puts a member back on every way out.
        self.member.as_ref().map(GzDecoder::get_ref).unwrap_or_else(|| unreachable!("there is a member"))
    }

    /// Go on to the next member; `false` where there is none.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(member) = self.member.take() else { return Ok(false) };
        let mut packed = member.into_inner();
        let next = follows(&mut packed);
        self.member = Some(GzDecoder::new(packed));
        next
    }
}

/// Say whether another member follows. Zeros behind the last one are how tapes and block devices pad.
fn follows(packed: &mut impl BufRead) -> io::Result<bool> {
    let head = packed.fill_buf()?;
    if head.is_empty() {
        return Ok(false);
    }
    if head[0] == MAGIC[0] {
        return Ok(true);
    }
    if only_zeros(packed)? {
        return Ok(false);
    }
    Err(io::Error::other("bytes that are no gzip follow its last member"))
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(member) = &mut self.member else { return Ok(0) };
            let n = member.read(into)?;
            if n > 0 || !self.advance()? {
                return Ok(n);
            }
        }
    }
}
