//! An array in memory as one value, for containers whose members are `.npy` files.

use std::borrow::Cow;

use arrow_schema::{DataType, Field};

use super::cells::values_of;
use super::dtype::{Kind, Refused, tensor};
use super::header::Header;
use crate::source::rows::field;

/// An array of numbers or booleans in memory.
pub(in crate::source) struct Member<'a> {
    header: Header,
    data: &'a [u8],
}

impl<'a> Member<'a> {
    /// Read an array that `bytes` are, all of them.
    pub(in crate::source) fn read(bytes: &'a [u8]) -> Result<Self, Refused> {
        let header = Header::parse(bytes, "", true)?;
        let [cell] = header.cells.as_slice() else {
            return Err(Refused::Unsupported("a structured array is no tensor".to_owned()));
        };
        if !matches!(cell.dtype.kind, Kind::Plain | Kind::Bool) {
            return Err(Refused::Unsupported("it is no array of numbers".to_owned()));
        }
        let data = &bytes[header.data_at..];
        if data.len() != header.row_bytes {
            let what = format!("its header promises {} bytes, {} are there", header.row_bytes, data.len());
            return Err(Refused::Odd(what));
        }
        Ok(Self { header, data })
    }

    /// Give its shape.
    pub(in crate::source) fn shape(&self) -> &[usize] {
        &self.header.cells[0].shape
    }

    /// Give the type of its values.
    pub(in crate::source) fn item(&self) -> &DataType {
        &self.header.cells[0].dtype.data_type
    }

    /// Give the field of a column of arrays like it.
    pub(in crate::source) fn field(&self, name: &str) -> Field {
        match self.shape() {
            [] => field(name, self.item().clone()),
            shape => tensor(name, self.item(), shape),
        }
    }

    /// Give its values as Arrow has them.
    pub(in crate::source) fn values<'b>(&'b self, scratch: &'b mut Vec<u8>) -> Cow<'b, [u8]> {
        values_of(&self.header.cells[0].dtype, self.data, scratch)
    }
}
