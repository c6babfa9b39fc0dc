//! How many lines a second a catalog is parsed at, since catalogs of a million shards are checked before each run.
//!
//! `bare` is the floor: the same lines through the JSON parser alone, on one thread.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nexa_catalog::parse;
use nexa_io::Control;

const LINES: u64 = 100_000;

fn catalog() -> String {
    let mut text = String::new();
    for line in 0..LINES {
        let written = writeln!(
            text,
            "{{\"uri\": \"shards/train-{line:06}.arrow\", \"split\": \"train\", \"bytes\": {}, \"records\": 100, \
             \"checksum\": \"sha256:{line:064x}\", \"tags\": [\"clean\"], \"source\": \"crawl-17\"}}",
            1_000 + line
        );
        assert!(written.is_ok(), "a string takes what is written to it");
    }
    text
}

fn lines(criterion: &mut Criterion) {
    let text = catalog();
    let mut group = criterion.benchmark_group("catalog");
    group.throughput(Throughput::Elements(LINES));
    group.sample_size(20);
    group.bench_function("parse", |bencher| {
        bencher.iter(|| parse(black_box(text.as_bytes()), &Control::default()));
    });
    group.bench_function("bare", |bencher| {
        bencher.iter(|| {
            text.lines().map(serde_json::from_str::<serde_json::Value>).filter(Result::is_ok).count()
        });
    });
    group.finish();
}

criterion_group!(benches, lines);
criterion_main!(benches);
