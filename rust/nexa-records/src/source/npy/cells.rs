//! Values as numpy lays them out, to values as Arrow does.

use std::borrow::Cow;

use arrow_array::{ArrayRef, make_array};
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType};

use super::dtype::{Cell, Dtype, Kind};
use crate::source::rows::{Flaw, Rows};
use crate::source::value_column::bits;

/// Turn each value's bytes around, if the first is the highest.
fn swap(dtype: &Dtype, values: &mut [u8]) {
    if dtype.big_endian && dtype.width > 1 {
        values.chunks_exact_mut(dtype.width).for_each(<[u8]>::reverse);
    }
}

/// Make a column of a block that consists of it.
pub(super) fn array(cell: &Cell, mut block: MutableBuffer, rows: usize) -> Result<ArrayRef, ArrowError> {
    swap(&cell.dtype, block.as_slice_mut());
    let elements = block.len() / cell.dtype.width;
    let values: Buffer = if cell.dtype.kind == Kind::Bool { bits(&block) } else { block.into() };
    let leaf = ArrayData::builder(cell.dtype.data_type.clone()).len(elements).add_buffer(values).build()?;
    if cell.shape.is_empty() {
        return Ok(make_array(leaf));
    }
    let list = ArrayData::builder(cell.field().data_type().clone()).len(rows).add_child_data(leaf);
    Ok(make_array(list.build()?))
}

/// Put a cell's values into a row; `scratch` is reused from cell to cell.
pub(super) fn put(
    cell: &Cell,
    values: &[u8],
    rows: &mut Rows,
    column: usize,
    scratch: &mut Vec<u8>,
) -> Result<(), Flaw> {
    let flaw = |reason| Flaw::of(&cell.name, reason);
    match cell.dtype.kind {
        Kind::Bytes => rows.set(column).put(trimmed(values)).map_err(flaw),
        Kind::Text => {
            let text = text(&cell.dtype, values).map_err(flaw)?;
            rows.set(column).put(text.as_bytes()).map_err(flaw)
        }
        Kind::Time | Kind::Days => {
            let Some(time) = time(&cell.dtype, values) else { return Ok(()) };
            if cell.dtype.kind == Kind::Time {
                return rows.set(column).put(&time.to_le_bytes()).map_err(flaw);
            }
            let days =
                i32::try_from(time).map_err(|_| flaw(format!("the day {time} doesn't fit into 32 bits")))?;
            rows.set(column).put(&days.to_le_bytes()).map_err(flaw)
        }
        Kind::Plain | Kind::Bool => {
            let values = values_of(&cell.dtype, values, scratch);
            rows.set(column).put_all(&values).map_err(flaw)
        }
    }
}

/// Give numbers or booleans as Arrow has them.
pub(super) fn values_of<'a>(dtype: &Dtype, values: &'a [u8], scratch: &'a mut Vec<u8>) -> Cow<'a, [u8]> {
    if dtype.kind == Kind::Plain && (!dtype.big_endian || dtype.width == 1) {
        return Cow::Borrowed(values);
    }
    scratch.clear();
    scratch.extend_from_slice(values);
    if dtype.data_type == DataType::Boolean {
        scratch.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
    } else {
        swap(dtype, scratch);
    }
    Cow::Borrowed(scratch)
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

fn text(dtype: &Dtype, units: &[u8]) -> Result<String, String> {
    let code = |unit: &[u8]| {
        let unit = [unit[0], unit[1], unit[2], unit[3]];
        if dtype.big_endian { u32::from_be_bytes(unit) } else { u32::from_le_bytes(unit) }
    };
    let units = units.chunks_exact(4);
    let end = units.clone().rposition(|unit| code(unit) != 0).map_or(0, |last| last + 1);
    let character = |unit| {
        let code = code(unit);
        char::from_u32(code).ok_or_else(|| format!("its text has the code {code:#x}, which is no character"))
    };
    units.take(end).map(character).collect()
}

/// Read a time; `None` for NaT.
fn time(dtype: &Dtype, value: &[u8]) -> Option<i64> {
    let value: [u8; 8] = value.try_into().ok()?;
    let time = if dtype.big_endian { i64::from_be_bytes(value) } else { i64::from_le_bytes(value) };
    (time != i64::MIN).then_some(time)
}
