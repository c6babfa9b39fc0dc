//! What is gathered, against rows that Arrow itself takes and puts together.

use std::sync::Arc;

use arrow_array::types::{Float32Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Int64Array, LargeBinaryArray, ListArray, RecordBatch,
    StringArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use proptest::prelude::*;

use super::{ShardBound, SplitGather};
use crate::{RecordError, write_batches};

/// Rows from `first` on, with a column of each kind; every so many lists there is one with a null within.
fn batch(first: usize, rows: usize, null_every: usize) -> RecordBatch {
    let numbers = first..first + rows;
    let list = |row: usize| -> Option<Vec<Option<i32>>> {
        let items = 0..i32::try_from(row % 5).unwrap();
        Some(items.map(|item| (item > 0 || !row.is_multiple_of(null_every)).then_some(item)).collect())
    };
    let vector = |row: usize| Some([row as f32, 0.5].map(Some));
    let vectors =
        FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(numbers.clone().map(vector), 2);
    let columns: [ArrayRef; 6] = [
        Arc::new(vectors),
        Arc::new(Int64Array::from_iter_values(numbers.clone().map(|row| row as i64))),
        Arc::new(StringArray::from_iter_values(numbers.clone().map(|row| "ä".repeat(row % 7)))),
        Arc::new(LargeBinaryArray::from_iter_values(numbers.clone().map(|row| vec![1; row % 3]))),
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(numbers.clone().map(list))),
        Arc::new(BooleanArray::from_iter(numbers.map(|row| Some(row % 3 == 0)))),
    ];
    let names = ["vector", "number", "text", "bytes", "list", "truth"];
    RecordBatch::try_from_iter_with_nullable(
        names.into_iter().zip(columns).map(|(name, column)| (name, column, false)),
    )
    .unwrap()
}

/// Gather batches, and return each split's shards.
fn gathered(batches: &[RecordBatch], split_of: &[Vec<u8>], bound: ShardBound) -> [Vec<RecordBatch>; 2] {
    let mut gather = SplitGather::new(2, bound);
    let mut shards = [Vec::new(), Vec::new()];
    for (batch, split_of) in batches.iter().zip(split_of) {
        gather.add(batch, split_of).unwrap();
        while let Some((split, shard)) = gather.next_full().unwrap() {
            shards[split].push(shard);
        }
    }
    for (split, shard) in gather.finish().unwrap() {
        shards[split].push(shard);
    }
    shards
}

/// The rows of a split, by Arrow.
fn naive(batches: &[RecordBatch], split_of: &[Vec<u8>], split: u8) -> RecordBatch {
    let parts: Vec<RecordBatch> = batches
        .iter()
        .zip(split_of)
        .map(|(batch, split_of)| {
            let rows = (0..).zip(split_of).filter(|(_, of)| **of == split).map(|(row, _)| row);
            take_record_batch(batch, &UInt64Array::from_iter_values(rows)).unwrap()
        })
        .collect();
    concat_batches(&batches[0].schema(), &parts).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn shards_hold_the_rows_of_their_split_in_order(
        split_of in prop::collection::vec(prop::collection::vec(prop_oneof![0_u8..2, Just(255)], 0..60), 1..6),
        shard_rows in prop::option::of(1_usize..50),
        shard_bytes in prop_oneof![Just(1), 100_usize..5000],
        null_every in prop_oneof![Just(40_usize), Just(1_000_000)],
    ) {
        let mut first = 1;
        let batches: Vec<RecordBatch> = split_of.iter().map(|split_of| {
            // A slice, as batches may be.
            let whole = batch(first, split_of.len() + 3, null_every);
            first += split_of.len();
            whole.slice(2, split_of.len())
        }).collect();
        let bound = ShardBound { rows: shard_rows, bytes: shard_bytes };
        for (split, shards) in (0..).zip(gathered(&batches, &split_of, bound)) {
            let expected = naive(&batches, &split_of, split);
            prop_assert!(shards.iter().all(|shard| shard.num_rows() > 0));
            if let Some(rows) = shard_rows {
                prop_assert!(shards.iter().all(|shard| shard.num_rows() <= rows));
            }
            prop_assert_eq!(concat_batches(&expected.schema(), &shards).unwrap(), expected);
        }
    }
}

#[test]
fn a_gathered_shard_has_the_bytes_that_its_batches_would_have() {
    let folder = tempfile::tempdir().unwrap();
    let batches = [batch(0, 50, 1_000_000), batch(50, 7, 1_000_000), batch(57, 90, 1_000_000)];
    let split_of: Vec<Vec<u8>> = batches.iter().map(|batch| vec![0; batch.num_rows()]).collect();
    let shards = gathered(&batches, &split_of, ShardBound { rows: None, bytes: 1 << 20 });
    assert_eq!((shards[0].len(), shards[1].len()), (1, 0));
    let [ours, theirs] = [("ours", &shards[0][..]), ("theirs", &batches[..])]
        .map(|(name, batches)| write_batches(&folder.path().join(name), batches, false).unwrap());
    assert_eq!(ours, theirs);
}

#[test]
fn a_shard_ends_before_the_row_that_would_go_beyond_its_bytes() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..25));
    let batch = RecordBatch::try_from_iter_with_nullable([("x", numbers, false)]).unwrap();
    let rows = |bytes| -> Vec<usize> {
        let [shards, _] =
            gathered(std::slice::from_ref(&batch), &[vec![0; 25]], ShardBound { rows: None, bytes });
        shards.iter().map(RecordBatch::num_rows).collect()
    };
    assert_eq!(rows(80), [10, 10, 5]);
    assert_eq!(rows(87), [10, 10, 5]);
    assert_eq!(rows(4), [1; 25], "an empty shard takes a row of any size");
}

#[test]
fn what_is_no_batch_of_the_same_columns_is_refused() {
    let mut gather = SplitGather::new(1, ShardBound { rows: None, bytes: 1 });
    assert!(matches!(gather.add(&batch(0, 2, 9), &[0]), Err(RecordError::Corrupt { .. })));
    gather.add(&batch(0, 2, 9), &[0, 0]).unwrap();
    let schema = Schema::new(vec![Field::new("vector", DataType::Int64, false)]);
    let other = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(vec![1])) as ArrayRef])
        .unwrap();
    assert!(matches!(gather.add(&other, &[0]), Err(RecordError::SchemaMismatch { .. })));
}

#[test]
fn nothing_but_empty_rows_is_a_shard_too() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["", ""]));
    let lists: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![]), Some(vec![])]));
    let batch =
        RecordBatch::try_from_iter_with_nullable([("text", text, false), ("list", lists, false)]).unwrap();
    let [shards, _] =
        gathered(std::slice::from_ref(&batch), &[vec![0, 0]], ShardBound { rows: None, bytes: 1 << 20 });
    assert_eq!(shards, [batch]);
    assert_eq!(shards[0].column(1).len(), 2);
}
