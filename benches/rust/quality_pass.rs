//! The quality pass on one thread: statistics of 35 columns, hashes of rows, and what each is made of.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch};
use arrow_schema::{DataType, Field};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nexa_quality::{Duplicates, Moments, RowStatistics, row_hashes};

const ROWS: usize = 1 << 17;
const COLUMNS: usize = 35;

/// Numbers in (-1, 1) without a pattern, by a linear congruence.
fn numbers(count: usize) -> impl Iterator<Item = f32> {
    let mut state = 1_u64;
    (0..count).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

fn batch() -> RecordBatch {
    let values: ArrayRef = Arc::new(Float32Array::from_iter_values(numbers(ROWS * COLUMNS)));
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let list = FixedSizeListArray::new(item, COLUMNS as i32, values, None);
    RecordBatch::try_from_iter([("features", Arc::new(list) as ArrayRef)]).expect("one column")
}

fn pass(criterion: &mut Criterion) {
    nexa_io::threads::configure(1);
    let batch = batch();
    let mut group = criterion.benchmark_group("quality");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    group.bench_function("statistics", |bench| {
        let mut seen = RowStatistics::new(Arc::default());
        let mut first = 0;
        bench.iter(|| {
            seen.add(black_box(&batch), first).expect("one schema");
            first += ROWS as u64;
        });
    });
    group.bench_function("row hashes", |bench| bench.iter(|| row_hashes(black_box(&batch), &[0])));
    group.bench_function("duplicates", |bench| {
        let hashes = row_hashes(&batch, &[0]).expect("numbers");
        bench.iter(|| {
            let mut all = Duplicates::new(usize::MAX, std::env::temp_dir());
            all.add(0, 0, &hashes, None).expect("memory");
            all.finish(1)
        });
    });
    let wide: Vec<f64> = numbers(ROWS).map(f64::from).collect();
    group.bench_function("moments of one column", |bench| {
        bench.iter(|| {
            let mut seen = Moments::default();
            wide.chunks(2048).for_each(|block| seen.add(block));
            seen
        });
    });
    group.finish();
}

criterion_group!(benches, pass);
criterion_main!(benches);
