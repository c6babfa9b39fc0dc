//! Arrow columns to and from Python without a copy, through the Arrow `PyCapsule` interface.
//!
//! <https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html>
#![expect(unsafe_code, reason = "the Arrow C data interface hands structs over by pointer")]

use std::ffi::CStr;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::{Array, RecordBatch, StructArray};
use arrow_schema::{ArrowError, Schema};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";

/// A record batch that `pyarrow.record_batch`, polars and others take in without a copy.
#[pyclass(frozen, module = "nexa_data._core")]
pub struct ArrowBatch(pub(crate) RecordBatch);

#[pymethods]
impl ArrowBatch {
    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        export_schema(py, self.0.schema_ref())
    }

    /// Return the capsules of schema and columns; a wish for another schema isn't served, as the interface allows.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        drop(requested_schema);
        let columns = StructArray::from(self.0.clone());
        let (array, _) = to_ffi(&columns.to_data()).map_err(|error| wrong(&error))?;
        // Who takes the struct in marks it as released; if nobody does, the capsule's end releases it.
        Ok((export_schema(py, self.0.schema_ref())?, PyCapsule::new_with_value(py, array, ARRAY)?))
    }
}

/// Return the capsule of a schema.
pub(crate) fn export_schema<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(schema).map_err(|error| wrong(&error))?;
    PyCapsule::new_with_value(py, schema, SCHEMA)
}

/// Take in the schema of an object with `__arrow_c_schema__`.
pub(crate) fn import_schema(from: &Bound<'_, PyAny>) -> PyResult<Schema> {
    let capsule = call(from, "__arrow_c_schema__")?;
    let capsule = capsule.cast::<PyCapsule>()?;
    let pointer = capsule.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    // SAFETY: a capsule of this name holds a valid ArrowSchema, which is what the interface is; it stays alive and
    // unreleased while the capsule does, and we hold the capsule until the schema was copied.
    let schema = unsafe { pointer.as_ref() };
    Schema::try_from(schema).map_err(|error| wrong(&error))
}

/// Take in the record batch of an object with `__arrow_c_array__`, without a copy.
pub(crate) fn import_batch(from: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) =
        call(from, "__arrow_c_array__")?.extract()?;
    let schema = schema.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    let array = array.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
    // SAFETY: capsules of these names hold a valid ArrowSchema and ArrowArray that belong together; the array is moved
    // out and marked as released, which is how a consumer takes it; the schema is read while its capsule lives.
    let data = unsafe { from_ffi(FFI_ArrowArray::from_raw(array.as_ptr()), schema.as_ref()) };
    let columns = StructArray::from(data.map_err(|error| wrong(&error))?);
    // SAFETY: as above; the capsule still lives.
    let schema = Schema::try_from(unsafe { schema.as_ref() }).map_err(|error| wrong(&error))?;
    let rows = columns.len();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.into(), columns.columns().to_vec(), &options)
        .map_err(|error| wrong(&error))
}

fn call<'py>(from: &Bound<'py, PyAny>, method: &str) -> PyResult<Bound<'py, PyAny>> {
    from.call_method0(method).map_err(|error| {
        let py = from.py();
        let kind = from.get_type();
        let text =
            format!("{kind} has no {method}: an Arrow schema or record batch is wanted (pyarrow, polars, …)");
        let wanted = PyTypeError::new_err(text);
        wanted.set_cause(py, Some(error));
        wanted
    })
}

fn wrong(error: &ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}
