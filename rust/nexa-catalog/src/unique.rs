//! No two lines may lead to one shard, and no shard may lie in another: checked for all names at once, in parallel.
//!
//! ```text
//! while lines are parsed: hash each entry's name, and sort a block's hashes by shard (the hash's upper bits);
//!                         note at which names the folder is another than that of the name before
//! for each shard, in parallel:
//!     for each block in order, for each of its names in the shard, in order:
//!         the same name is in the shard's table → a duplicate of the line that is there
//!         otherwise                             → put it in
//! for each block, in parallel:
//!     for each run of names in one folder: look up the folders above it, from the top;
//!         one that is a name → a conflict for each name of the run that is no duplicate
//! sort what was found by place
//! ```
//!
//! 1. Equal names have equal hashes, so they meet in one shard: shards need no locks, and as each goes through its
//!    names in the order of the lines, the first line wins whatever the number of threads.
//! 2. A table has places, not names: 12 bytes a slot. Where the hashes' lower halves agree, the names themselves are
//!    compared, so a collision makes no duplicate and hides none. Elsewhere no name is looked at again: it would be a
//!    cache miss or three.
//! 3. The hash is keyed at random (`RandomState`), so that no catalog can be written whose names collide. Nothing that
//!    is found depends on the key.
//! 4. Folders are hashed on the way down with one hasher, and neighbouring lines mostly share theirs, so that they cost
//!    little, and at most their bytes.

use std::borrow::Cow;
use std::collections::hash_map::{DefaultHasher, RandomState};
use std::hash::{BuildHasher, Hasher};

use rayon::prelude::*;

use crate::entries::Block;
use crate::uri;

const SHARD_BITS: u32 = 6;
const SHARDS: usize = 1 << SHARD_BITS;

/// What is remembered of the names of a block's rows while they are parsed.
pub(crate) struct Collector<'k> {
    key: &'k RandomState,
    hashes: Vec<u64>,
    /// The rows at which a run of one folder starts.
    runs: Vec<u32>,
    folder: String,
}

impl<'k> Collector<'k> {
    pub(crate) fn new(key: &'k RandomState, rows: usize) -> Self {
        Self { key, hashes: Vec::with_capacity(rows), runs: Vec::new(), folder: String::new() }
    }

    /// Add the next row's name.
    pub(crate) fn add(&mut self, name: &str) {
        let slash = memchr::memrchr(b'/', name.as_bytes()).unwrap_or_default();
        let folder = &name[..slash];
        if self.hashes.is_empty() || self.folder != folder {
            self.runs.push(self.hashes.len() as u32);
            folder.clone_into(&mut self.folder);
        }
        let mut hasher = self.key.build_hasher();
        hasher.write(name.as_bytes());
        self.hashes.push(hasher.finish());
    }

    /// Sort the hashes by shard, each shard's in the order of the rows.
    pub(crate) fn finish(self) -> Names {
        let Self { hashes, runs, .. } = self;
        let mut ends = vec![0u32; SHARDS];
        for hash in &hashes {
            ends[shard_of(*hash)] += 1;
        }
        let mut next = vec![0u32; SHARDS];
        let mut start = 0;
        for (next, end) in next.iter_mut().zip(&mut ends) {
            *next = start;
            start += *end;
            *end = start;
        }
        let mut sorted = vec![(0, 0); hashes.len()];
        for (hash, row) in hashes.iter().zip(0..) {
            let place = &mut next[shard_of(*hash)];
            sorted[*place as usize] = (*hash, row);
            *place += 1;
        }
        Names { sorted, ends, runs }
    }
}

/// The hashes of a block's names.
#[derive(Default)]
pub(crate) struct Names {
    /// (hash, row) by shard, within a shard in the order of rows.
    sorted: Vec<(u64, u32)>,
    /// Where each shard ends in it.
    ends: Vec<u32>,
    runs: Vec<u32>,
}

impl Names {
    fn shard(&self, shard: usize) -> &[(u64, u32)] {
        let start = shard.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.sorted[start..self.ends[shard] as usize]
    }
}

fn shard_of(hash: u64) -> usize {
    (hash >> (u64::BITS - SHARD_BITS)) as usize
}

/// A row whose name another line has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Clash {
    pub(crate) block: usize,
    pub(crate) row: usize,
    pub(crate) first_line: u64,
    /// Not the name itself but so many bytes of it, a folder, are the first line's.
    pub(crate) folder_bytes: Option<usize>,
}

/// Find the rows whose names are taken, in their order. `names` are the blocks' own, in the same order.
pub(crate) fn clashes(blocks: &[Block], names: &[Names], key: &RandomState) -> Vec<Clash> {
    let (tables, found): (Vec<Table>, Vec<Vec<Clash>>) =
        (0..SHARDS).into_par_iter().map(|shard| Table::fill(blocks, names, shard)).unzip();
    let mut duplicates = found.concat();
    duplicates.sort_unstable();
    let conflicts: Vec<Vec<Clash>> = (0..blocks.len())
        .into_par_iter()
        .map(|block| {
            let start = duplicates.partition_point(|clash| clash.block < block);
            let own = duplicates[start..].iter().take_while(|clash| clash.block == block);
            let own: Vec<usize> = own.map(|clash| clash.row).collect();
            conflicts(blocks, block, &names[block].runs, &own, &tables, key)
        })
        .collect();
    let mut all = [duplicates, conflicts.concat()].concat();
    all.sort_unstable();
    all
}

