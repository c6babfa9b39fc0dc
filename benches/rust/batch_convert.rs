//! Conversion on the way into a batch, beside a plain copy of as many bytes as come out.
//!
//! Batches of equal rows in the order in which they lie, one thread. The limit copies the finished batch from memory of
//! which there is as much as of the shard, so that both read what no cache holds, or both what one does. Each case
//! begins with the ratio of the two, the median of pairs that were timed one right after the other.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nexa_batch::{Assembler, BatchError, Conversion, Form, Forms, Order, Rows, ShardSpec, Store};
use nexa_records::{Element, WriteColumn, write_shard};

struct Case {
    name: &'static str,
    element: Element,
    row: usize,
    batch: usize,
    target: &'static str,
    scale: f64,
}

const CASES: [Case; 6] = [
    Case {
        name: "uint8 to float32",
        element: Element::U8,
        row: 3 * 64 * 64,
        batch: 256,
        target: "float32",
        scale: 1.0 / 255.0,
    },
    Case {
        name: "uint16 to int64",
        element: Element::U16,
        row: 2048,
        batch: 64,
        target: "int64",
        scale: 1.0,
    },
    Case {
        name: "uint16 to int32",
        element: Element::U16,
        row: 2048,
        batch: 128,
        target: "int32",
        scale: 1.0,
    },
    Case {
        name: "float64 to float32",
        element: Element::F64,
        row: 2048,
        batch: 128,
        target: "float32",
        scale: 1.0,
    },
    Case {
        name: "float32 to bfloat16",
        element: Element::F32,
        row: 2048,
        batch: 256,
        target: "bfloat16",
        scale: 1.0,
    },
    Case {
        name: "float32 to float16",
        element: Element::F32,
        row: 2048,
        batch: 256,
        target: "float16",
        scale: 1.0,
    },
];
const RECORDS: usize = 4096;

/// Numbers as data has them: a CPU may take longer for floats so small that they have lost digits.
fn values(element: Element, count: usize) -> Vec<u8> {
    let numbers = (0..count).map(|at| (at % 61) as u8);
    match element {
        Element::F32 => numbers.flat_map(|number| (f32::from(number) / 61.0 - 0.5).to_ne_bytes()).collect(),
        Element::F64 => numbers.flat_map(|number| (f64::from(number) / 61.0 - 0.5).to_ne_bytes()).collect(),
        Element::U16 => numbers.flat_map(|number| u16::from(number).to_ne_bytes()).collect(),
        _ => numbers.collect(),
    }
}

fn open(folder: &Path, case: &Case) -> Result<Assembler, BatchError> {
    let path = folder.join(format!("{}.arrow", case.target));
    let values = values(case.element, RECORDS * case.row);
    let column =
        WriteColumn { name: "x".into(), element: case.element, row_shape: vec![case.row], values: &values };
    write_shard(&path, &[column], RECORDS)?;
    let store = Store::open(vec![ShardSpec { path, records: RECORDS as u64 }], &["x".into()])?;
    let Ok(target) = case.target.parse() else { unreachable!("the case names a type") };
    let conversion = Some(Conversion { target, scale: case.scale, shift: 0.0 });
    let forms = Forms::new(&store, &HashMap::from([("x".into(), Form { conversion, padding: None })]))?;
    Ok(Assembler::with_forms(Arc::new(store), forms, 256 << 20))
}

/// Times a pair of one batch and one copy so often.
const PAIRS: usize = 201;

fn timed(work: &mut dyn FnMut()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn convert(criterion: &mut Criterion) {
    let Ok(folder) = tempfile::tempdir() else { return };
    for case in &CASES {
        let Ok(assembler) = open(folder.path(), case) else { return };
        let bytes = assembler.forms().fixed[0].row_bytes * case.batch;
        let order = Order::sequential(RECORDS as u64);
        let mut start = 0;
        let mut assemble = || {
            start = (start + case.batch as u64) % RECORDS as u64;
            let rows = Rows::Ordered { order: order.clone(), start, len: case.batch };
            black_box(assembler.assemble(&rows).is_ok());
        };
        let shard = RECORDS * case.row * case.element.bytes();
        let ready = vec![7_u8; shard.next_multiple_of(bytes)];
        let mut out = vec![0_u8; bytes];
        let mut at = 0;
        let mut copy = || {
            at = (at + bytes) % ready.len();
            out.copy_from_slice(&ready[at..at + bytes]);
            black_box(&mut out);
        };
        let mut ratios: Vec<f64> =
            (0..PAIRS).map(|_| timed(&mut copy).as_secs_f64() / timed(&mut assemble).as_secs_f64()).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let ratio = ratios[PAIRS / 2];
        // A copy reads as much as it writes; who reads more than that is held to the same traffic.
        let traffic = (case.element.bytes() * case.row * case.batch + bytes) as f64 / (2 * bytes) as f64;
        println!("{}: {ratio:.2} × a copy of the output, {:.2} × its traffic", case.name, ratio * traffic);
        let mut group = criterion.benchmark_group(case.name);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function("assemble", |bencher| bencher.iter(&mut assemble));
        group.bench_function("limit: copy of the output", |bencher| bencher.iter(&mut copy));
        group.finish();
    }
}

criterion_group!(benches, convert);
criterion_main!(benches);
