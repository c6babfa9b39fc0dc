//! What of which files makes up a window's blocks: shards' layouts, their open files, and the reads that fetch them.

use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use lru::LruCache;
use nexa_io::{Alignment, BufferPool, DirectFile, DirectPiece, IoError};
use nexa_records::{Buffer, PlainRows, PlainShard, RecordError, bytes_of};

use crate::specs::Specs;
use crate::store::Chunk;
use crate::window::{Outline, Piece, Within};
use crate::{BatchError, Store};

/// Files that stay open: as many as a window's reads go to at a time, and a few.
const MOST_FILES: usize = 64;
/// Ranges that lie closer are one read: they may share a page.
const NEAR_BYTES: u64 = 4096;
/// What a read brings lies in one large page: rows that a batch picks miss the translation cache less, and no memory is
/// left over. Neighbours are put together up to here, with the pages that they begin and end in; rows of one column are
/// cut to it; only a row, a list or a text may be longer.
const RUN_BYTES: u64 = (2 << 20) - 2 * 4096;

/// A read: a range of a shard's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub shard: usize,
    pub range: Range<u64>,
}

/// A window before it is read: its blocks by slots, and the reads that they need.
pub(crate) type Draft = (Vec<Vec<Outline>>, Vec<Run>);

/// Reads a store's shards past the page cache.
#[derive(Debug)]
pub(crate) struct Reading {
    store: Arc<Store>,
    names: Vec<String>,
    /// Shards whose layout was read; `None`: it isn't plain, and is mapped.
    layouts: Vec<OnceLock<Option<Arc<PlainShard>>>>,
    files: Mutex<LruCache<usize, Arc<DirectFile>>>,
    /// Memory of the windows; made for the first one, by its size.
    pools: OnceLock<Pools>,
    bytes: AtomicU64,
    /// Why some of the bytes don't come directly.
    reason: OnceLock<String>,
}