fn conflicts(
    blocks: &[Block],
    block: usize,
    runs: &[u32],
    duplicates: &[usize],
    tables: &[Table],
    key: &RandomState,
) -> Vec<Clash> {
    let mut found = Vec::new();
    let ends = runs.iter().skip(1).map(|start| *start as usize).chain([blocks[block].n_rows()]);
    for (start, end) in runs.iter().map(|start| *start as usize).zip(ends) {
        let name = name(&blocks[block], start);
        let Some(slash) = name.rfind('/').filter(|slash| *slash > 0) else { continue };
        let Some((bytes, first_line)) = taken_folder(blocks, &name[..slash], tables, key) else { continue };
        let rows = (start..end).filter(|row| duplicates.binary_search(row).is_err());
        found.extend(rows.map(|row| Clash { block, row, first_line, folder_bytes: Some(bytes) }));
    }
    found
}

/// Find the topmost part of a folder's path that is a shard's name: its length and the shard's line.
fn taken_folder(blocks: &[Block], folder: &str, tables: &[Table], key: &RandomState) -> Option<(usize, u64)> {
    // The hasher takes pieces as one stream, so that a folder's hash is that of the name which equals it.
    let mut hasher: DefaultHasher = key.build_hasher();
    let mut hashed = 0;
    let ends = memchr::memchr_iter(b'/', folder.as_bytes()).filter(|end| *end > 0);
    for end in ends.chain([folder.len()]) {
        hasher.write(&folder.as_bytes()[hashed..end]);
        hashed = end;
        let hash = hasher.finish();
        if let Ok(line) = tables[shard_of(hash)].find(blocks, hash, || Cow::Borrowed(&folder[..end])) {
            return Some((end, line));
        }
    }
    None
}

/// An entry's uri was found sound when its line was parsed.
fn name(block: &Block, row: usize) -> Cow<'_, str> {
    let uri = block.uri(row);
    uri::identity(uri).unwrap_or(Cow::Borrowed(uri))
}

/// Places by the hash of their names: open addressing, at most half full.
struct Table {
    slots: Vec<Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    /// The hash's lower half.
    tag: u32,
    block: u32,
    row: u32,
}

const FREE: Slot = Slot { tag: 0, block: 0, row: u32::MAX };

impl Table {
    fn fill(blocks: &[Block], names: &[Names], shard: usize) -> (Self, Vec<Clash>) {
        let count: usize = names.iter().map(|names| names.shard(shard).len()).sum();
        let mut table = Self { slots: vec![FREE; (2 * count).next_power_of_two()] };
        let mut found = Vec::new();
        for (number, names) in names.iter().enumerate() {
            for (hash, row) in names.shard(shard) {
                let wanted = || name(&blocks[number], *row as usize);
                match table.find(blocks, *hash, wanted) {
                    Ok(first_line) => {
                        found.push(Clash {
                            block: number,
                            row: *row as usize,
                            first_line,
                            folder_bytes: None,
                        });
                    }
                    // A chunk has 2^18 bytes, so a catalog of 2^32 of them has a petabyte.
                    Err(free) => {
                        table.slots[free] = Slot { tag: tag(*hash), block: number as u32, row: *row }
                    }
                }
            }
        }
        (table, found)
    }

    /// Give the line that has the name, or the slot where it would be.
    fn find<'a>(&self, blocks: &[Block], hash: u64, wanted: impl Fn() -> Cow<'a, str>) -> Result<u64, usize> {
        let mask = self.slots.len() - 1;
        // Neither the shard's bits, which all names of the table share, nor only the tag's.
        let mut at = (hash >> 24) as usize & mask;
        loop {
            let Slot { tag: found, block, row } = self.slots[at];
            if row == FREE.row {
                return Err(at);
            }
            let block = &blocks[block as usize];
            if found == tag(hash) && name(block, row as usize) == wanted() {
                return Ok(block.line(row as usize));
            }
            at = (at + 1) & mask;
        }
    }
}

fn tag(hash: u64) -> u32 {
    hash as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Entry;

    fn block(uris: &[&str], lines_before: u64, key: &RandomState) -> (Block, Names) {
        let mut block = Block::default();
        let mut names = Collector::new(key, 0);
        for (uri, line) in uris.iter().zip(1..) {
            block.push(&Entry { line, ..Entry::new(*uri) });
            names.add(uri);
        }
        block.lines_before = lines_before;
        (block, names.finish())
    }

    #[test]
    fn colliding_hashes_make_no_duplicate_and_hide_none() {
        let key = RandomState::new();
        let (blocks, mut names): (Vec<_>, Vec<_>) =
            [block(&["a", "b", "a"], 0, &key), block(&["c", "b", "d", "a"], 3, &key)].into_iter().unzip();
        for constant in [0, 1, u64::MAX] {
            for names in &mut names {
                let hashes = vec![constant; names.sorted.len()];
                *names = Collector { key: &key, hashes, runs: vec![0], folder: String::new() }.finish();
            }
            let found = clashes(&blocks, &names, &key);
            let brief: Vec<_> =
                found.iter().map(|clash| (clash.block, clash.row, clash.first_line)).collect();
            assert_eq!(brief, [(0, 2, 1), (1, 1, 2), (1, 3, 1)]);
        }
    }

    #[test]
    fn a_folder_that_is_a_shard_is_found_above_and_below() {
        let key = RandomState::new();
        let uris = ["x/a/b", "/r/s/t", "x/a", "x/ab", "x/a/b/c", "/r", "x/a"];
        let (block, names) = block(&uris, 0, &key);
        let found = clashes(&[block], &[names], &key);
        let brief: Vec<_> =
            found.iter().map(|clash| (clash.row + 1, clash.first_line, clash.folder_bytes)).collect();
        assert_eq!(brief, [(1, 3, Some(3)), (2, 6, Some(2)), (5, 3, Some(3)), (7, 3, None)]);
    }
}
