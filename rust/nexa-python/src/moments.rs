//! Counts, extremes and moments of a column's numbers.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nexa_records::{Element, FixedColumn, Moments as Seen, RecordError, column_spec, fixed_column};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrow_c::import_batch;
use crate::errors::Raised;

/// What the rows of a column of numbers look like, taken in batch by batch.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct Moments {
    width: usize,
    seen: Mutex<Seen>,
}

/// (rows, rows with NaN, (row, element) of the first NaN).
type Rows = (u64, u64, Option<(u64, usize)>);

#[pymethods]
impl Moments {
    /// Make one for rows of `width` elements.
    #[new]
    fn new(width: usize) -> Self {
        Self { width, seen: Mutex::new(Seen::new(width)) }
    }

    /// Take in the rows of a record batch's first column: numbers, or lists or tensors of `width` of them.
    fn add(&self, py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<()> {
        let batch = import_batch(batch)?;
        let schema = batch.schema();
        let Some(field) = schema.fields().first() else { return Err(PyValueError::new_err("no column")) };
        let spec = column_spec(field, Path::new("batch")).map_err(|error| Raised::from(error).0)?;
        let width: usize = spec.row_shape.iter().product();
        if width != self.width {
            return Err(PyValueError::new_err(format!(
                "rows of {width} elements where {} are due",
                self.width
            )));
        }
        // On this thread: a batch takes less than another thread would to begin, beside those that decode.
        py.detach(|| {
            self.take_in(&fixed_column(batch.column(0), field, Path::new("batch"))?);
            Ok::<_, RecordError>(())
        })
        .map_err(|error| Raised::from(error).0)
    }

    /// Rows that came, rows with NaN, and row and element of the first NaN.
    fn rows(&self) -> Rows {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.rows(), seen.nan_rows(), seen.first_nan())
    }

    /// (numbers, mean, sum of squared distances from it, least, greatest) of each element.
    fn elements(&self) -> Vec<(u64, f64, f64, f64, f64)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let spread = seen.m2().iter().zip(seen.min()).zip(seen.max());
        let all = seen.count().iter().zip(seen.mean()).zip(spread);
        all.map(|((&count, &mean), ((&m2, &min), &max))| (count, mean, m2, min, max)).collect()
    }
}

impl Moments {
    fn take_in(&self, column: &FixedColumn) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = &column.values;
        match column.element {
            Element::Bool | Element::U8 => seen.add(bytes.typed_data::<u8>()),
            Element::I8 => seen.add(bytes.typed_data::<i8>()),
            Element::U16 => seen.add(bytes.typed_data::<u16>()),
            Element::I16 => seen.add(bytes.typed_data::<i16>()),
            Element::U32 => seen.add(bytes.typed_data::<u32>()),
            Element::I32 => seen.add(bytes.typed_data::<i32>()),
            Element::U64 => seen.add(bytes.typed_data::<u64>()),
            Element::I64 => seen.add(bytes.typed_data::<i64>()),
            Element::F16 => seen.add(bytes.typed_data::<half::f16>()),
            Element::F32 => seen.add(bytes.typed_data::<f32>()),
            Element::F64 => seen.add(bytes.typed_data::<f64>()),
        }
    }
}
