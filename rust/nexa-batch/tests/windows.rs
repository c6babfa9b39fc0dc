//! Batches of an order by blocks are the same, whether their bytes are mapped or read past the page cache.

#![expect(clippy::unwrap_used, reason = "a test that can't go on stops")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, ListBuilder};
use arrow_array::types::{Float32Type, Int32Type, Int64Type};
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Int64Array, LargeBinaryArray, ListArray, PrimitiveArray,
    RecordBatch, StringArray,
};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_ipc::{CompressionType, MetadataVersion};
use arrow_schema::{DataType, Field, Schema};
use nexa_batch::{Assembler, BatchBuffers, BatchError, Order, Rows, Selection, ShardSpec, Store, Ticket};
use nexa_records::Access;
use proptest::prelude::*;

/// All kinds of columns; some have none before them and some several buffers.
const COLUMNS: [&str; 8] = ["vector", "flags", "label", "tokens", "text", "bytes", "bits", "flag"];

fn columns(records: std::ops::Range<u64>) -> Vec<(&'static str, ArrayRef)> {
    let numbers: Vec<i64> = records.map(|record| record as i64).collect();
    let item = |kind| Arc::new(Field::new("item", kind, false));
    let vector: PrimitiveArray<Float32Type> =
        numbers.iter().flat_map(|n| [*n as f32, 0.5, -(*n as f32)]).collect();
    let flags: BooleanArray =
        numbers.iter().flat_map(|n| (0..5).map(move |bit| Some(n >> bit & 1 == 1))).collect();
    let tokens = ListArray::from_iter_primitive::<Int32Type, _, _>(
        numbers.iter().map(|n| Some((0..n % 4).map(move |at| Some((n * 10 + at) as i32)))),
    );
    let mut bits = ListBuilder::new(BooleanBuilder::new());
    numbers.iter().for_each(|n| bits.append_value((0..n % 6).map(|at| Some((n + at) % 3 == 0))));
    vec![
        (
            "vector",
            Arc::new(FixedSizeListArray::new(item(DataType::Float32), 3, Arc::new(vector), None)) as ArrayRef,
        ),
        ("flags", Arc::new(FixedSizeListArray::new(item(DataType::Boolean), 5, Arc::new(flags), None))),
        ("label", Arc::new(PrimitiveArray::<Int64Type>::from_iter_values(numbers.iter().copied()))),
        ("tokens", Arc::new(tokens)),
        (
            "text",
            Arc::new(StringArray::from_iter_values(
                numbers.iter().map(|n| "ä1".repeat(usize::try_from(n % 5).unwrap())),
            )),
        ),
        (
            "bytes",
            Arc::new(LargeBinaryArray::from_iter_values(
                numbers.iter().map(|n| vec![7; usize::try_from(n % 3).unwrap()]),
            )),
        ),
        ("bits", Arc::new(bits.finish())),
        ("flag", Arc::new(BooleanArray::from_iter(numbers.iter().map(|n| Some(n % 7 == 0))))),
    ]
}

/// Writes shards of the given sizes in record batches of `chunk` rows, some empty ones between them.
fn shards(folder: &Path, sizes: &[u64], chunk: u64, compression: Option<CompressionType>) -> Vec<ShardSpec> {
    let mut first = 0;
    let write = |(number, &records): (usize, &u64)| {
        let path = folder.join(format!("{number}.arrow"));
        let schema = RecordBatch::try_from_iter(columns(0..1)).unwrap().schema();
        let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5).unwrap();
        let mut writer = FileWriter::try_new_with_options(
            std::fs::File::create(&path).unwrap(),
            &schema,
            options.try_with_compression(compression).unwrap(),
        )
        .unwrap();
        for start in (0..records).step_by(usize::try_from(chunk).unwrap()) {
            let rows = first + start..first + (start + chunk).min(records);
            let batch = |rows| RecordBatch::try_new(schema.clone(), arrays(rows)).unwrap();
            writer.write(&batch(rows)).unwrap();
            writer.write(&batch(0..0)).unwrap();
        }
        writer.finish().unwrap();
        first += records;
        ShardSpec { path, records }
    };
    sizes.iter().enumerate().map(write).collect()
}

fn arrays(records: std::ops::Range<u64>) -> Vec<ArrayRef> {
    columns(records).into_iter().map(|(_, array)| array).collect()
}

fn assembler(shards: &[ShardSpec], names: &[&str], access: Access) -> Assembler {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    Assembler::new(Arc::new(Store::open_as(shards.to_vec(), &names, access).unwrap()), 1 << 20)
}

fn seen(batch: &BatchBuffers) -> Vec<Vec<u8>> {
    let ragged = batch.ragged.iter().flat_map(|column| [column.values.to_vec(), column.index.to_vec()]);
    batch.columns.iter().map(|column| column.to_vec()).chain(ragged).collect()
}

fn labels(batch: &BatchBuffers) -> Vec<i64> {
    batch.columns[0].chunks_exact(8).map(|each| i64::from_le_bytes(each.try_into().unwrap())).collect()
}

