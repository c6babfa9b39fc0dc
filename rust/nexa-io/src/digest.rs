//! Checksums that name their algorithm, computed block by block.

use std::fmt;
use std::str::FromStr;

use crc_fast::CrcAlgorithm;
use sha2::Digest as _;

use crate::error::IoError;

/// A checksum algorithm; the names are what catalogs write before the colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Algorithm {
    /// SHA-256: cryptographic, and what the ecosystem speaks; shards are addressed by it.
    #[default]
    Sha256,
    /// BLAKE3 with 256 bits: cryptographic, fast without special instructions.
    Blake3,
    /// XXH3 with 128 bits, written big-endian as `xxh128sum` does: against accidents only.
    Xxh3,
    /// CRC-32C (Castagnoli), written big-endian: against accidents only.
    Crc32c,
}

impl Algorithm {
    /// Every algorithm, the default first.
    pub const ALL: [Self; 4] = [Self::Sha256, Self::Blake3, Self::Xxh3, Self::Crc32c];

    /// Return the name as catalogs write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
            Self::Xxh3 => "xxh3",
            Self::Crc32c => "crc32c",
        }
    }

    /// Return the length of a digest in bytes; in text it has twice as many digits.
    #[must_use]
    pub const fn digest_bytes(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Xxh3 => 16,
            Self::Crc32c => 4,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = IoError;

    fn from_str(text: &str) -> Result<Self, IoError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
            .ok_or_else(|| IoError::UnknownAlgorithm { name: text.to_owned() })
    }
}

/// A finished checksum with its algorithm, written `sha256:9f86…`.
///
/// Text is read strictly (the algorithm's exact number of digits, of either case) and written in lower case.
///
/// ```
/// use nexa_io::{Algorithm, Digest, Hasher};
///
/// let promised: Digest = "crc32c:E3069283".parse()?;
/// let mut hasher = Hasher::new(Algorithm::Crc32c);
/// hasher.update(b"123456789");
/// assert_eq!(hasher.finish(), promised);
/// # Ok::<(), nexa_io::IoError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// Bytes past the algorithm's length are zero, so that the derived comparisons hold.
    bytes: [u8; 32],
}

impl Digest {
    /// Return the algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Return the bytes: 32, 32, 16 or 4 of them, by algorithm.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.digest_bytes()]
    }

    /// Return the lower-case hexadecimal digits, without the algorithm's name.
    #[must_use]
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let nibbles = self.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]);
        nibbles.map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
    }

    fn from_computed(algorithm: Algorithm, computed: &[u8]) -> Self {
        debug_assert_eq!(computed.len(), algorithm.digest_bytes());
        let mut bytes = [0; 32];
        bytes[..computed.len()].copy_from_slice(computed);
        Self { algorithm, bytes }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = IoError;

    fn from_str(text: &str) -> Result<Self, IoError> {
        let malformed = |detail: String| IoError::MalformedDigest { text: text.to_owned(), detail };
        // Not `split_once`, whose search is made for long texts.
        let (name, hex) = text
            .bytes()
            .position(|byte| byte == b':')
            .map(|colon| (&text[..colon], &text[colon + 1..]))
            .ok_or_else(|| malformed("it names no algorithm; write for example sha256:9f86…".to_owned()))?;
        let algorithm: Algorithm = name.parse()?;
        let expected = 2 * algorithm.digest_bytes();
        let mut bytes = [0; 32];
        if hex.len() != expected || !decode_hex(hex.as_bytes(), &mut bytes) {
            let found = hex.chars().count();
            if found != expected {
                return Err(malformed(format!("{algorithm} has {expected} digits, this has {found}")));
            }
            let digit = hex.chars().find(|digit| !digit.is_ascii_hexdigit()).unwrap_or_default();
            return Err(malformed(format!("{digit:?} is not a hexadecimal digit")));
        }
        Ok(Self { algorithm, bytes })
    }
}

/// Decode pairs of digits, and say whether all were digits. Catalogs have 64 a line, so it takes eight at a time in
/// one register; a byte below 128 plus less than 128 carries into no other.
fn decode_hex(hex: &[u8], into: &mut [u8; 32]) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = 0x80 * EACH;
    let mut sound = hex.len() <= 2 * into.len() && hex.len().is_multiple_of(8);
    for (digits, bytes) in hex.chunks_exact(8).zip(into.chunks_exact_mut(4)) {
        let Ok(digits) = digits.try_into() else { return false };
        let word = u64::from_le_bytes(digits);
        let low = word & !HIGH;
        // The high bit of each byte from the first to the last of a range.
        let within = |word: u64, first: u8, last: u8| {
            (word + u64::from(0x80 - first) * EACH) & !(word + u64::from(0x7f - last) * EACH)
        };
        let letters = within(low | (0x20 * EACH), b'a', b'f');
        sound &= (within(low, b'0', b'9') | letters) & !word & HIGH == HIGH;
        // The low halves of '0' and of 'a' are 0 and 1.
        let nibbles = (low & (0x0f * EACH)) + 9 * ((letters & HIGH) >> 7);
        let pairs = ((nibbles << 4) | (nibbles >> 8)) & 0x00ff_00ff_00ff_00ff;
        let fours = (pairs | (pairs >> 8)) & 0x0000_ffff_0000_ffff;
        bytes.copy_from_slice(&((fours | (fours >> 16)) as u32).to_le_bytes());
    }
    sound
}

/// A checksum in the making.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Blake3(Box<blake3::Hasher>),
    Xxh3(Box<xxhash_rust::xxh3::Xxh3>),
    Crc32c(crc_fast::Digest),
}

impl Hasher {
    /// Start a checksum over no bytes.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Blake3 => State::Blake3(Box::default()),
            Algorithm::Xxh3 => State::Xxh3(Box::default()),
            Algorithm::Crc32c => State::Crc32c(crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi)),
        })
    }

    /// Return the algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Blake3(_) => Algorithm::Blake3,
            State::Xxh3(_) => Algorithm::Xxh3,
            State::Crc32c(_) => Algorithm::Crc32c,
        }
    }

    /// Append `bytes`; how they are cut into calls makes no difference.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hasher) => hasher.update(bytes),
            State::Blake3(hasher) => {
                hasher.update(bytes);
            }
            State::Xxh3(hasher) => hasher.update(bytes),
            State::Crc32c(hasher) => hasher.update(bytes),
        }
    }

    /// Return the checksum of everything appended.
    #[must_use]
    pub fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        match self.0 {
            State::Sha256(hasher) => Digest::from_computed(algorithm, &hasher.finalize()),
            State::Blake3(hasher) => Digest::from_computed(algorithm, hasher.finalize().as_bytes()),
            State::Xxh3(hasher) => Digest::from_computed(algorithm, &hasher.digest128().to_be_bytes()),
            // The value has 32 bits in 64.
            State::Crc32c(hasher) => Digest::from_computed(algorithm, &hasher.finalize().to_be_bytes()[4..]),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(&self.algorithm()).finish()
    }
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
