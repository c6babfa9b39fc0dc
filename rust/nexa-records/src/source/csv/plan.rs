//! From a schema to the columns that fields are read into.

use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_schema::{DataType, Field};

use super::super::growing::{Bools, Numbers, Texts};
use super::column::Fields;

/// Make a field's column.
///
/// # Errors
/// That CSV isn't read as its type.
pub(super) fn column(field: &Field) -> Result<Box<dyn Fields>, String> {
    Ok(match field.data_type() {
        DataType::Boolean => Box::new(Bools::new()),
        DataType::Int8 => Box::new(Numbers::<Int8Type>::new()),
        DataType::Int16 => Box::new(Numbers::<Int16Type>::new()),
        DataType::Int32 => Box::new(Numbers::<Int32Type>::new()),
        DataType::Int64 => Box::new(Numbers::<Int64Type>::new()),
        DataType::UInt8 => Box::new(Numbers::<UInt8Type>::new()),
        DataType::UInt16 => Box::new(Numbers::<UInt16Type>::new()),
        DataType::UInt32 => Box::new(Numbers::<UInt32Type>::new()),
        DataType::UInt64 => Box::new(Numbers::<UInt64Type>::new()),
        DataType::Float32 => Box::new(Numbers::<Float32Type>::new()),
        DataType::Float64 => Box::new(Numbers::<Float64Type>::new()),
        DataType::Utf8 => Box::new(Texts::<i32>::new()),
        DataType::LargeUtf8 => Box::new(Texts::<i64>::new()),
        other => {
            return Err(format!(
                "the schema has the column {:?} as {other}, which CSV isn't read as; read it as utf8, a number or bool, and \
                 convert it then",
                field.name()
            ));
        }
    })
}
