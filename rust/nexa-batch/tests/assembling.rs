//! Rows of real shards become batches: the right bytes, once each, in memory that comes back.

#![expect(clippy::unwrap_used, reason = "a test that can't go on stops")]

use std::path::Path;
use std::sync::Arc;

use nexa_batch::{Assembler, BatchError, Order, Rows, ShardSpec, Store, Ticket};
use nexa_records::{Element, WriteColumn, write_shard};
use proptest::prelude::*;

/// Writes shards of the given sizes; record i has features (2i, 2i + 1) and label i.
fn shards(folder: &Path, sizes: &[u64]) -> Vec<ShardSpec> {
    let mut first = 0_u64;
    let mut specs = Vec::new();
    for (number, &records) in sizes.iter().enumerate() {
        let path = folder.join(format!("{number}.arrow"));
        let features: Vec<u8> =
            (first * 2..(first + records) * 2).flat_map(|value| (value as f32).to_le_bytes()).collect();
        let labels: Vec<u8> =
            (first..first + records).flat_map(|value| (value as i64).to_le_bytes()).collect();
        let columns = [
            WriteColumn {
                name: "features".into(),
                element: Element::F32,
                row_shape: vec![2],
                values: &features,
            },
            WriteColumn { name: "label".into(), element: Element::I64, row_shape: vec![], values: &labels },
        ];
        write_shard(&path, &columns, usize::try_from(records).unwrap()).unwrap();
        specs.push(ShardSpec { path, records });
        first += records;
    }
    specs
}

fn assembler(folder: &Path, sizes: &[u64]) -> Assembler {
    let columns = ["features".to_owned(), "label".to_owned()];
    Assembler::new(Arc::new(Store::open(shards(folder, sizes), &columns).unwrap()), 1 << 20)
}

fn labels(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|each| u64::from_le_bytes(each.try_into().unwrap())).collect()
}

fn features(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|each| f32::from_le_bytes(each.try_into().unwrap())).collect()
}

#[test]
fn listed_records_come_in_their_order_from_several_shards() {
    let folder = tempfile::tempdir().unwrap();
    let batch = assembler(folder.path(), &[3, 0, 5, 1]).assemble(&Rows::Listed(vec![8, 0, 3, 3, 7])).unwrap();
    assert_eq!(labels(&batch.columns[1]), [8, 0, 3, 3, 7]);
    assert_eq!(features(&batch.columns[0]), [16., 17., 0., 1., 6., 7., 6., 7., 14., 15.]);
}

#[test]
fn a_split_of_more_shards_than_may_be_open_is_served_whole() {
    let folder = tempfile::tempdir().unwrap();
    let columns = ["label".to_owned()];
    let store = Store::open_bounded(shards(folder.path(), &[2; 20]), &columns, 3).unwrap();
    let assembler = Assembler::new(Arc::new(store), 1 << 20);
    for epoch in 0..3 {
        let order = Order::shuffled(40, 1, epoch);
        let mut seen: Vec<u64> = (0..40)
            .step_by(8)
            .flat_map(|start| {
                let rows = Rows::Ordered { order: order.clone(), start, len: 8 };
                labels(&assembler.assemble(&rows).unwrap().columns[0])
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..40).collect::<Vec<_>>());
    }
}

#[test]
fn a_batch_beyond_the_epochs_end_begins_again_at_its_first_record() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::Ordered { order: Order::sequential(5), start: 3, len: 4 };
    let batch = assembler(folder.path(), &[2, 3]).assemble(&rows).unwrap();
    assert_eq!(labels(&batch.columns[1]), [3, 4, 0, 1]);
}

#[test]
fn a_record_beyond_the_last_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = assembler(folder.path(), &[4]).assemble(&Rows::Listed(vec![4])).unwrap_err();
    assert!(matches!(error, BatchError::OutOfRange { index: 4, len: 4 }), "{error}");
}

#[test]
fn a_shard_with_other_records_than_the_catalog_says_is_refused_when_it_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let mut specs = shards(folder.path(), &[2, 2]);
    specs[1].records = 3;
    let store = Store::open(specs, &["label".to_owned()]).unwrap();
    let assembler = Assembler::new(Arc::new(store), 0);
    assert!(assembler.assemble(&Rows::Listed(vec![0, 1])).is_ok());
    let error = assembler.assemble(&Rows::Listed(vec![2])).unwrap_err();
    assert!(error.to_string().contains("1.arrow"), "{error}");
}

