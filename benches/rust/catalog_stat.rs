//! How many shards a second are found to be there and of their size, beside the bare system calls.
//!
//! Catalogs are checked before each run, so the check should cost what the file system costs. `bare` asks for the status
//! of ready paths, on the same threads, and does nothing with the answer. Both are warm, and take turns, so that the
//! ratio holds where the seconds drift. `cargo bench -p nexa-catalog --bench catalog_stat`.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nexa_catalog::{Checks, Entries, Entry, validate};
use nexa_io::{Control, threads};
use rayon::prelude::*;

const FILES: u64 = 20_000;
const ROUNDS: usize = 31;

fn timed(work: impl FnOnce() -> usize, expected: usize) -> Duration {
    let start = Instant::now();
    let found = black_box(work());
    let time = start.elapsed();
    assert_eq!(found, expected, "every file is there, and nothing is wrong with it");
    time
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    fs::create_dir(root.join("shards"))?;
    let mut entries = Vec::new();
    let mut paths: Vec<PathBuf> = Vec::new();
    for line in 1..=FILES {
        let uri = format!("shards/train-{line:06}.arrow");
        fs::write(root.join(&uri), b"x")?;
        paths.push(root.join(&uri));
        entries.push(Entry { line, bytes: Some(1), ..Entry::new(uri) });
    }
    let entries: Entries = entries.into_iter().collect();
    let checks = Checks { shards: true, footers: false, content: false, for_staging: false };
    let pool = threads::pool()?;
    let control = Control::default();
    let mut ours = Vec::new();
    let mut bare = Vec::new();
    for _ in 0..ROUNDS {
        ours.push(timed(
            || validate(root, &entries, &checks, &control).map_or(usize::MAX, |found| found.len()),
            0,
        ));
        let ask =
            || pool.install(|| paths.par_iter().filter(|path| fs::symlink_metadata(path).is_ok()).count());
        bare.push(timed(ask, paths.len()));
    }
    let (ours, bare) = (median(&mut ours), median(&mut bare));
    for (name, time) in [("nexa-catalog validate", ours), ("bare statx", bare)] {
        println!("{name:<22} {:>10.0} files/s", FILES as f64 / time.as_secs_f64());
    }
    println!("ratio                  {:>10.2}", bare.as_secs_f64() / ours.as_secs_f64());
    Ok(())
}
