//! Rows per second of `LabelSet::select` beside the loop that everybody writes, and the limit: reading the column.

#![allow(missing_docs, reason = "criterion's macros write undocumented items")]

use std::collections::HashSet;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nexa_filter::LabelSet;

const ROWS: usize = 10_000_000;
const ALLOWED: i64 = 100;

/// Labels of which `percent` of a hundred, in no order, are below [`ALLOWED`].
fn labels(percent: u64) -> Vec<i64> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        // xorshift64 (Marsaglia 2003): enough to defeat branch prediction.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    };
    (0..ROWS)
        .map(|_| {
            let outside = if random() % 100 < percent { 0 } else { ALLOWED };
            outside + (random() % 100).cast_signed()
        })
        .collect()
}

fn naive(allowed: &HashSet<i64>, labels: &[i64]) -> Vec<u64> {
    (0..).zip(labels).filter(|(_, label)| allowed.contains(label)).map(|(row, _)| row).collect()
}

fn select(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("select");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    for percent in [1, 50, 99] {
        let labels = labels(percent);
        let set = LabelSet::new(0..ALLOWED);
        // Same count, spread so far that no bitmap is built; `spread` maps the column alike.
        let spread: Vec<i64> = labels.iter().map(|label| label * 1_000_003).collect();
        let sparse = LabelSet::new((0..ALLOWED).map(|label| label * 1_000_003));
        let twin: HashSet<i64> = (0..ALLOWED).collect();
        assert_eq!(set.select(&labels, false), naive(&twin, &labels), "the bench compares equal work");
        let kept = BenchmarkId::from_parameter;
        group.bench_function(kept(format!("{percent}%/bitmap")), |b| {
            b.iter(|| set.select(black_box(&labels), false));
        });
        group.bench_function(kept(format!("{percent}%/hash")), |b| {
            b.iter(|| sparse.select(black_box(&spread), false));
        });
        group.bench_function(kept(format!("{percent}%/naive HashSet")), |b| {
            b.iter(|| naive(&twin, black_box(&labels)));
        });
        group.bench_function(kept(format!("{percent}%/limit: sum the column")), |b| {
            b.iter(|| black_box(&labels).iter().fold(0i64, |sum, label| sum.wrapping_add(*label)));
        });
    }
    group.finish();
}

criterion_group!(benches, select);
criterion_main!(benches);