impl Reading {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self {
            names: store.specs().names(),
            layouts: store.shards().iter().map(|_| OnceLock::new()).collect(),
            files: Mutex::new(LruCache::new(NonZero::new(MOST_FILES).unwrap_or(NonZero::<usize>::MIN))),
            pools: OnceLock::new(),
            bytes: AtomicU64::new(0),
            reason: OnceLock::new(),
            store,
        }
    }

    /// Bytes that were read from files so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Bytes of memory that windows take now, and that wait for the next one.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.pools.get().map_or(0, Pools::bytes)
    }

    /// Why not all bytes come directly; `None` while they do.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    pub(crate) fn because(&self, reason: impl FnOnce() -> String) {
        self.reason.get_or_init(reason);
    }

    /// Find what these blocks of records are made of. Reads footers of new shards, and the offsets of lists and text.
    pub(crate) fn draft(&self, blocks: &[Range<u64>]) -> Result<Draft, BatchError> {
        let widest = self.store.specs().fixed.iter().map(|spec| spec.row_bytes).max().unwrap_or(1);
        let most_rows = usize::try_from(RUN_BYTES).unwrap_or(usize::MAX) / widest;
        let mut wanted = Wanted::default();
        let mut outlined = Vec::with_capacity(blocks.len());
        for block in blocks {
            let mut outlines = Vec::new();
            for (shard, rows) in self.store.cut(block.clone()) {
                match self.layout(shard)? {
                    Some(layout) => {
                        let cut = layout.cut(rows);
                        for rows in cut.iter().flat_map(|rows| rows.parts(most_rows)) {
                            outlines.push(self.outline(shard, &layout, rows, &mut wanted)?);
                        }
                    }
                    None => outlines.extend(self.mapped(shard, rows)?),
                }
            }
            outlined.push(outlines);
        }
        let (runs, places) = wanted.runs();
        for outline in outlined.iter_mut().flatten() {
            if let Outline::Plain { fixed, ragged, .. } = outline {
                let withins = fixed.iter_mut().chain(ragged.iter_mut().map(|(_, within)| within));
                // Until now the run was the number of the wanted range.
                withins.for_each(|within| *within = places[within.run]);
            }
        }
        let bytes: u64 = runs.iter().map(|run| run.range.end - run.range.start).sum();
        self.pools.get_or_init(|| Pools::new(usize::try_from(bytes + bytes / 4).unwrap_or(usize::MAX)));
        Ok((outlined, runs))
    }

    /// Read one run.
    pub(crate) fn read(&self, run: &Run) -> Result<Buffer, BatchError> {
        let file = self.file(run.shard)?;
        let pools = self.pools.get_or_init(|| Pools::new(0));
        let piece = self.piece(&file, run.range.clone(), pools.of(&run.range))?;
        Ok(bytes_of(piece))
    }

    fn outline(
        &self,
        shard: usize,
        layout: &Arc<PlainShard>,
        rows: PlainRows,
        wanted: &mut Wanted,
    ) -> Result<Outline, BatchError> {
        let fixed = self.store.specs().fixed.len();
        let within = |range| Within { run: wanted.add(shard, range), ..Within::default() };
        let fixed_places = (0..fixed).map(|column| layout.fixed_range(column, &rows)).map(within).collect();
        let mut ragged = Vec::new();
        for column in fixed..self.names.len() {
            let file = self.file(shard)?;
            let pool = BufferPool::new(Alignment::PAGE, 0);
            let offsets = bytes_of(self.piece(&file, layout.offsets_range(column, &rows), &pool)?);
            let items = layout.items_range(column, &rows, &offsets)?;
            ragged.push((offsets, Within { run: wanted.add(shard, items), ..Within::default() }));
        }
        Ok(Outline::Plain { shard: Arc::clone(layout), rows, fixed: fixed_places, ragged })
    }

    /// Take rows of a shard that isn't plain from its mapping.
    fn mapped(&self, shard: usize, rows: Range<u64>) -> Result<Vec<Outline>, BatchError> {
        let held = self.store.hold(|| Ok(vec![(shard, 0)]))?;
        let pieces = held.shard(shard)?.pieces(rows);
        let piece = |((fixed, ragged), rows): (Chunk<'_>, Range<usize>)| {
            let (fixed, ragged) = (fixed.clone(), ragged.clone());
            Outline::Mapped(Piece { first: rows.start, rows: rows.len(), fixed, ragged })
        };
        Ok(pieces.map(piece).collect())
    }

    fn layout(&self, shard: usize) -> Result<Option<Arc<PlainShard>>, BatchError> {
        if let Some(found) = self.layouts[shard].get() {
            return Ok(found.clone());
        }
        // Two threads may read it at once; both find the same.
        let spec = &self.store.shards()[shard];
        let file = Arc::new(DirectFile::open(&spec.path).map_err(|source| unread(&spec.path, source))?);
        let pool = BufferPool::new(Alignment::PAGE, 1 << 20);
        let found = match PlainShard::read(&file, &self.names, &pool)? {
            Ok(plain) => {
                let specs = self.store.specs();
                specs.check(&Specs::of(&plain.schema(), &self.names, &spec.path)?, &spec.path)?;
                if plain.num_rows() != spec.records {
                    let (expected, found) = (spec.records, plain.num_rows());
                    return Err(RecordError::RowCount { path: spec.path.clone(), expected, found }.into());
                }
                self.keep(shard, file);
                Some(Arc::new(plain))
            }
            Err(why) => {
                self.because(|| format!("{} is mapped: {why}", spec.path.display()));
                None
            }
        };
        Ok(self.layouts[shard].get_or_init(|| found).clone())
    }

    fn file(&self, shard: usize) -> Result<Arc<DirectFile>, BatchError> {
        let open = self.files.lock().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned();
        if let Some(file) = open {
            return Ok(file);
        }
        let path = &self.store.shards()[shard].path;
        let found = match self.layouts[shard].get() {
            Some(Some(layout)) => DirectFile::open_again(path, layout.facts()),
            _ => DirectFile::open(path),
        };
        Ok(self.keep(shard, Arc::new(found.map_err(|source| unread(path, source))?)))
    }

    fn keep(&self, shard: usize, file: Arc<DirectFile>) -> Arc<DirectFile> {
        let old = self.files.lock().unwrap_or_else(PoisonError::into_inner).push(shard, Arc::clone(&file));
        drop(old); // closed outside of the lock
        file
    }

    fn piece(
        &self,
        file: &DirectFile,
        range: Range<u64>,
        pool: &BufferPool,
    ) -> Result<DirectPiece, BatchError> {
        let bytes = range.end - range.start;
        let piece = file.read(range, pool).map_err(|source| unread(file.path(), source))?;
        self.bytes.fetch_add(bytes, Relaxed);
        if let Some(reason) = file.reason() {
            self.because(|| format!("{} is read through the page cache: {reason}", file.path().display()));
        }
        Ok(piece)
    }
}

