//! The header of a `.npy` file: what its rows are and where they begin.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use super::dtype::{Cell, Refused, axes, cells};
use super::literal::{Literal, parse};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes of a header's text that are read; numpy itself stops at 10,000 unless told.
const MAX_TEXT: usize = 1 << 20;

/// Bytes of a file in which its header ends, if it is one.
pub(super) const MAX_BYTES: usize = MAX_TEXT + 12;

/// What a `.npy` file holds.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::source) struct Header {
    pub(super) cells: Vec<Cell>,
    /// Bytes of a row.
    pub(super) row_bytes: usize,
    pub(super) rows: u64,
    /// Where the first row begins.
    pub(super) data_at: usize,
}

impl Header {
    /// Read the header of a file that begins with `head`, naming the column `name`. An array is rows along its first
    /// axis, or with `whole` one row.
    pub(super) fn parse(head: &[u8], name: &str, whole: bool) -> Result<Self, Refused> {
        let (text, data_at) = text(head)?;
        let Literal::Dict(entries) = parse(&text).map_err(Refused::Odd)? else {
            return Err(Refused::Odd("its header is no dictionary".to_owned()));
        };
        let entry = |key: &str| {
            entries
                .iter()
                .rev()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value)
                .ok_or_else(|| Refused::Odd(format!("its header has no {key}")))
        };
        let shape = axes(entry("shape")?)?;
        let fortran = match entry("fortran_order")? {
            Literal::Bool(fortran) => *fortran,
            _ => return Err(Refused::Odd("its fortran_order is no boolean".to_owned())),
        };
        // With one axis longer than 1 both orders are the same.
        if fortran && shape.iter().filter(|axis| **axis > 1).count() > 1 {
            let what = "its rows don't lie end to end (Fortran order); save numpy.ascontiguousarray of it";
            return Err(Refused::Unsupported(what.to_owned()));
        }
        let (rows, row_shape) = match shape.split_first() {
            _ if whole => (1, shape.as_slice()),
            Some((rows, row_shape)) => (*rows as u64, row_shape),
            None => {
                return Err(Refused::Unsupported(
                    "it is one value without an axis, so it has no rows".to_owned(),
                ));
            }
        };
        let (cells, row_bytes) = cells(name, entry("descr")?, row_shape)?;
        Ok(Self { cells, row_bytes, rows, data_at })
    }
}

/// Cut the header's text out of the file's first bytes, and say where the data begins.
fn text(head: &[u8]) -> Result<(String, usize), Refused> {
    let odd = |what: &str| Refused::Odd(what.to_owned());
    let rest = head.strip_prefix(MAGIC).ok_or_else(|| odd("it doesn't begin as one"))?;
    let short = || odd("it ends within its header");
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    let (size, rest, latin) = match version {
        [1, _] => {
            let (size, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
            (u32::from(u16::from_le_bytes(*size)), rest, true)
        }
        [major @ (2 | 3), _] => {
            let (size, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
            (u32::from_le_bytes(*size), rest, *major == 2)
        }
        [major, minor] => {
            return Err(Refused::Unsupported(format!("its version {major}.{minor} is unknown")));
        }
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > MAX_TEXT {
        return Err(Refused::Unsupported(format!("its header has {size} bytes")));
    }
    let text = rest.get(..size).ok_or_else(short)?;
    let data_at = head.len() - rest.len() + size;
    if latin {
        return Ok((text.iter().map(|byte| char::from(*byte)).collect(), data_at));
    }
    let text = std::str::from_utf8(text).map_err(|_| odd("its header is no UTF-8"))?;
    Ok((text.to_owned(), data_at))
}
