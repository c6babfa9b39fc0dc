//! What we write ourselves: a shard of fixed-width columns, hashed in the pass that writes it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_data::ArrayData;
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use arrow_select::concat::concat;
use nexa_io::{Algorithm, Digest, Hasher, IoError, start_writeback};

use crate::spec::{EXTENSION_METADATA, EXTENSION_NAME, TENSOR_EXTENSION};
use crate::{Element, RecordError, check_schema, column_spec};

/// Alignment of every buffer in the file: a cache line, so that a mapped column can be used as it lies.
const BUFFER_ALIGNMENT: usize = 64;

/// One column to write: `rows` rows of `row_shape` elements, back to back.
#[derive(Debug, Clone)]
pub struct WriteColumn<'a> {
    /// The column's name.
    pub name: String,
    /// Type of one element.
    pub element: Element,
    /// Shape of one row; empty for a scalar.
    pub row_shape: Vec<usize>,
    /// The rows' bytes.
    pub values: &'a [u8],
}

/// Write one record batch of `columns` to an Arrow IPC file, durably; an existing file is replaced.
///
/// A tensor a row becomes `arrow.fixed_shape_tensor`, so that any Arrow tool reads it.
///
/// # Returns
/// Size and sha256 of the file.
///
/// # Errors
/// [`RecordError::UnsupportedColumn`] if the bytes don't make up the rows; [`RecordError::Io`] if the file can't be
/// written, and then it is removed.
pub fn write_shard(
    path: &Path,
    columns: &[WriteColumn<'_>],
    rows: usize,
) -> Result<(u64, Digest), RecordError> {
    let mut fields = Vec::with_capacity(columns.len());
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for column in columns {
        let (field, array) = build(column, rows, path)?;
        fields.push(field);
        arrays.push(array);
    }
    let schema = Arc::new(Schema::new(fields));
    write_file(path, &schema, arrays, true).inspect_err(|_| {
        // A half-written shard must not be taken for one; that it can't be removed changes nothing for the caller.
        let _ = std::fs::remove_file(path);
    })
}

/// Write the rows of `batches`, in order, as one record batch to an Arrow IPC file; an existing file is replaced.
///
/// Where it is not to be `durable` at once, who asked for that syncs it.
///
/// Tensors become `arrow.fixed_shape_tensor` with metadata that is the same whoever made the batch.
///
/// # Returns
/// Size and sha256 of the file.
///
/// # Errors
/// [`RecordError::SchemaMismatch`] if the batches differ; [`RecordError::UnsupportedColumn`] for a tensor whose metadata
/// contradicts it; [`RecordError::Io`] if the file can't be written, and then it is removed.
pub fn write_batches(
    path: &Path,
    batches: &[RecordBatch],
    durable: bool,
) -> Result<(u64, Digest), RecordError> {
    let Some(first) = batches.first() else {
        return Err(RecordError::NoSchema {
            path: path.to_owned(),
            detail: "a shard wants at least one batch, which says what its columns are".to_owned(),
        });
    };
    for batch in batches {
        check_schema(&first.schema(), &batch.schema(), path)?;
    }
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for field in first.schema().fields() {
        // By name: batches of one schema may still have their columns in another order.
        let parts: Vec<&dyn Array> = batches
            .iter()
            .filter_map(|batch| batch.column_by_name(field.name()))
            .map(AsRef::as_ref)
            .collect();
        arrays.push(concat(&parts).map_err(|error| arrow_error(path, 0, error))?);
        fields.push(canonical(field, path)?);
    }
    let schema = Arc::new(Schema::new(fields));
    write_file(path, &schema, arrays, durable).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })
}