fn rows(order: &Order, start: u64, len: usize) -> Rows {
    Rows::Ordered { order: order.clone(), start, len }
}

/// All batches of an epoch by the pool's threads, several on their way at a time; the last one begins the epoch again.
fn epoch(assembler: &Assembler, order: &Order, batch: usize) -> Vec<Vec<Vec<u8>>> {
    let starts: Vec<u64> = (0..order.len()).step_by(batch).collect();
    let mut tickets =
        starts.iter().map(|&start| Ticket::submit(assembler, rows(order, start, batch)).unwrap());
    let mut ahead: std::collections::VecDeque<Ticket> = tickets.by_ref().take(4).collect();
    let mut found = Vec::new();
    while let Some(ticket) = ahead.pop_front() {
        found.push(seen(&ticket.wait(|| Ok::<_, ()>(())).unwrap().unwrap()));
        ahead.extend(tickets.next());
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn batches_are_those_of_the_mapping(
        sizes in prop::collection::vec(0_u64..60, 1..6), chunk in 1_u64..40,
        block in 1_u64..50, window in 1_u64..8, batch in 1_usize..40, seed: u64,
        which in prop::sample::subsequence(&COLUMNS[..], 1..=COLUMNS.len()).prop_shuffle(),
        borrow: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let shards = shards(folder.path(), &sizes, chunk, None);
        let access = if borrow { Access::Private } else { Access::Shared };
        let mapped = assembler(&shards, &which, access);
        let direct = assembler(&shards, &which, access).reading_directly(None);
        for number in 0..2 {
            let order = Order::blocks(mapped.len(), block, window, seed, number);
            prop_assert_eq!(epoch(&mapped, &order, batch), epoch(&direct, &order, batch));
        }
        prop_assert_eq!(mapped.is_empty(), direct.direct_stats().unwrap().bytes == 0);
    }
}

fn labelled(folder: &Path) -> (Vec<ShardSpec>, Assembler) {
    let shards = shards(folder, &[300, 300, 150], 70, None);
    let direct = assembler(&shards, &["label"], Access::Shared).reading_directly(None);
    (shards, direct)
}

fn expected(order: &Order, start: u64, len: u64) -> Vec<i64> {
    (start..start + len).map(|at| order.record(at % order.len()) as i64).collect()
}

#[test]
fn a_batch_from_the_middle_of_a_window_and_one_over_its_end_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let (_, direct) = labelled(folder.path());
    let order = Order::blocks(750, 16, 4, 3, 0);
    for (start, len) in [(29, 10), (60, 200), (745, 9), (0, 750), (750, 3), (3, 0)] {
        let batch = direct.assemble(&rows(&order, start, len)).unwrap();
        assert_eq!(labels(&batch), expected(&order, start, len as u64), "{start}, {len}");
    }
}

#[test]
fn two_epochs_by_turns_and_many_threads_get_their_own_records() {
    let folder = tempfile::tempdir().unwrap();
    let (_, direct) = labelled(folder.path());
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let direct = &direct;
            scope.spawn(move || {
                let order = Order::blocks(750, 32, 3, seed, seed);
                for start in (0..750).step_by(50) {
                    let batch = direct.assemble(&rows(&order, start, 50)).unwrap();
                    assert_eq!(labels(&batch), expected(&order, start, 50));
                }
            });
        }
    });
}

#[test]
fn a_window_is_read_once_and_two_are_held() {
    let folder = tempfile::tempdir().unwrap();
    let shards = shards(folder.path(), &[64_000], 64_000, None);
    let direct = assembler(&shards, &["label"], Access::Shared).reading_directly(None);
    let order = Order::blocks(64_000, 1024, 4, 3, 0);
    for start in (0..64_000).step_by(500) {
        direct.assemble(&rows(&order, start, 500)).unwrap();
    }
    let stats = direct.direct_stats().unwrap();
    // The numbers, and what the footer and headers add.
    assert!((64_000 * 8..64_000 * 8 + (150 << 10)).contains(&stats.bytes), "{stats:?}");
    // Blocks of two pages lie in three, and memory has four sizes per doubling.
    let window = 4 * 4 * 4096;
    assert!(stats.held_bytes <= 3 * window, "{stats:?}");
    assert!(!stats.reason.is_some_and(|reason| reason.contains("mapped")));
}

#[test]
fn windows_that_would_take_too_much_memory_are_mapped_and_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let shards = shards(folder.path(), &[300], 70, None);
    let direct = assembler(&shards, &["label"], Access::Shared).reading_directly(Some(100));
    let order = Order::blocks(300, 16, 4, 3, 0);
    assert_eq!(labels(&direct.assemble(&rows(&order, 5, 7)).unwrap()), expected(&order, 5, 7));
    let stats = direct.direct_stats().unwrap();
    assert!(stats.bytes == 0 && stats.reason.unwrap().contains("order.window"));
}

