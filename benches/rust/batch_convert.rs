//! Widening on the way into a batch, beside a plain copy of as many bytes as come out.
//!
//! Batches of 256 images of 3 × 64 × 64 bytes that become float32, and of 64 rows of 2,048 tokens (uint16) that become
//! int64, in the order in which they lie, one thread. The limit copies the finished batch from elsewhere in memory.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

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

const CASES: [Case; 4] = [
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

fn open(folder: &Path, case: &Case) -> Result<Assembler, BatchError> {
    let path = folder.join(format!("{}.arrow", case.target));
    let values: Vec<u8> = (0..RECORDS * case.row * case.element.bytes()).map(|at| (at % 61) as u8).collect();
    let column =
        WriteColumn { name: "x".into(), element: case.element, row_shape: vec![case.row], values: &values };
    write_shard(&path, &[column], RECORDS)?;
    let store = Store::open(vec![ShardSpec { path, records: RECORDS as u64 }], &["x".into()])?;
    let Ok(target) = case.target.parse() else { unreachable!("the case names a type") };
    let conversion = Some(Conversion { target, scale: case.scale, shift: 0.0 });
    let forms = Forms::new(&store, &HashMap::from([("x".into(), Form { conversion, padding: None })]))?;
    Ok(Assembler::with_forms(Arc::new(store), forms, 256 << 20))
}

fn convert(criterion: &mut Criterion) {
    let Ok(folder) = tempfile::tempdir() else { return };
    for case in &CASES {
        let Ok(assembler) = open(folder.path(), case) else { return };
        let bytes = assembler.forms().fixed[0].row_bytes * case.batch;
        let mut group = criterion.benchmark_group(case.name);
        group.throughput(Throughput::Bytes(bytes as u64));
        let order = Order::sequential(RECORDS as u64);
        let mut start = 0;
        group.bench_function("assemble", |bencher| {
            bencher.iter(|| {
                start = (start + case.batch as u64) % RECORDS as u64;
                let rows = Rows::Ordered { order: order.clone(), start, len: case.batch };
                black_box(assembler.assemble(&rows).is_ok())
            });
        });
        let ready = vec![7_u8; bytes * (RECORDS / case.batch).min(8)];
        let mut out = vec![0_u8; bytes];
        let mut at = 0;
        group.bench_function("limit: copy of the output", |bencher| {
            bencher.iter(|| {
                at = (at + bytes) % ready.len();
                out.copy_from_slice(&ready[at..at + bytes]);
                black_box(out[0])
            });
        });
        group.finish();
    }
}

criterion_group!(benches, convert);
criterion_main!(benches);