/// Give a field as [`write_shard`] writes it: no more metadata than a tensor's shape, in one spelling.
fn canonical(field: &Field, path: &Path) -> Result<Field, RecordError> {
    let plain = field.clone().with_metadata(HashMap::new());
    if field.metadata().get(EXTENSION_NAME).is_none_or(|name| name != TENSOR_EXTENSION) {
        return Ok(plain);
    }
    Ok(plain.with_metadata(tensor_metadata(&column_spec(field, path)?.row_shape)))
}

fn tensor_metadata(row_shape: &[usize]) -> HashMap<String, String> {
    [
        (EXTENSION_NAME.to_owned(), TENSOR_EXTENSION.to_owned()),
        (EXTENSION_METADATA.to_owned(), format!("{{\"shape\":{row_shape:?}}}")),
    ]
    .into()
}

fn write_file(
    path: &Path,
    schema: &Arc<Schema>,
    arrays: Vec<ArrayRef>,
    durable: bool,
) -> Result<(u64, Digest), RecordError> {
    let file = File::create(path).map_err(|source| io_error(path, 0, source))?;
    let mut sink = Sink {
        file: BufWriter::with_capacity(1 << 20, file),
        hasher: Hasher::new(Algorithm::Sha256),
        bytes: 0,
        started: 0,
    };
    let options = IpcWriteOptions::try_new(BUFFER_ALIGNMENT, false, MetadataVersion::V5)
        .map_err(|error| arrow_error(path, 0, error))?;
    let batch =
        RecordBatch::try_new(Arc::clone(schema), arrays).map_err(|error| arrow_error(path, 0, error))?;
    let written = FileWriter::try_new_with_options(&mut sink, schema, options).and_then(|mut writer| {
        writer.write(&batch)?;
        writer.finish()
    });
    written.map_err(|error| arrow_error(path, sink.bytes, error))?;
    let bytes = sink.bytes;
    let file = sink.file.into_inner().map_err(|error| io_error(path, bytes, error.into_error()))?;
    if durable {
        file.sync_data().map_err(|source| RecordError::Io {
            path: path.into(),
            source: IoError::Sync { path: path.into(), source },
        })?;
    }
    Ok((bytes, sink.hasher.finish()))
}

fn build(column: &WriteColumn<'_>, rows: usize, path: &Path) -> Result<(Field, ArrayRef), RecordError> {
    let unsupported = |detail: String| RecordError::UnsupportedColumn {
        path: path.to_path_buf(),
        column: column.name.clone(),
        found: format!("{}{:?}", column.element, column.row_shape),
        detail,
    };
    let per_row = column.row_shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side));
    let elements = per_row.and_then(|per_row| per_row.checked_mul(rows));
    let (Some(per_row), Some(elements)) = (per_row, elements) else {
        return Err(unsupported("its rows are too large".to_owned()));
    };
    if elements.checked_mul(column.element.bytes()) != Some(column.values.len()) {
        return Err(unsupported(format!("{} bytes are not {rows} rows of it", column.values.len())));
    }
    let item_type = column.element.data_type();
    let buffer = match column.element {
        Element::Bool => column.values.iter().map(|&byte| byte != 0).collect::<BooleanBuffer>().into_inner(),
        _ => Buffer::from(column.values),
    };
    let build =
        |data: arrow_data::ArrayDataBuilder| data.build().map_err(|error| unsupported(error.to_string()));
    let items = build(ArrayData::builder(item_type.clone()).len(elements).add_buffer(buffer))?;
    if column.row_shape.is_empty() {
        return Ok((Field::new(&column.name, item_type, false), make_array(items)));
    }
    let width = i32::try_from(per_row).map_err(|_| unsupported("its rows are too large".to_owned()))?;
    let list_type = DataType::FixedSizeList(Arc::new(Field::new("item", item_type, true)), width);
    let list = build(ArrayData::builder(list_type.clone()).len(rows).add_child_data(items))?;
    let field = Field::new(&column.name, list_type, false);
    Ok((field.with_metadata(tensor_metadata(&column.row_shape)), make_array(list)))
}

