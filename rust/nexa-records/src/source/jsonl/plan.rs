//! From a schema to the columns that records are read into.

use std::collections::HashSet;

use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_schema::{DataType, Field, Fields, Schema};

use super::super::growing::{Bools, FixedLists, Lists, Nothing, Numbers, Texts};
use super::object::{Object, Strangers, Structs};
use super::value::{Required, Value};

/// Make the columns of a file's records: those of `wanted`; keys that only `all` has are passed over.
///
/// # Errors
/// Which column has a type that JSON can't be read as.
pub(super) fn records(wanted: &Schema, all: &Schema, strangers: Strangers) -> Result<Object, String> {
    let mut object = object(wanted.fields(), strangers)?;
    let names: HashSet<_> = wanted.fields().iter().map(|field| field.name()).collect();
    for field in all.fields().iter().filter(|field| !names.contains(field.name())) {
        object.unwanted(field.name());
    }
    Ok(object)
}

fn object(fields: &Fields, strangers: Strangers) -> Result<Object, String> {
    let mut object = Object::new(strangers);
    let mut seen = HashSet::new();
    for field in fields {
        if !seen.insert(field.name()) {
            return Err(format!("the schema has the column {:?} twice", field.name()));
        }
        object.wanted(field.name(), column(field, strangers)?, !field.is_nullable());
    }
    Ok(object)
}

/// Make a field's column.
fn column(field: &Field, strangers: Strangers) -> Result<Box<dyn Value>, String> {
    let column: Box<dyn Value> = match field.data_type() {
        DataType::Null => Box::new(Nothing(0)),
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
        DataType::List(item) => Box::new(Lists::<i32, _>::new(item.clone(), column(item, strangers)?)),
        DataType::LargeList(item) => Box::new(Lists::<i64, _>::new(item.clone(), column(item, strangers)?)),
        DataType::FixedSizeList(item, size) => {
            let size = usize::try_from(*size)
                .map_err(|_| format!("column {:?} has lists of {size}", field.name()))?;
            Box::new(FixedLists::new(item.clone(), size, column(item, strangers)?))
        }
        DataType::Struct(fields) => Box::new(Structs::new(fields.clone(), object(fields, strangers)?)),
        other => {
            return Err(format!(
                "the schema has the column {:?} as {other}, which JSON isn't read as; read it as utf8, a number, bool, a \
                 list or a struct, and convert it then",
                field.name()
            ));
        }
    };
    Ok(if field.is_nullable() { column } else { Box::new(Required(column)) })
}
