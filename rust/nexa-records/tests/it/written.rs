//! The shards that the tests read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_schema::{DataType, Field, Schema};
use nexa_records::{RecordError, Shard, fixed_column, ragged_column};
use tempfile::TempDir;

/// A folder of its own for a test's files.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn shard(&self, batches: &[RecordBatch]) -> PathBuf {
        self.put("shard.arrow", &file(batches, None))
    }
}

/// The bytes of an Arrow IPC file.
pub fn file(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new_with_options(&mut bytes, batches[0].schema_ref(), options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}

pub fn vectors(values: Vec<f32>, width: i32) -> ArrayRef {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    Arc::new(FixedSizeListArray::new(item, width, Arc::new(Float32Array::from(values)), None))
}

/// Rows `from..to` of a data set: a vector of four floats, a class and a name from a dictionary.
pub fn rows(from: i64, to: i64) -> RecordBatch {
    let features = (from * 4..to * 4).map(|value| value as f32).collect();
    // One dictionary for all batches, as the file format wants it.
    let keys = Int32Array::from_iter_values((from..to).map(|row| (row % 2) as i32));
    let names = DictionaryArray::<Int32Type>::new(keys, Arc::new(StringArray::from(vec!["even", "odd"])));
    let texts = (from..to).map(|row| row.to_string()).collect::<Vec<_>>();
    RecordBatch::try_from_iter([
        ("features", vectors(features, 4)),
        ("label", Arc::new(Int64Array::from_iter_values(from..to)) as ArrayRef),
        ("name", Arc::new(names)),
        ("text", Arc::new(StringArray::from(texts))),
    ])
    .unwrap()
}

/// A batch of one column.
pub fn one(field: Field, array: ArrayRef) -> RecordBatch {
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).unwrap()
}

fn read_ragged(array: &ArrayRef, field: &Field, path: &Path) -> Result<(), RecordError> {
    match ragged_column(array, field, path) {
        Ok(column) => {
            let bytes: usize = (0..column.rows()).map(|row| column.row(row).len()).sum();
            assert_eq!(bytes, column.total_bytes());
            Ok(())
        }
        Err(RecordError::UnsupportedColumn { .. } | RecordError::Nulls { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Read all that can be read of a shard; give the rows that were decoded.
pub fn read_all(path: &Path) -> Result<u64, RecordError> {
    let shard = Shard::open(path)?;
    let mut rows = 0;
    for index in 0..shard.num_batches() {
        let batch = shard.batch(index)?;
        for (array, field) in batch.columns().iter().zip(batch.schema_ref().fields()) {
            match fixed_column(array, field, path) {
                Ok(column) => assert_eq!(column.values.len(), column.rows * column.row_bytes),
                Err(RecordError::UnsupportedColumn { .. }) => read_ragged(array, field, path)?,
                Err(RecordError::Nulls { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        assert_eq!(batch.num_rows() as u64, shard.batch_rows(index)?);
        rows += batch.num_rows() as u64;
    }
    assert_eq!(rows, shard.num_rows());
    Ok(rows)
}