/// Bytes that are written and hashed in turn: they are still in the cache, and the disk works on those before.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes after which the disk is told to begin.
const WRITEBACK_BYTES: u64 = 8 << 20;

/// Counts and hashes what passes on its way to the file.
struct Sink {
    file: BufWriter<File>,
    hasher: Hasher,
    bytes: u64,
    /// Bytes that the disk was told to begin with.
    started: u64,
}

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.file.write(&data[..data.len().min(PIECE_BYTES)])?;
        self.hasher.update(&data[..written]);
        self.bytes += written as u64;
        if self.bytes - self.started >= WRITEBACK_BYTES {
            start_writeback(self.file.get_ref(), self.started, self.bytes - self.started);
            self.started = self.bytes;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn io_error(path: &Path, offset: u64, source: io::Error) -> RecordError {
    let path_buf = path.to_path_buf();
    let source = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            IoError::NoSpace { path: path_buf, needed: offset, source }
        }
        _ => IoError::Write { path: path_buf, offset, source },
    };
    RecordError::Io { path: path.to_path_buf(), source }
}

fn arrow_error(path: &Path, offset: u64, error: ArrowError) -> RecordError {
    match error {
        ArrowError::IoError(_, source) => io_error(path, offset, source),
        other => RecordError::Corrupt { path: path.to_path_buf(), batch: None, detail: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Shard, column_spec, fixed_column};

    fn column<'a>(name: &str, element: Element, row_shape: &[usize], values: &'a [u8]) -> WriteColumn<'a> {
        WriteColumn { name: name.to_owned(), element, row_shape: row_shape.to_vec(), values }
    }

    #[test]
    fn what_is_written_reads_back_with_shape_and_bytes_and_the_digest_is_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.arrow");
        let features: Vec<u8> = (0..3 * 2 * 2_u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
        let labels: Vec<u8> = (0..3_i64).flat_map(i64::to_le_bytes).collect();
        let columns = [
            column("features", Element::F32, &[2, 2], &features),
            column("label", Element::I64, &[], &labels),
        ];
        let (bytes, digest) = write_shard(&path, &columns, 3).unwrap();

        assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());
        let again = nexa_io::digest_file(&path, Algorithm::Sha256, &nexa_io::Control::default()).unwrap();
        assert_eq!(again, (bytes, digest));
        let shard = Shard::open(&path).unwrap();
        let spec = column_spec(shard.schema().field(0), &path).unwrap();
        assert_eq!((spec.element, spec.row_shape), (Element::F32, vec![2, 2]));
        let batch = shard.batch(0).unwrap();
        for (at, expected) in [(0, &features), (1, &labels)] {
            let read = fixed_column(batch.column(at), batch.schema().field(at), &path).unwrap();
            assert_eq!(read.values.as_slice(), expected.as_slice());
        }
    }

    #[test]
    fn every_element_type_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        for element in Element::ALL {
            let path = folder.path().join(element.name());
            let values: Vec<u8> = (0..element.bytes() * 6).map(|at| u8::from(at % 3 == 0)).collect();
            write_shard(&path, &[column("x", element, &[3], &values)], 2).unwrap();
            let batch = Shard::open(&path).unwrap().batch(0).unwrap();
            let read = fixed_column(batch.column(0), batch.schema().field(0), &path).unwrap();
            assert_eq!((read.element, read.values.as_slice()), (element, values.as_slice()), "{element}");
        }
    }

    #[test]
    fn bytes_that_are_no_rows_are_refused_before_a_file_exists() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.arrow");
        assert!(write_shard(&path, &[column("x", Element::F32, &[], &[0; 7])], 2).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let path = Path::new("/nonexistent-folder/a.arrow");
        let error = write_shard(path, &[column("x", Element::U8, &[], &[1])], 1).unwrap_err();
        assert!(error.to_string().contains("/nonexistent-folder/a.arrow"), "{error}");
    }
}
