//! What a column's rows look like is a question to the schema alone, asked before any data is read.

use std::path::Path;

use arrow_schema::{DataType, Field};

use crate::{Element, RecordError};

/// Canonical extension type of a tensor a row:
/// <https://arrow.apache.org/docs/format/CanonicalExtensions.html#fixed-shape-tensor>.
pub(crate) const TENSOR_EXTENSION: &str = "arrow.fixed_shape_tensor";
pub(crate) const EXTENSION_NAME: &str = "ARROW:extension:name";
pub(crate) const EXTENSION_METADATA: &str = "ARROW:extension:metadata";

/// What the rows of a fixed-width column look like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ColumnSpec {
    /// The column's name.
    pub name: String,
    /// Type of one element.
    pub element: Element,
    /// Shape of one row: empty for a scalar, `[16]` for a vector, `[3, 32, 32]` for an image.
    pub row_shape: Vec<usize>,
    /// Bytes that one row takes in a batch; never 0.
    pub row_bytes: usize,
}

/// Say what a column's rows look like.
///
/// # Args
///
/// - `field`: the column in the shard's schema, with its metadata (the tensor's shape lies there).
/// - `path`: the shard, for the error's message.
///
/// # Errors
///
/// [`RecordError::UnsupportedColumn`] where the rows are not all of one width, hold no element, or where a
/// tensor's metadata contradicts its storage or permutes its axes.
///
/// ```
/// use arrow_schema::{DataType, Field};
///
/// let item = Field::new("item", DataType::Float32, false);
/// let field = Field::new("features", DataType::FixedSizeList(item.into(), 16), false);
/// let spec = nexa_records::column_spec(&field, "a.arrow".as_ref())?;
/// assert_eq!((spec.element.name(), spec.row_shape, spec.row_bytes), ("float32", vec![16], 64));
/// # Ok::<(), nexa_records::RecordError>(())
/// ```
pub fn column_spec(field: &Field, path: &Path) -> Result<ColumnSpec, RecordError> {
    let refuse = |detail: String| RecordError::UnsupportedColumn {
        path: path.to_owned(),
        column: field.name().clone(),
        found: field.data_type().to_string(),
        detail,
    };
    let (element, mut row_shape) = storage(field.data_type()).map_err(refuse)?;
    let stored = elements(&row_shape).ok_or_else(|| refuse("a row has too many elements".to_owned()))?;
    if let Some(shape) = tensor_shape(field).map_err(refuse)? {
        if elements(&shape) != Some(stored) {
            return Err(refuse(format!(
                "its metadata gives the shape {shape:?}, its storage has {stored} elements a row"
            )));
        }
        row_shape = shape;
    }
    match stored.checked_mul(element.bytes()).filter(|bytes| isize::try_from(*bytes).is_ok()) {
        Some(0) => Err(refuse("its rows hold no elements".to_owned())),
        Some(row_bytes) => Ok(ColumnSpec { name: field.name().clone(), element, row_shape, row_bytes }),
        None => Err(refuse("a row has too many bytes".to_owned())),
    }
}

fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, axis| product.checked_mul(*axis))
}

/// Follow nested fixed-size lists down to their elements.
pub(crate) fn storage(data_type: &DataType) -> Result<(Element, Vec<usize>), String> {
    let axis = |size: i32| usize::try_from(size).map_err(|_| format!("its list size {size} is negative"));
    match data_type {
        DataType::FixedSizeList(child, size) => {
            let (element, inner) = storage(child.data_type())?;
            let mut shape = vec![axis(*size)?];
            shape.extend(inner);
            Ok((element, shape))
        }
        DataType::FixedSizeBinary(size) => Ok((Element::U8, vec![axis(*size)?])),
        other => Element::of(other)
            .map(|element| (element, Vec::new()))
            .ok_or_else(|| "its rows have no fixed number of numbers".to_owned()),
    }
}

fn tensor_shape(field: &Field) -> Result<Option<Vec<usize>>, String> {
    if field.metadata().get(EXTENSION_NAME).is_none_or(|name| name != TENSOR_EXTENSION) {
        return Ok(None);
    }
    let text = field.metadata().get(EXTENSION_METADATA).map_or("", String::as_str);
    let json: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| format!("its {TENSOR_EXTENSION} metadata is not JSON ({error})"))?;
    let shape =
        axes(&json, "shape")?.ok_or_else(|| format!("its {TENSOR_EXTENSION} metadata has no shape"))?;
    if let Some(permutation) = axes(&json, "permutation")?
        && !permutation.iter().copied().eq(0..shape.len())
    {
        return Err(format!(
            "its tensors are stored with permuted axes ({permutation:?}), which would need a copy a row; write \
             them in their logical order"
        ));
    }
    Ok(Some(shape))
}

/// Read a list of non-negative integers; a key that is absent or null is `None`.
fn axes(json: &serde_json::Value, key: &str) -> Result<Option<Vec<usize>>, String> {
    let Some(value) = json.get(key).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    value
        .as_array()
        .and_then(|list| {
            list.iter().map(|axis| axis.as_u64().and_then(|axis| usize::try_from(axis).ok())).collect()
        })
        .map(Some)
        .ok_or_else(|| {
            format!("its {TENSOR_EXTENSION} metadata has the {key} {value}, which is no list of sizes")
        })
}
