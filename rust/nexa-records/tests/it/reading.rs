//! Sound shards are read as they were written.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch, StructArray};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::Schema;
use nexa_records::{RecordError, Shard};

use crate::written::{Folder, file, read_all, rows};

#[test]
fn batches_come_back_as_they_were_written() {
    let folder = Folder::new();
    let batches = [rows(0, 3), rows(3, 3), rows(3, 10)];
    let path = folder.shard(&batches);
    let shard = Shard::open(&path).unwrap();
    assert_eq!((shard.num_batches(), shard.num_rows(), shard.path()), (3, 10, path.as_path()));
    assert_eq!(shard.rows_by_batch(), [3, 0, 7]);
    assert_eq!(shard.batch_rows(2).unwrap(), 7);
    for (index, batch) in batches.iter().enumerate() {
        assert_eq!(&shard.batch(index).unwrap(), batch);
    }
}

#[test]
fn compressed_shards_give_the_same_batches() {
    let folder = Folder::new();
    // Runs of one value, so that the buffers are smaller packed and really are packed.
    let batch = RecordBatch::from(StructArray::from(rows(0, 2000).slice(100, 1500)));
    for compression in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let path = folder.put("packed.arrow", &file(std::slice::from_ref(&batch), Some(compression)));
        assert_eq!(Shard::open(&path).unwrap().batch(0).unwrap(), batch);
    }
}

#[test]
fn a_shard_without_rows_has_a_schema_and_no_batches() {
    let folder = Folder::new();
    let path = folder.shard(&[rows(0, 0)]);
    let shard = Shard::open(&path).unwrap();
    assert_eq!((shard.num_rows(), shard.schema().fields().len()), (0, 4));
    assert_eq!(read_all(&path).unwrap(), 0);
}

#[test]
fn a_projection_gives_columns_in_the_order_asked_for() {
    let folder = Folder::new();
    let shard = Shard::open(&folder.shard(&[rows(0, 5)])).unwrap();
    let columns = [shard.column_index("text").unwrap(), shard.column_index("label").unwrap()];
    let batch = shard.batch_projected(0, &columns).unwrap();
    assert_eq!(
        batch.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
        ["text", "label"]
    );
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().values(), &[0, 1, 2, 3, 4]);
    assert_eq!(shard.batch_projected(0, &[]).unwrap().num_rows(), 5);
    assert_eq!(shard.batch_projected(0, &[2]).unwrap().column(0).len(), 5);
}

#[test]
fn uncompressed_columns_are_views_of_the_file() {
    let folder = Folder::new();
    let shard = Shard::open(&folder.shard(&[rows(0, 1000)])).unwrap();
    let first = shard.batch(0).unwrap();
    let again = shard.batch(0).unwrap();
    let address = |batch: &RecordBatch| batch.column(1).to_data().buffers()[0].as_ptr();
    assert_eq!(address(&first), address(&again), "each read copied the column");
}

#[test]
fn batches_outlive_their_shard() {
    let folder = Folder::new();
    let batch = Shard::open(&folder.shard(&[rows(0, 100)])).unwrap().batch(0).unwrap();
    assert_eq!(batch, rows(0, 100));
}

#[test]
fn schema_metadata_is_kept() {
    let folder = Folder::new();
    let batch = rows(0, 1);
    let schema = Schema::clone(&batch.schema()).with_metadata([("source".to_owned(), "crawl".to_owned())]);
    let batch = batch.with_schema(Arc::new(schema)).unwrap();
    let shard = Shard::open(&folder.shard(&[batch])).unwrap();
    assert_eq!(shard.metadata().get("source").map(String::as_str), Some("crawl"));
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let folder = Folder::new();
    let shard = Shard::open(&folder.shard(&[rows(0, 1)])).unwrap();
    let error = shard.column_index("lable").unwrap_err();
    assert!(error.to_string().contains("no column \"lable\"; it has \"features\", \"label\""), "{error}");
    assert!(matches!(shard.batch(1), Err(RecordError::MissingBatch { batch: 1, batches: 1, .. })));
    assert!(matches!(shard.batch_rows(9), Err(RecordError::MissingBatch { .. })));
    assert!(matches!(shard.batch_projected(0, &[4]), Err(RecordError::MissingColumn { .. })));
    assert_eq!(error.path(), shard.path());
}

#[test]
fn a_missing_file_is_an_io_error_that_names_it() {
    let error = Shard::open(Path::new("/no/such/shard.arrow")).unwrap_err();
    assert!(
        matches!(error, RecordError::Io { .. }) && error.to_string().contains("/no/such/shard.arrow"),
        "{error}"
    );
}

#[test]
fn other_formats_are_called_by_name() {
    let folder = Folder::new();
    let mut stream = Vec::new();
    let mut writer = StreamWriter::try_new(&mut stream, &rows(0, 1).schema()).unwrap();
    writer.write(&rows(0, 1)).unwrap();
    writer.finish().unwrap();
    drop(writer);
    for (bytes, name) in
        [(stream.as_slice(), "an Arrow IPC stream"), (b"PAR1....PAR1", "Parquet"), (b"{}\n", "JSON")]
    {
        let error = Shard::open(&folder.put("file", bytes)).unwrap_err();
        assert!(matches!(error, RecordError::NotArrow { .. }) && error.to_string().contains(name), "{error}");
    }
}

#[test]
fn shards_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Shard>();
    shared::<nexa_records::FixedColumn>();
}
