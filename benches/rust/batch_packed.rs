//! Sequences packed into rows, beside a plain copy of as many bytes as come out, and what the next epoch costs.
//!
//! W2v: 200,000 sequences of 64 to 2,048 uint16 in eight shards, shuffled, packed into rows of 2,048, batches of 32 rows, one
//! thread, eight batches held. What comes out is ids, labels and positions, so 24 bytes for each token of two (int64), or
//! 12 (int32). The limit copies as many bytes into eight buffers in turn. Tokens are counted as they are stored: two bytes
//! each, padding not counted. The ratio is the median of pairs that were timed one right after the other.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::types::UInt16Type;
use arrow_array::{ListArray, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::ArrowError;
use criterion::{Criterion, criterion_group, criterion_main};
use nexa_batch::{
    Assembler, BatchError, Conversion, Form, Forms, Order, Packer, Packing, Rows, ShardSpec, Store,
};

const SHARDS: u64 = 8;
const EACH: u64 = 25_000;
const LENGTH: usize = 2048;
const BATCH: usize = 32;
const HELD: usize = 8;
const PAIRS: u64 = 401;

/// Write the shards, and give them with the number of their tokens.
fn shards(folder: &Path) -> Result<(Vec<ShardSpec>, u64), ArrowError> {
    let mut tokens = 0;
    let shard = |number: u64| {
        // A multiplicative sequence: every length from 64 to 2,048 about as often.
        let lengths = (0..EACH).map(|row| 64 + (((number * EACH + row) * 2_654_435_761) >> 16) % 1985);
        let lists = lengths.map(|length| {
            tokens += length;
            Some((0..length).map(|at| Some((at % 50_000) as u16)))
        });
        let list = Arc::new(ListArray::from_iter_primitive::<UInt16Type, _, _>(lists));
        let batch = RecordBatch::try_from_iter([("tokens", list as _)])?;
        let path = folder.join(format!("{number}.arrow"));
        let mut writer = FileWriter::try_new(File::create(&path)?, &batch.schema())?;
        writer.write(&batch)?;
        writer.finish()?;
        Ok(ShardSpec { path, records: EACH })
    };
    let specs = (0..SHARDS).map(shard).collect::<Result<_, ArrowError>>()?;
    Ok((specs, tokens))
}

fn open(shards: Vec<ShardSpec>, target: &str) -> Result<(Assembler, Packer), BatchError> {
    let store = Store::open(shards, &["tokens".into()])?;
    let Ok(target) = target.parse() else { unreachable!("the bench names a type") };
    let conversion = Some(Conversion { target, scale: 1.0, shift: 0.0 });
    let forms = Forms::new(&store, &HashMap::from([("tokens".into(), Form { conversion, padding: None })]))?;
    let assembler = Assembler::with_forms(Arc::new(store), forms, 256 << 20);
    let packing = Packing { length: LENGTH, window: 4096, pad_id: 0.0, ignore_index: -100.0 };
    let packer = Packer::new(&assembler, packing)?;
    Ok((assembler, packer))
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn pack(criterion: &mut Criterion) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let Ok((shards, tokens)) = shards(folder.path()) else { return };
    for (target, bytes) in [("int64", 24), ("int32", 12)] {
        let Ok((assembler, packer)) = open(shards.clone(), target) else { return };
        let order = |epoch| Order::shuffled(SHARDS * EACH, 7, epoch);
        let Ok(epoch) = packer.epoch(order(0)) else { return };
        let bytes = BATCH * LENGTH * bytes;
        let (mut held, mut start) = (VecDeque::from_iter([const { None }; HELD]), 0);
        let mut batch = || {
            start = (start + BATCH as u64) % epoch.rows();
            held.pop_front();
            let rows = Rows::Packed { epoch: epoch.clone(), start, len: BATCH };
            held.push_back(assembler.assemble(&rows).ok());
        };
        let ready = vec![1_u8; 64 * bytes];
        let (mut outs, mut turn) = (vec![vec![1_u8; bytes]; HELD], 0);
        let mut copy = || {
            turn += 1;
            outs[turn % HELD].copy_from_slice(&ready[turn % 64 * bytes..][..bytes]);
            black_box(&mut outs);
        };
        let mut pairs: Vec<(f64, f64)> = (0..PAIRS)
            .map(|_| (timed(&mut copy).as_secs_f64(), timed(&mut batch).as_secs_f64()))
            .map(|(copied, packed)| (copied / packed, packed))
            .collect();
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (ratio, took) = pairs[pairs.len() / 2];
        let stored = BATCH as f64 * 2.0 * tokens as f64 / epoch.rows() as f64;
        println!("{target}: {ratio:.2} × a copy of the output, {:.2} GB/s of tokens", stored / took / 1e9);
        let mut group = criterion.benchmark_group(format!("W2v as {target}"));
        group.bench_function("a batch", |bencher| bencher.iter(&mut batch));
        group.bench_function("limit: copy of the output", |bencher| bencher.iter(&mut copy));
        let mut number = 0;
        group.bench_function("the next epoch's rows", |bencher| {
            bencher.iter(|| {
                number += 1;
                black_box(packer.epoch(order(number)).is_ok())
            });
        });
        group.finish();
    }
}

criterion_group!(benches, pack);
criterion_main!(benches);
