//! Members of a tar archive: POSIX ustar, GNU's long names and large sizes, and pax.
//!
//! <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html> and
//! <https://www.gnu.org/software/tar/manual/html_node/Standard.html>

use std::ops::Range;

/// Bytes of a header, and what members are filled up to.
pub(super) const BLOCK: usize = 512;

/// Bytes of a long name or of pax records that are read.
const MAX_EXTENSION: usize = 1 << 20;

/// A file, or what stands for one, in an archive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    /// Whether it is a regular file, and not a folder, link or device.
    pub(super) regular: bool,
    pub(super) data: Range<usize>,
    /// Where the next one begins.
    pub(super) end: usize,
}

/// What lies at a place of an archive.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Member(Member),
    /// The archive's end, or what fills it up.
    Zeros,
    /// So many bytes are needed to say.
    More(usize),
    /// What can't be read, and why.
    Odd(String),
}

/// What headers before a member's own say of it.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Read the member whose headers begin at `at`.
pub(super) fn member(bytes: &[u8], mut at: usize) -> Found {
    let mut extended = Extended::default();
    loop {
        let Some(header) = bytes.get(at..at + BLOCK) else { return Found::More(at + BLOCK) };
        if header.iter().all(|byte| *byte == 0) {
            return Found::Zeros;
        }
        match step(bytes, at, header, &mut extended) {
            Ok(Ok(member)) => return Found::Member(member),
            Ok(Err(next)) => at = next,
            Err(found) => return found,
        }
    }
}

/// Read one header: a member's own, or one that extends the next, and where that is.
fn step(
    bytes: &[u8],
    at: usize,
    header: &[u8],
    extended: &mut Extended,
) -> Result<Result<Member, usize>, Found> {
    let odd = |what: &str| Found::Odd(what.to_owned());
    if !is_sound(header) {
        return Err(odd("a header doesn't have the checksum that it states"));
    }
    let size = number(&header[124..136]).ok_or_else(|| odd("a member's size is no number"))?;
    let kind = header[156];
    let start = at + BLOCK;
    if matches!(kind, b'L' | b'K' | b'x' | b'g') {
        let size = usize::try_from(size).ok().filter(|size| *size <= MAX_EXTENSION);
        let size = size.ok_or_else(|| odd("a header that extends another one has more than 1 MiB"))?;
        let data = bytes.get(start..start + size).ok_or(Found::More(start + size))?;
        extend(kind, data, extended).map_err(Found::Odd)?;
        return Ok(Err(start + size.next_multiple_of(BLOCK)));
    }
    let name = extended.name.take().unwrap_or_else(|| name(header));
    if kind == b'S' {
        let name = String::from_utf8_lossy(&name).into_owned();
        return Err(Found::Odd(format!("member {name:?} is sparse; write it with all its bytes")));
    }
    // Links, devices and folders have no data, whatever size they state.
    let size = if matches!(kind, b'1'..=b'6') { 0 } else { extended.size.take().unwrap_or(size) };
    let end = usize::try_from(size).ok().and_then(|size| {
        start.checked_add(size.checked_next_multiple_of(BLOCK)?).map(|end| (start + size, end))
    });
    let (data_end, end) = end.ok_or_else(|| odd("a member's size is beyond any memory"))?;
    let regular = matches!(kind, b'0' | 0 | b'7') && !name.ends_with(b"/");
    Ok(Ok(Member { name, regular, data: start..data_end, end }))
}

fn extend(kind: u8, data: &[u8], extended: &mut Extended) -> Result<(), String> {
    match kind {
        b'L' => extended.name = Some(until_nul(data).to_vec()),
        b'x' => pax(data, |key, value| match key {
            b"path" => {
                extended.name = Some(value.to_vec());
                Ok(())
            }
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|size| size.parse().ok());
                extended.size = Some(size.ok_or("a pax header's size is no number")?);
                Ok(())
            }
            sparse if sparse.starts_with(b"GNU.sparse.") => {
                Err("a member is sparse; write it with all its bytes".to_owned())
            }
            _ => Ok(()),
        })?,
        // For all members there are times and owners, which are nothing to us; one name for all is no archive of samples.
        b'g' => pax(data, |key, _| match key {
            b"path" | b"size" => Err("a pax header gives all members one name or size".to_owned()),
            _ => Ok(()),
        })?,
        _ => {}
    }
    Ok(())
}

/// Read pax records: their length, a space, key, `=`, value, a newline.
fn pax(mut data: &[u8], mut each: impl FnMut(&[u8], &[u8]) -> Result<(), String>) -> Result<(), String> {
    let malformed = || "a pax header is malformed".to_owned();
    while !data.is_empty() && data[0] != 0 {
        let space = data.iter().take(20).position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let length: usize = std::str::from_utf8(&data[..space])
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(malformed)?;
        let (record, rest) = data.split_at_checked(length).ok_or_else(malformed)?;
        let record =
            record.get(space + 1..).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(malformed)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        each(&record[..equals], &record[equals + 1..])?;
        data = rest;
    }
    Ok(())
}

/// Say whether a header has the checksum that it states; old archivers summed signed bytes.
fn is_sound(header: &[u8]) -> bool {
    let with = |sum: fn(u8) -> i64| -> i64 {
        let spaces = 8 * sum(b' ');
        header[..148].iter().chain(&header[156..]).map(|byte| sum(*byte)).sum::<i64>() + spaces
    };
    let stated = number(&header[148..156]).and_then(|stated| i64::try_from(stated).ok());
    stated == Some(with(i64::from)) || stated == Some(with(|byte| i64::from(byte.cast_signed())))
}

/// Read an octal number, or a binary one with the highest bit set.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let (high, low) = field.split_at(field.len().saturating_sub(8));
        let high_is_empty = high.iter().enumerate().all(|(at, byte)| *byte == if at == 0 { 0x80 } else { 0 });
        return (!high.is_empty() && high_is_empty)
            .then(|| low.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    }
    let text = until_nul(field).trim_ascii();
    text.iter().try_fold(0u64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    &field[..end]
}

fn name(header: &[u8]) -> Vec<u8> {
    let name = until_nul(&header[..100]);
    let prefix = until_nul(&header[345..500]);
    // GNU's own magic ends in a space, and has other things where POSIX has the prefix.
    if &header[257..263] == b"ustar\0" && !prefix.is_empty() {
        [prefix, b"/", name].concat()
    } else {
        name.to_vec()
    }
}
