//! Columns of an MDS shard: what each encoding's bytes become.
//!
//! <https://docs.mosaicml.com/projects/streaming/en/stable/preparing_datasets/dataset_format.html>

use std::path::Path;

use arrow_schema::{DataType, Field};
use serde_json::Value;

use crate::source::npy::tensor;
use crate::source::rows::field;
use crate::source::value_column::ValueColumn;
use crate::{Element, RecordError};

/// How a value's bytes become Arrow's.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Coding {
    /// They are Arrow's: numbers, tensors of a shape that is stated, texts, bytes.
    Same,
    /// A whole number's digits.
    Int,
    /// A fraction's digits.
    Float,
    /// Values of one axis, whose number is stated in front of them.
    List,
    /// A pickle.
    Pickle,
}

/// One column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) encoding: String,
    /// Bytes of a value, where all have the same.
    pub(super) size: Option<usize>,
    coding: Coding,
    field: Field,
}

impl Column {
    /// Understand what a shard says of a column.
    pub(super) fn new(name: &str, encoding: &str, size: Option<usize>) -> Result<Self, String> {
        let (kind, rest) = encoding.split_once(':').unwrap_or((encoding, ""));
        let (coding, field) = match kind {
            "str" | "json" | "str_decimal" => (Coding::Same, field(name, DataType::Utf8)),
            "bytes" | "pil" => (Coding::Same, field(name, DataType::Binary)),
            image if image.contains("jpeg") || image.contains("png") => {
                (Coding::Same, field(name, DataType::Binary))
            }
            "int" => (Coding::Same, field(name, DataType::Int64)),
            "str_int" => (Coding::Int, field(name, DataType::Int64)),
            "str_float" => (Coding::Float, field(name, DataType::Float64)),
            "pkl" => (Coding::Pickle, field(name, DataType::Binary)),
            "ndarray" => array(name, rest)?,
            number => (Coding::Same, field(name, item(number)?)),
        };
        let stated = fixed_bytes(field.data_type());
        if coding == Coding::Same && stated != size {
            return Err(format!("column {name:?} is {encoding}, and its size is given as {size:?}"));
        }
        if coding != Coding::Same && size.is_some() {
            return Err(format!("column {name:?} is {encoding}, which has no one size"));
        }
        let field = field.with_nullable(false);
        Ok(Self { name: name.to_owned(), encoding: encoding.to_owned(), size, coding, field })
    }

    /// Give its field, unless only unpickling would bring it back.
    pub(super) fn field(&self, path: &Path) -> Result<Field, RecordError> {
        if self.coding == Coding::Pickle {
            let (path, column, found) = (path.to_owned(), self.name.clone(), self.encoding.clone());
            return Err(RecordError::Pickled { path, column, found });
        }
        Ok(self.field.clone())
    }

    /// Put a value into its column.
    pub(super) fn put(&self, value: &[u8], column: &mut ValueColumn) -> Result<(), String> {
        let digits = || std::str::from_utf8(value).map_err(|_| "its digits are no UTF-8".to_owned());
        match self.coding {
            Coding::Same if column.is_text() => column.put_text(value),
            Coding::Same => column.put_all(value),
            Coding::Int => {
                column.put_int(digits()?.trim().parse().map_err(|_| "it is no whole number of 64 bits")?)
            }
            Coding::Float => column.put_float(digits()?.trim().parse().map_err(|_| "it is no number")?),
            Coding::List => column.put_all(list(value, column.item())?),
            Coding::Pickle => Err("it is a pickle".to_owned()),
        }
    }
}

fn item(name: &str) -> Result<DataType, String> {
    match name.parse() {
        Ok(Element::Bool) | Err(_) => Err(format!("its encoding {name:?} is unknown")),
        Ok(element) => Ok(element.data_type()),
    }
}

/// Understand `int32:3,4`, `int32` and nothing, in this order of what the shard states about its arrays.
fn array(name: &str, rest: &str) -> Result<(Coding, Field), String> {
    let (of, shape) = rest.split_once(':').unwrap_or((rest, ""));
    if of.is_empty() {
        // Neither type nor shape are stated, and may differ from sample to sample: the bytes are kept as they are.
        return Ok((Coding::Same, field(name, DataType::Binary)));
    }
    let item = item(of)?;
    if shape.is_empty() {
        let list = DataType::List(Field::new("item", item, true).into());
        return Ok((Coding::List, field(name, list)));
    }
    let axes: Option<Vec<usize>> =
        shape.split(',').map(|axis| axis.trim().parse().ok().filter(|n| *n > 0)).collect();
    let axes = axes.ok_or_else(|| format!("column {name:?} has the shape {shape:?}"))?;
    let values = axes.iter().try_fold(1usize, |product, axis| product.checked_mul(*axis));
    if values.is_none_or(|values| i32::try_from(values).is_err()) {
        return Err(format!("column {name:?} has rows of the shape {shape}, which are too large"));
    }
    Ok((Coding::Same, tensor(name, &item, &axes)))
}

fn fixed_bytes(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeList(item, n) => {
            item.data_type().primitive_width()?.checked_mul(usize::try_from(*n).ok()?)
        }
        number => number.primitive_width(),
    }
}

/// Take the shape off an array of one axis.
fn list<'a>(value: &'a [u8], item: &DataType) -> Result<&'a [u8], String> {
    let (kind, rest) = value.split_first().ok_or("its array has no shape")?;
    let axes = usize::from(kind >> 2);
    if axes != 1 {
        return Err(format!(
            "its array has {axes} axes; state the shape in the encoding, as in ndarray:float32:3,4"
        ));
    }
    let (size, values) = rest.split_at_checked(1 << (kind & 3)).ok_or("its array ends within its shape")?;
    let n = size.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let there = (values.len() / item.primitive_width().unwrap_or(1)) as u64;
    if n != there {
        return Err(format!("its array states {n} values, {there} are there"));
    }
    Ok(values)
}

/// Read the columns out of the JSON that a shard carries.
pub(super) fn read(config: &[u8]) -> Result<Vec<Column>, String> {
    let config: Value =
        serde_json::from_slice(config).map_err(|error| format!("its configuration: {error}"))?;
    let list = |key: &str| {
        config.get(key).and_then(Value::as_array).ok_or_else(|| format!("its configuration has no {key}"))
    };
    let (names, encodings, sizes) = (list("column_names")?, list("column_encodings")?, list("column_sizes")?);
    if names.is_empty() || names.len() != encodings.len() || names.len() != sizes.len() {
        return Err("its configuration has not as many columns as encodings and sizes".to_owned());
    }
    let columns = names.iter().zip(encodings).zip(sizes).map(|((name, encoding), size)| {
        let odd = || "its configuration has a column without a name, encoding or size".to_owned();
        let (name, encoding) = (name.as_str().ok_or_else(odd)?, encoding.as_str().ok_or_else(odd)?);
        let size = match size {
            Value::Null => None,
            size => Some(size.as_u64().and_then(|size| usize::try_from(size).ok()).ok_or_else(odd)?),
        };
        Column::new(name, encoding, size)
    });
    columns.collect()
}