#[test]
fn shards_that_disagree_about_a_column_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut specs = shards(folder.path(), &[2]);
    let path = folder.path().join("other.arrow");
    let column = WriteColumn { name: "label".into(), element: Element::U8, row_shape: vec![], values: &[1] };
    write_shard(&path, &[column], 1).unwrap();
    specs.push(ShardSpec { path, records: 1 });
    let store = Store::open(specs, &["label".to_owned()]).unwrap();
    let error = Assembler::new(Arc::new(store), 0).assemble(&Rows::Listed(vec![2])).unwrap_err();
    assert!(matches!(error, BatchError::Disagreement { .. }), "{error}");
}

#[test]
fn a_column_that_is_not_there_is_named_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    let error = Store::open(shards(folder.path(), &[1]), &["labels".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("labels") && error.contains("features"), "{error}");
}

#[test]
fn buffers_are_aligned_and_come_back_when_they_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let assembler = assembler(folder.path(), &[10]);
    let batch = assembler.assemble(&Rows::Listed((0..10).collect())).unwrap();
    assert!(batch.columns.iter().all(|buffer| buffer.as_ptr().addr() % 64 == 0));
    assert_eq!(assembler.pool().stats().live_buffers, 2);
    drop(batch);
    let stats = assembler.pool().stats();
    assert_eq!((stats.live_buffers, stats.idle_buffers), (0, 2));
}

#[test]
fn a_ticket_gives_the_batch_and_a_dropped_one_gives_its_memory_back() {
    let folder = tempfile::tempdir().unwrap();
    let assembler = assembler(folder.path(), &[7, 7]);
    let order = Order::shuffled(14, 1, 0);
    let rows = Rows::Ordered { order: order.clone(), start: 2, len: 5 };
    let ticket = Ticket::submit(&assembler, rows.clone()).unwrap();
    drop(Ticket::submit(&assembler, rows).unwrap());
    let batch = ticket.wait(|| Ok::<_, ()>(())).unwrap().unwrap();
    assert_eq!(labels(&batch.columns[1]), (2..7).map(|k| order.record(k)).collect::<Vec<_>>());
}

#[test]
fn an_error_reaches_the_one_who_waits() {
    let folder = tempfile::tempdir().unwrap();
    let assembler = assembler(folder.path(), &[2]);
    let ticket = Ticket::submit(&assembler, Rows::Listed(vec![9])).unwrap();
    assert!(ticket.wait(|| Ok::<_, ()>(())).unwrap().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn an_epoch_holds_every_record_once_whatever_the_shards(
        sizes in prop::collection::vec(0_u64..20, 1..6), batch in 1_usize..16, seed: u64,
    ) {
        let total: u64 = sizes.iter().sum();
        prop_assume!(total > 0);
        let folder = tempfile::tempdir().unwrap();
        let assembler = assembler(folder.path(), &sizes);
        let order = Order::shuffled(total, seed, 0);
        let mut seen = Vec::new();
        let mut start = 0;
        while start < total {
            let len = batch.min(usize::try_from(total - start).unwrap());
            let made = assembler.assemble(&Rows::Ordered { order: order.clone(), start, len }).unwrap();
            for (label, pair) in labels(&made.columns[1]).into_iter().zip(features(&made.columns[0]).chunks(2)) {
                prop_assert_eq!(pair, [label as f32 * 2.0, label as f32 * 2.0 + 1.0]);
                seen.push(label);
            }
            start += len as u64;
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..total).collect::<Vec<_>>());
    }
}

#[test]
fn what_was_submitted_taken_and_given_up_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let assembler = assembler(folder.path(), &[10]);
    let rows = |start| Rows::Ordered { order: Order::sequential(10), start, len: 5 };
    let first = Ticket::submit(&assembler, rows(0)).unwrap();
    let second = Ticket::submit(&assembler, rows(5)).unwrap();
    assert_eq!(assembler.counters().ahead(), 2);
    let asked = std::time::Instant::now();
    let batch = first.wait(|| Ok::<(), ()>(())).unwrap().unwrap();
    assert_eq!(assembler.counters().ahead(), 1);
    assembler.counters().took(batch.rows, 80, asked);
    drop(second);
    // The thread that assembles it may hold it a moment longer.
    while assembler.counters().ahead() > 0 {
        std::thread::yield_now();
    }
    let stats = assembler.counters().stats();
    assert_eq!((stats.batches, stats.records, stats.bytes, stats.ahead), (1, 5, 80, 0));
    assert!((1..=2).contains(&stats.assembled));
    assert!(stats.span >= stats.waited && stats.assembling > std::time::Duration::ZERO);
}
