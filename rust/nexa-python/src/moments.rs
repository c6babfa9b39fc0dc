//! Counts, extremes and moments of a column's numbers; how many records each class has.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nexa_records::{
    ClassCounts as Counts, Element, FixedColumn, Moments as Seen, RecordError, column_spec, fixed_column,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrow_c::import_batch;
use crate::errors::Raised;
use crate::views::View;

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
        let seen = self.seen();
        (seen.rows(), seen.nan_rows(), seen.first_nan())
    }

    /// (numbers, mean, sum of squared distances from it, least, greatest) of each element.
    fn elements(&self) -> Vec<(u64, f64, f64, f64, f64)> {
        let seen = self.seen();
        let spread = seen.m2().iter().zip(seen.min()).zip(seen.max());
        let all = seen.count().iter().zip(seen.mean()).zip(spread);
        all.map(|((&count, &mean), ((&m2, &min), &max))| (count, mean, m2, min, max)).collect()
    }
}

/// Do something with a column's numbers, as what they are.
macro_rules! numbers {
    ($column:expr, |$values:ident| $done:expr) => {
        numbers!($column, $values, $done; (Bool | U8, u8), (I8, i8), (U16, u16), (I16, i16), (U32, u32), (I32, i32),
            (U64, u64), (I64, i64), (F16, half::f16), (F32, f32), (F64, f64))
    };
    ($column:expr, $values:ident, $done:expr; $(($($element:ident)|+, $number:ty)),*) => {
        match $column.element {
            $($(Element::$element)|+ => {
                let $values = $column.values.typed_data::<$number>();
                $done;
            })*
        }
    };
}

impl Moments {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, column: &FixedColumn) {
        let mut seen = self.seen();
        numbers!(column, |values| seen.add(values));
    }

    /// Take in some rows of a column.
    pub(crate) fn add_rows(&self, column: &FixedColumn, numbers: &[u64]) {
        let mut seen = self.seen();
        numbers!(column, |values| seen.add_rows(values, numbers));
    }

    /// Say whether these are of a column's width.
    pub(crate) fn fits(&self, column: &FixedColumn) -> Result<(), RecordError> {
        let width: usize = column.row_shape.iter().product();
        if width == self.width {
            return Ok(());
        }
        Err(RecordError::UnsupportedColumn {
            path: "batch".into(),
            column: "0".to_owned(),
            found: format!("{}{:?}", column.element, column.row_shape),
            detail: format!("rows of {} elements are due", self.width),
        })
    }
}

/// Records by class id.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct ClassCounts(Mutex<Counts>);

#[pymethods]
impl ClassCounts {
    /// Make one that has seen nothing.
    #[new]
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// Count an array of int64.
    fn add(&self, labels: &Bound<'_, PyAny>) -> PyResult<()> {
        let view = View::of(labels, "labels")?;
        let labels: Vec<i64> = view.bytes().as_chunks().0.iter().copied().map(i64::from_ne_bytes).collect();
        let numbers: Vec<u64> = (0..labels.len() as u64).collect();
        self.counts().add_rows(&labels, &numbers);
        Ok(())
    }

    /// (class id, records) of each class that has any, ascending.
    fn items(&self) -> Vec<(i64, u64)> {
        self.counts().iter().collect()
    }
}

impl ClassCounts {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Count the labels of some rows of a column of int64.
    pub(crate) fn add_rows(&self, labels: &FixedColumn, numbers: &[u64]) {
        self.counts().add_rows(labels.values.typed_data::<i64>(), numbers);
    }
}