#[test]
fn a_filter_and_a_compressed_shard_are_mapped_and_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let (_, direct) = labelled(folder.path());
    let mut kept = Selection::below(750);
    kept.extend((0..750).step_by(2));
    let direct = direct.selecting(Arc::new(kept));
    let order = Order::blocks(375, 16, 4, 3, 0);
    let doubled: Vec<i64> = expected(&order, 5, 70).iter().map(|record| 2 * record).collect();
    assert_eq!(labels(&direct.assemble(&rows(&order, 5, 70)).unwrap()), doubled);
    assert!(direct.direct_stats().unwrap().reason.unwrap().contains("filter"));

    let folder = tempfile::tempdir().unwrap();
    let shards = shards(folder.path(), &[100, 100], 70, Some(CompressionType::ZSTD));
    let direct = assembler(&shards, &["label", "text"], Access::Shared).reading_directly(None);
    let order = Order::blocks(200, 16, 4, 3, 0);
    assert_eq!(labels(&direct.assemble(&rows(&order, 5, 150)).unwrap()), expected(&order, 5, 150));
    assert!(direct.direct_stats().unwrap().reason.unwrap().contains("compressed"));
}

fn failing(direct: &Assembler, order: &Order) -> Vec<BatchError> {
    let ticket = |start| Ticket::submit(direct, rows(order, start, 10)).unwrap();
    // Asked for together, so that they share the window that fails.
    let tickets: Vec<Ticket> = (0..3).map(|number| ticket(number * 10)).collect();
    tickets.into_iter().map(|ticket| ticket.wait(|| Ok::<_, ()>(())).unwrap().unwrap_err()).collect()
}

fn shorten(path: &PathBuf, by: u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - by).unwrap();
}

#[test]
fn a_shard_that_is_cut_short_fails_the_batches_that_need_it_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let (shards, direct) = labelled(folder.path());
    shorten(&shards[1].path, 1000);
    let order = Order::blocks(750, 16, 47, 3, 0);
    for error in failing(&direct, &order) {
        let text = error.to_string();
        assert!(text.contains("1.arrow") && text.contains("copy it again"), "{text}");
    }
}

#[test]
fn a_shard_that_changes_after_it_was_opened_is_an_error_and_a_repaired_one_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (shards, direct) = labelled(folder.path());
    let order = Order::blocks(750, 16, 2, 3, 0);
    direct.assemble(&rows(&order, 0, 750)).unwrap();
    let path = &shards[0].path;
    let (content, time) =
        (std::fs::read(path).unwrap(), std::fs::metadata(path).unwrap().modified().unwrap());
    shorten(path, 5000);
    let error = direct.assemble(&rows(&order, 0, 750)).unwrap_err().to_string();
    assert!(error.contains("0.arrow") && error.contains("changed while it was read"), "{error}");

    std::fs::write(path, content).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    assert_eq!(labels(&direct.assemble(&rows(&order, 0, 750)).unwrap()), expected(&order, 0, 750));
}

#[test]
fn shards_that_disagree_or_have_other_records_than_was_said_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut shards = shards(folder.path(), &[100, 100], 70, None);
    let path = folder.path().join("other.arrow");
    let other: ArrayRef = Arc::new(arrow_array::Int32Array::from(vec![1; 100]));
    let schema = Arc::new(Schema::new(vec![Field::new("label", DataType::Int32, false)]));
    let mut writer = FileWriter::try_new(std::fs::File::create(&path).unwrap(), &schema).unwrap();
    writer.write(&RecordBatch::try_new(schema, vec![other]).unwrap()).unwrap();
    writer.finish().unwrap();
    shards.push(ShardSpec { path, records: 100 });
    let order = Order::blocks(300, 16, 19, 3, 0);
    let direct = assembler(&shards, &["label"], Access::Shared).reading_directly(None);
    let error = direct.assemble(&rows(&order, 0, 5)).unwrap_err().to_string();
    assert!(error.contains("other.arrow") && error.contains("first shard"), "{error}");

    shards.truncate(2);
    shards[1].records = 101;
    let direct = assembler(&shards, &["label"], Access::Shared).reading_directly(None);
    let error = direct.assemble(&rows(&Order::blocks(201, 16, 19, 3, 0), 0, 5)).unwrap_err().to_string();
    assert!(error.contains("1.arrow") && error.contains("101"), "{error}");
}

#[test]
fn missing_values_are_refused_as_the_mapping_refuses_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.arrow");
    let array: ArrayRef = Arc::new(Int64Array::from_iter((0..50).map(|n| (n != 30).then_some(n))));
    let batch = RecordBatch::try_from_iter([("label", array)]).unwrap();
    let mut writer = FileWriter::try_new(std::fs::File::create(&path).unwrap(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let shards = [ShardSpec { path, records: 50 }];
    let order = Order::blocks(50, 16, 2, 3, 0);
    let text = |assembler: Assembler| assembler.assemble(&rows(&order, 0, 50)).unwrap_err().to_string();
    let mapped = text(assembler(&shards, &["label"], Access::Shared));
    assert_eq!(text(assembler(&shards, &["label"], Access::Shared).reading_directly(None)), mapped);
}
