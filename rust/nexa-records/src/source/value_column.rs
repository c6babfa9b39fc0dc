//! A column in the making: it grows value by value, and forgets a record that turns out bad.

use std::sync::Arc;

use arrow_array::{ArrayRef, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, FieldRef};

/// How one value is kept until its column is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaf {
    /// So many bytes, as Arrow has them.
    Fixed(usize),
    /// A byte, 0 or 1; Arrow wants bits.
    Bool,
    /// Bytes of any number.
    Bytes,
    /// The same, of UTF-8.
    Text,
}

impl Leaf {
    fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Binary | DataType::LargeBinary => Self::Bytes,
            DataType::Utf8 | DataType::LargeUtf8 => Self::Text,
            DataType::Timestamp(..) | DataType::Duration(_) | DataType::Date32 => {
                Self::Fixed(data_type.primitive_width()?)
            }
            number if number.is_numeric() && !number.is_decimal() => Self::Fixed(number.primitive_width()?),
            _ => return None,
        })
    }

    /// Bytes of a value, 0 where they differ.
    const fn width(self) -> usize {
        match self {
            Self::Fixed(width) => width,
            Self::Bool => 1,
            Self::Bytes | Self::Text => 0,
        }
    }
}

/// How many values a row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// One: the column isn't a list.
    One,
    /// So many in every row.
    Exactly(usize),
    /// Any number.
    Any,
}

/// A column in the making.
pub(super) struct ValueColumn {
    field: FieldRef,
    item: DataType,
    leaf: Leaf,
    count: Count,
    /// Values end to end.
    values: MutableBuffer,
    /// Where each text ends in `values`.
    ends: Vec<i32>,
    /// Where each row's list ends, in values; for lists of any length.
    lists: Vec<i32>,
    valid: Vec<bool>,
    /// Bytes and values when the record under way began.
    mark: (usize, usize),
}

impl ValueColumn {
    /// Begin a column; `None` for a type that no record of these formats can have.
    pub(super) fn new(field: &FieldRef) -> Option<Self> {
        let (item, count) = match field.data_type() {
            DataType::FixedSizeList(item, n) => (item.data_type(), Count::Exactly(usize::try_from(*n).ok()?)),
            DataType::List(item) | DataType::LargeList(item) => (item.data_type(), Count::Any),
            other => (other, Count::One),
        };
        Some(Self {
            leaf: Leaf::of(item)?,
            item: item.clone(),
            field: Arc::clone(field),
            count,
            values: MutableBuffer::new(0),
            ends: Vec::new(),
            lists: Vec::new(),
            valid: Vec::new(),
            mark: (0, 0),
        })
    }

    pub(super) fn name(&self) -> &str {
        self.field.name()
    }

    /// Give the type of one value.
    pub(super) const fn item(&self) -> &DataType {
        &self.item
    }

    pub(super) const fn count(&self) -> Count {
        self.count
    }

    /// Say whether its values are texts or bytes.
    pub(super) const fn is_text(&self) -> bool {
        matches!(self.leaf, Leaf::Bytes | Leaf::Text)
    }

    pub(super) fn may_be_null(&self) -> bool {
        self.field.is_nullable()
    }

    /// Give the bytes that it takes.
    pub(super) const fn bytes(&self) -> usize {
        self.values.len() + 4 * (self.ends.len() + self.lists.len()) + self.valid.len()
    }

    fn elements(&self) -> usize {
        match self.leaf.width() {
            0 => self.ends.len(),
            width => self.values.len() / width,
        }
    }

    /// Forget what the record under way has put.
    pub(super) fn forget(&mut self) {
        let (bytes, elements) = self.mark;
        self.values.truncate(bytes);
        self.ends.truncate(elements);
    }

    /// Put one value as Arrow has it: its bytes, a boolean's 0 or 1, a text's UTF-8.
    pub(super) fn put(&mut self, value: &[u8]) -> Result<(), String> {
        match self.leaf {
            Leaf::Fixed(_) | Leaf::Bool => return self.put_all(value),
            Leaf::Bytes => {}
            Leaf::Text => {
                if let Err(error) = std::str::from_utf8(value) {
                    return Err(format!("its text is no UTF-8 at byte {}", error.valid_up_to()));
                }
            }
        }
        let end = self.values.len() + value.len();
        self.ends.push(i32::try_from(end).map_err(|_| "its values take more than 2 GiB in a batch")?);
        self.values.extend_from_slice(value);
        Ok(())
    }

