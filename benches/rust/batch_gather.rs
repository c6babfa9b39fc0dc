//! Shuffled batches of fixed-width records from mapped shards, beside a bare copy loop over the same bytes in memory.
//!
//! 400,000 records of 32 float32 and an int64 in eight shards, batches of 1,024, one thread. The limit copies the same
//! records, in the same order, from one array into one reused buffer, with the order drawn beforehand.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nexa_batch::{Assembler, Forms, Order, Rows, ShardSpec, Store};
use nexa_records::{Element, RecordError, WriteColumn, write_shard};

const SHARDS: u64 = 8;
const SHARD_RECORDS: u64 = 50_000;
const RECORDS: u64 = SHARDS * SHARD_RECORDS;
const FEATURES: usize = 32;
const BATCH: usize = 1024;

fn shards(folder: &Path) -> Result<Vec<ShardSpec>, RecordError> {
    let rows = usize::try_from(SHARD_RECORDS).unwrap_or(usize::MAX);
    let (features, labels) = (vec![1_u8; rows * FEATURES * 4], vec![2_u8; rows * 8]);
    (0..SHARDS)
        .map(|number| {
            let path = folder.join(format!("{number}.arrow"));
            let columns = [
                WriteColumn {
                    name: "features".into(),
                    element: Element::F32,
                    row_shape: vec![FEATURES],
                    values: &features,
                },
                WriteColumn {
                    name: "label".into(),
                    element: Element::I64,
                    row_shape: vec![],
                    values: &labels,
                },
            ];
            write_shard(&path, &columns, rows)?;
            Ok(ShardSpec { path, records: SHARD_RECORDS })
        })
        .collect()
}

fn gather(criterion: &mut Criterion) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let store = shards(folder.path()).map(|specs| Store::open(specs, &["features".into(), "label".into()]));
    let Ok(Ok(store)) = store else { return };
    let Ok(forms) = Forms::new(&store, &HashMap::new()) else { return };
    let assembler = Assembler::new(Arc::new(store), forms, 64 << 20);
    let order = Order::shuffled(RECORDS, 7, 0);
    let mut group = criterion.benchmark_group("400,000 x (32 f32 + i64), shuffled, batch 1,024");
    group.throughput(Throughput::Elements(BATCH as u64));

    let mut start = 0;
    let mut next = || {
        start = (start + BATCH as u64) % RECORDS;
        start
    };
    group.bench_function("order alone", |bencher| {
        bencher.iter(|| {
            let first = next();
            (first..(first + BATCH as u64).min(RECORDS)).map(|at| order.record(at)).sum::<u64>()
        });
    });
    group.bench_function("assemble", |bencher| {
        bencher.iter(|| {
            let rows = Rows::Ordered { order: order.clone(), start: next(), len: BATCH };
            black_box(assembler.assemble(&rows).is_ok())
        });
    });

    let width = FEATURES * 4;
    let total = usize::try_from(RECORDS).unwrap_or(0);
    let (features, labels) = (vec![1_u8; total * width], vec![2_u8; total * 8]);
    let drawn: Vec<usize> = (0..RECORDS).map(|at| usize::try_from(order.record(at)).unwrap_or(0)).collect();
    let (mut out, mut named) = (vec![0_u8; BATCH * width], vec![0_u8; BATCH * 8]);
    group.bench_function("limit: copy loop, order ready", |bencher| {
        bencher.iter(|| {
            let first = usize::try_from(next()).unwrap_or(0).min(total - BATCH);
            for (to, &from) in out.chunks_exact_mut(width).zip(&drawn[first..]) {
                to.copy_from_slice(&features[from * width..(from + 1) * width]);
            }
            for (to, &from) in named.chunks_exact_mut(8).zip(&drawn[first..]) {
                to.copy_from_slice(&labels[from * 8..(from + 1) * 8]);
            }
            black_box((out[0], named[0]))
        });
    });
    group.finish();
}

criterion_group!(benches, gather);
criterion_main!(benches);
