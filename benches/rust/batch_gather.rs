//! Shuffled batches of fixed-width records from mapped shards, beside a bare copy loop over the same bytes in memory.
//!
//! W1: 4,000,000 records of 32 float32 and an int64, batches of 1,024; W2: 200,000 records of 2,048 uint16, batches of 32;
//! eight shards, one thread, eight batches held. The limit copies the same records, in the same order, from one array into
//! one reused buffer, with the order drawn beforehand and nothing asked for ahead.

use std::collections::VecDeque;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nexa_batch::{Assembler, Order, Rows, ShardSpec, Store};
use nexa_records::{Element, RecordError, WriteColumn, write_shard};

const SHARDS: u64 = 8;
const HELD: usize = 8;

/// Columns by name, element and elements a row; records; batch.
struct Work {
    name: &'static str,
    columns: &'static [(&'static str, Element, usize)],
    records: u64,
    batch: usize,
}

const WORKS: [Work; 2] = [
    Work {
        name: "W1, 4,000,000 x (32 f32 + i64), batch 1,024",
        columns: &[("features", Element::F32, 32), ("label", Element::I64, 1)],
        records: 4_000_000,
        batch: 1024,
    },
    Work {
        name: "W2, 200,000 x 2,048 u16, batch 32",
        columns: &[("tokens", Element::U16, 2048)],
        records: 200_000,
        batch: 32,
    },
];

fn shards(folder: &Path, work: &Work) -> Result<Vec<ShardSpec>, RecordError> {
    let each = work.records / SHARDS;
    let rows = usize::try_from(each).unwrap_or(usize::MAX);
    let values: Vec<Vec<u8>> =
        work.columns.iter().map(|(_, element, width)| vec![1_u8; rows * width * element.bytes()]).collect();
    (0..SHARDS)
        .map(|number| {
            let path = folder.join(format!("{number}.arrow"));
            let columns: Vec<WriteColumn<'_>> = work
                .columns
                .iter()
                .zip(&values)
                .map(|(&(name, element, width), values)| WriteColumn {
                    name: name.into(),
                    element,
                    row_shape: if width == 1 { vec![] } else { vec![width] },
                    values,
                })
                .collect();
            write_shard(&path, &columns, rows)?;
            Ok(ShardSpec { path, records: each })
        })
        .collect()
}

fn gather(criterion: &mut Criterion) {
    for work in &WORKS {
        let Ok(folder) = tempfile::tempdir() else { return };
        let names: Vec<String> = work.columns.iter().map(|(name, ..)| (*name).to_owned()).collect();
        let store = shards(folder.path(), work).map(|specs| Store::open(specs, &names));
        let Ok(Ok(store)) = store else { return };
        one(criterion, work, &Assembler::new(Arc::new(store), 64 << 20));
    }
}

fn one(criterion: &mut Criterion, work: &Work, assembler: &Assembler) {
    let (records, batch) = (work.records, work.batch);
    let order = Order::shuffled(records, 7, 0);
    let mut group = criterion.benchmark_group(work.name);
    group.throughput(Throughput::Elements(batch as u64));

    let mut start = 0;
    let mut next = || {
        start += batch as u64;
        if start + batch as u64 > records {
            start = 0;
        }
        start
    };
    let mut found = Vec::with_capacity(batch);
    group.bench_function("order alone", |bencher| {
        bencher.iter(|| {
            found.clear();
            order.fill(next(), batch, &mut found);
            black_box(found.last().copied())
        });
    });
    let mut held = VecDeque::new();
    group.bench_function("assemble", |bencher| {
        bencher.iter(|| {
            let rows = Rows::Ordered { order: order.clone(), start: next(), len: batch };
            held.push_back(assembler.assemble(&rows).ok());
            if held.len() > HELD {
                held.pop_front();
            }
        });
    });

    let total = usize::try_from(records).unwrap_or(0);
    let widths: Vec<usize> = work.columns.iter().map(|(_, element, width)| width * element.bytes()).collect();
    let arrays: Vec<Vec<u8>> = widths.iter().map(|width| vec![1_u8; total * width]).collect();
    let mut outputs: Vec<Vec<u8>> = widths.iter().map(|width| vec![0_u8; batch * width]).collect();
    let drawn: Vec<usize> = (0..records).map(|at| usize::try_from(order.record(at)).unwrap_or(0)).collect();
    group.bench_function("limit: copy loop, order ready", |bencher| {
        bencher.iter(|| {
            let first = usize::try_from(next()).unwrap_or(0);
            for ((array, output), &width) in arrays.iter().zip(&mut outputs).zip(&widths) {
                for (target, &record) in output.chunks_exact_mut(width).zip(&drawn[first..first + batch]) {
                    target.copy_from_slice(&array[record * width..(record + 1) * width]);
                }
            }
            black_box(outputs.first().map(|output| output[0]))
        });
    });
    group.finish();
}

criterion_group!(benches, gather);
criterion_main!(benches);