    /// Put values of one width that lie end to end as Arrow has them.
    pub(super) fn put_all(&mut self, values: &[u8]) -> Result<(), String> {
        let width = self.leaf.width();
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(format!("{} bytes are no values of {}", values.len(), self.item));
        }
        if self.leaf == Leaf::Bool && values.iter().any(|byte| *byte > 1) {
            return Err("a boolean is neither 0 nor 1".to_owned());
        }
        self.values.extend_from_slice(values);
        Ok(())
    }

    /// Put a whole number, if the column can hold it.
    pub(super) fn put_int(&mut self, value: i64) -> Result<(), String> {
        let bytes = value.to_le_bytes();
        let fits = match self.item {
            DataType::Int64 => true,
            DataType::Int32 => i32::try_from(value).is_ok(),
            DataType::Int16 => i16::try_from(value).is_ok(),
            DataType::Int8 => i8::try_from(value).is_ok(),
            DataType::UInt64 => value >= 0,
            DataType::UInt32 => u32::try_from(value).is_ok(),
            DataType::UInt16 => u16::try_from(value).is_ok(),
            DataType::UInt8 => u8::try_from(value).is_ok(),
            DataType::Boolean => value == 0 || value == 1,
            _ => return Err(format!("it has whole numbers, the column is {}", self.item)),
        };
        if !fits {
            return Err(format!("{value} doesn't fit into {}", self.item));
        }
        self.values.extend_from_slice(&bytes[..self.leaf.width()]);
        Ok(())
    }

    /// Put a text or bytes.
    pub(super) fn put_text(&mut self, value: &[u8]) -> Result<(), String> {
        match self.leaf {
            Leaf::Bytes | Leaf::Text => self.put(value),
            _ => Err(format!("it has bytes, the column is {}", self.item)),
        }
    }

    /// Put 32-bit numbers that lie end to end, the lowest byte first.
    pub(super) fn put_floats(&mut self, values: &[u8]) -> Result<(), String> {
        if self.item == DataType::Float32 {
            return self.put_all(values);
        }
        values
            .chunks_exact(4)
            .map(|value| f32::from_le_bytes([value[0], value[1], value[2], value[3]]))
            .try_for_each(|value| self.put_float(value.into()))
    }

    /// Put a number with a fraction.
    pub(super) fn put_float(&mut self, value: f64) -> Result<(), String> {
        match self.item {
            DataType::Float64 => self.values.extend_from_slice(&value.to_le_bytes()),
            DataType::Float32 => self.values.extend_from_slice(&(value as f32).to_le_bytes()),
            _ => return Err(format!("it has numbers with fractions, the column is {}", self.item)),
        }
        Ok(())
    }

    /// Say whether what the record under way has put makes a row.
    pub(super) fn check(&self) -> Result<(), String> {
        let n = self.elements() - self.mark.1;
        match self.count {
            Count::One if n != 1 => Err(format!("it has {n} values, the column holds one a row")),
            Count::Exactly(size) if n != size => {
                Err(format!("it has {n} values, the column holds {size} a row"))
            }
            _ if i32::try_from(self.elements()).is_err() => {
                Err("a batch has too many values of it".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// End the row with what was put.
    pub(super) fn commit(&mut self) {
        self.end_row(true);
    }

    /// End the row without a value.
    pub(super) fn commit_null(&mut self) {
        self.forget();
        let n = match self.count {
            Count::One => 1,
            Count::Exactly(n) => n,
            Count::Any => 0,
        };
        self.values.extend_zeros(n * self.leaf.width());
        if self.leaf.width() == 0 {
            let end = self.ends.last().copied().unwrap_or(0);
            self.ends.extend(std::iter::repeat_n(end, n));
        }
        self.end_row(false);
    }

    fn end_row(&mut self, valid: bool) {
        self.valid.push(valid);
        self.mark = (self.values.len(), self.elements());
        if self.count == Count::Any {
            // `check` saw that it fits.
            self.lists.push(i32::try_from(self.mark.1).unwrap_or(i32::MAX));
        }
    }

    /// Make the array.
    pub(super) fn finish(mut self) -> Result<ArrayRef, ArrowError> {
        self.forget();
        let rows = self.valid.len();
        let elements = self.elements();
        let nulls = self.valid.contains(&false).then(|| NullBuffer::from(std::mem::take(&mut self.valid)));
        let mut leaf = ArrayData::builder(self.item.clone()).len(elements);
        let values = std::mem::replace(&mut self.values, MutableBuffer::new(0));
        leaf = match self.leaf {
            Leaf::Fixed(_) => leaf.add_buffer(values.into()),
            Leaf::Bool => leaf.add_buffer(bits(&values)),
            Leaf::Bytes | Leaf::Text => {
                let large = matches!(self.item, DataType::LargeBinary | DataType::LargeUtf8);
                leaf.add_buffer(offsets(&self.ends, large)).add_buffer(values.into())
            }
        };
        if self.count == Count::One {
            return Ok(make_array(leaf.nulls(nulls).build()?));
        }
        let list = ArrayData::builder(self.field.data_type().clone()).len(rows).nulls(nulls);
        let list = match self.count {
            Count::Any => list
                .add_buffer(offsets(&self.lists, matches!(self.field.data_type(), DataType::LargeList(_)))),
            _ => list,
        };
        Ok(make_array(list.add_child_data(leaf.build()?).build()?))
    }
}

/// Pack bytes of 0 and others into bits.
pub(super) fn bits(bytes: &[u8]) -> Buffer {
    BooleanBuffer::collect_bool(bytes.len(), |at| bytes[at] != 0).into_inner()
}

/// Put the 0 in front of where things end, in the width that the type wants.
fn offsets(ends: &[i32], large: bool) -> Buffer {
    if large {
        return std::iter::once(0).chain(ends.iter().map(|end| i64::from(*end))).collect::<Vec<_>>().into();
    }
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend_from_slice(ends);
    offsets.into()
}