/// Memory in large pages for reads that fill them, in small ones for others.
#[derive(Debug)]
struct Pools {
    large: BufferPool,
    small: BufferPool,
}

impl Pools {
    fn new(max_idle_bytes: usize) -> Self {
        Self {
            large: BufferPool::new(Alignment::HUGE_PAGE, max_idle_bytes),
            small: BufferPool::new(Alignment::PAGE, max_idle_bytes),
        }
    }

    fn of(&self, range: &Range<u64>) -> &BufferPool {
        let bytes = range.end - range.start;
        let filled = Alignment::HUGE_PAGE.round_up(bytes).is_some_and(|whole| whole - bytes <= whole / 4);
        if filled { &self.large } else { &self.small }
    }

    /// Bytes that are out, and that wait for reuse.
    fn bytes(&self) -> u64 {
        let bytes = |pool: &BufferPool| (pool.stats().live_bytes + pool.stats().idle_bytes) as u64;
        bytes(&self.large) + bytes(&self.small)
    }
}

fn unread(path: &std::path::Path, source: IoError) -> BatchError {
    RecordError::Io { path: path.to_owned(), source }.into()
}

/// Ranges of files that a window needs, in the order in which they were asked for.
#[derive(Debug, Default)]
struct Wanted(Vec<Run>);

impl Wanted {
    /// Ask for a range; returns its number.
    fn add(&mut self, shard: usize, range: Range<u64>) -> usize {
        self.0.push(Run { shard, range });
        self.0.len() - 1
    }

    /// Put neighbours together. Returns the reads, in the order in which they are asked for, and where each range lies in
    /// them.
    fn runs(&self) -> (Vec<Run>, Vec<Within>) {
        let mut sorted: Vec<usize> = (0..self.0.len()).collect();
        sorted.sort_by_key(|&number| (self.0[number].shard, self.0[number].range.start));
        let mut runs: Vec<Run> = Vec::new();
        let mut places = vec![Within::default(); self.0.len()];
        for number in sorted {
            let Run { shard, range } = &self.0[number];
            let joined = runs.last_mut().filter(|run| {
                run.shard == *shard
                    && range.start <= run.range.end + NEAR_BYTES
                    && range.end.max(run.range.end) - run.range.start <= RUN_BYTES
            });
            match joined {
                Some(run) => run.range.end = run.range.end.max(range.end),
                None => runs.push(self.0[number].clone()),
            }
            let last = runs.len() - 1;
            // Lengths of memory: a range that doesn't fit fails when it is read.
            let bytes = |from: u64, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
            let start = bytes(runs[last].range.start, range.start);
            places[number] = Within { run: last, start, len: bytes(range.start, range.end) };
        }
        (runs, places)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_range_lies_in_the_run_that_it_is_given(
            ranges in prop::collection::vec((0_usize..3, 0_u64..40 << 20, 0_u64..10 << 20), 0..40),
        ) {
            let mut wanted = Wanted::default();
            for (shard, start, len) in ranges {
                wanted.add(shard, start..start + len);
            }
            let (runs, places) = wanted.runs();
            for (asked, within) in wanted.0.iter().zip(&places) {
                let run = &runs[within.run];
                prop_assert_eq!(run.shard, asked.shard);
                prop_assert_eq!(run.range.start + within.start as u64, asked.range.start);
                prop_assert_eq!(within.len as u64, asked.range.end - asked.range.start);
                prop_assert!(asked.range.end <= run.range.end);
            }
            let longest = wanted.0.iter().map(|run| run.range.end - run.range.start).max().unwrap_or(0);
            prop_assert!(runs.iter().all(|run| run.range.end - run.range.start <= longest.max(RUN_BYTES)));
        }
    }

    #[test]
    fn neighbours_are_one_read() {
        let mut wanted = Wanted::default();
        for start in [8192, 0, 4096, 1 << 20] {
            wanted.add(0, start..start + 4000);
        }
        wanted.add(1, 0..10);
        let runs: Vec<_> = wanted.runs().0.into_iter().map(|run| (run.shard, run.range)).collect();
        assert_eq!(runs, [(0, 0..12_192), (0, 1 << 20..(1 << 20) + 4000), (1, 0..10)]);
    }
}
