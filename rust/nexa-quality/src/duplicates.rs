//! Which rows are equal: within a split, across splits, and with other labels.
//!
//! ```text
//! add:     (hash, label, split and row) of each row goes to one of 256 parts, by the hash's first byte
//!          beyond the memory bound: all parts are appended to files, and go on empty
//! finish:  part by part, on all threads: sort by hash; equal hashes lie side by side
//! ```
//!
//! Sorted parts of a few thousand rows stay in the cache; 10^8 rows take 3.2 GB on disk and, part by part, 13 MB of memory.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;

use nexa_io::threads;
use rayon::prelude::*;
use tempfile::TempDir;

use crate::error::QualityError;

const PARTS: usize = 256;
const ENTRY_BYTES: usize = 32;
/// Groups and pairs that are told of.
const TOLD: usize = 20;
/// Rows of a group that are told of.
const TOLD_ROWS: usize = 5;
const ROW_BITS: u32 = 56;

/// Where a row is: its split and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the split.
    pub split: u8,
    /// Number of the row in it.
    pub row: u64,
    /// Its label's key.
    pub label: u64,
}

/// Some rows of equal features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Rows of the group.
    pub count: u64,
    /// The first of them.
    pub rows: Vec<Place>,
}

/// Rows of one split that another has too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The later split.
    pub split: u8,
    /// The earlier one.
    pub other: u8,
    /// Rows of `split` that `other` has.
    pub rows: u64,
    /// Some of them, each with its first twin.
    pub samples: Vec<(Place, Place)>,
}

/// What rows are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Of each split: rows that an earlier row of the same split equals.
    pub duplicates: Vec<u64>,
    /// Of each split: rows with a twin, in any split, of another label.
    pub conflicts: Vec<u64>,
    /// The largest groups within a split.
    pub groups: Vec<Group>,
    /// The first groups of more than one label.
    pub conflict_groups: Vec<Group>,
    /// Pairs of splits that share rows.
    pub leaks: Vec<Leak>,
}

#[derive(Clone, Copy)]
struct Entry {
    hash: u128,
    label: u64,
    place: u64,
}

impl Entry {
    const fn at(&self) -> Place {
        let split = (self.place >> ROW_BITS) as u8;
        Place { split, row: self.place & ((1 << ROW_BITS) - 1), label: self.label }
    }

    fn bytes(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..16].copy_from_slice(&self.hash.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.label.to_le_bytes());
        bytes[24..].copy_from_slice(&self.place.to_le_bytes());
        bytes
    }

    fn of(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        Self { hash: u128::from(word(0)) | u128::from(word(8)) << 64, label: word(16), place: word(24) }
    }
}

/// Gathers the hashes of rows, and finds those that are equal.
pub struct Duplicates {
    bound: usize,
    folder: PathBuf,
    parts: Vec<Vec<Entry>>,
    held: usize,
    spilled: Option<TempDir>,
}

impl Duplicates {
    /// Make one.
    ///
    /// # Args
    ///
    /// - `bound`: bytes of memory beyond which hashes go to disk.
    /// - `folder`: where they go then, in a folder of their own that goes away with this.
    #[must_use]
    pub fn new(bound: usize, folder: PathBuf) -> Self {
        let parts = (0..PARTS).map(|_| Vec::new()).collect();
        Self { bound, folder, parts, held: 0, spilled: None }
    }

    /// Take in some rows of a split, the first of which has number `first` there.
    ///
    /// # Errors
    /// [`QualityError::Spill`] if the disk is full.
    pub fn add(
        &mut self,
        split: u8,
        first: u64,
        hashes: &[u128],
        labels: Option<&[u64]>,
    ) -> Result<(), QualityError> {
        let base = u64::from(split) << ROW_BITS;
        for (at, &hash) in hashes.iter().enumerate() {
            let label = labels.map_or(0, |labels| labels[at]);
            let part = (hash >> 120) as usize;
            self.parts[part].push(Entry { hash, label, place: base | (first + at as u64) });
        }
        self.held += hashes.len();
        if self.held * ENTRY_BYTES > self.bound { self.spill() } else { Ok(()) }
    }

    /// Find the rows that are equal, of splits 0 to `splits` - 1; of two that share rows the later leaks.
    ///
    /// # Errors
    /// [`QualityError::Spill`] if what was put aside can't be read, [`QualityError::Io`] without threads.
    pub fn finish(mut self, splits: u8) -> Result<Found, QualityError> {
        let splits = usize::from(splits);
        if self.spilled.is_some() {
            self.spill()?;
        }
        let parts = std::mem::take(&mut self.parts);
        let pool = threads::pool().map_err(QualityError::Io)?;
        let found: Result<Vec<Search>, QualityError> = pool.install(|| {
            let searched = parts.into_par_iter().enumerate().map(|(part, entries)| {
                let entries = if self.spilled.is_some() { self.read(part)? } else { entries };
                Ok(Search::of(entries, splits))
            });
            searched.collect()
        });
        let mut whole = Search::new(splits);
        for part in found? {
            whole.merge(part);
        }
        Ok(whole.told())
    }

    fn spill(&mut self) -> Result<(), QualityError> {
        let failed = |source| QualityError::Spill { path: self.folder.clone(), source };
        if self.spilled.is_none() {
            let folder = tempfile::Builder::new().prefix(".row-hashes-").tempdir_in(&self.folder);
            self.spilled = Some(folder.map_err(failed)?);
        }
        let Some(folder) = &self.spilled else { return Ok(()) };
        let mut bytes = Vec::new();
        let filled = self.parts.iter_mut().enumerate().filter(|(_, part)| !part.is_empty());
        for (number, part) in filled {
            bytes.clear();
            part.iter().for_each(|entry| bytes.extend_from_slice(&entry.bytes()));
            part.clear();
            let path = folder.path().join(number.to_string());
            let file = File::options().create(true).append(true).open(path);
            file.and_then(|mut file| file.write_all(&bytes)).map_err(failed)?;
        }
        self.held = 0;
        Ok(())
    }

    fn read(&self, part: usize) -> Result<Vec<Entry>, QualityError> {
        let failed = |source| QualityError::Spill { path: self.folder.clone(), source };
        let Some(folder) = &self.spilled else { return Ok(Vec::new()) };
        let mut bytes = Vec::new();
        match File::open(folder.path().join(part.to_string())) {
            Ok(mut file) => file.read_to_end(&mut bytes).map_err(failed)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        Ok(bytes.as_chunks().0.iter().map(Entry::of).collect())
    }
}

/// What was found in some parts.
struct Search {
    duplicates: Vec<u64>,
    conflicts: Vec<u64>,
    groups: Vec<Group>,
    conflict_groups: Vec<Group>,
    /// By split and other split.
    leaks: Vec<(u64, Vec<(Place, Place)>)>,
}

impl Search {
    fn new(splits: usize) -> Self {
        Self {
            duplicates: vec![0; splits],
            conflicts: vec![0; splits],
            groups: Vec::new(),
            conflict_groups: Vec::new(),
            leaks: vec![(0, Vec::new()); splits * splits],
        }
    }

    fn of(mut entries: Vec<Entry>, splits: usize) -> Self {
        let mut found = Self::new(splits);
        entries.sort_unstable_by_key(|entry| (entry.hash, entry.place));
        for group in entries.chunk_by(|a, b| a.hash == b.hash).filter(|group| group.len() > 1) {
            found.take(group, splits);
        }
        found.trim();
        found
    }

    /// Take in rows of one hash, in the order of splits and rows.
    fn take(&mut self, group: &[Entry], splits: usize) {
        let by_split: Vec<&[Entry]> = group.chunk_by(|a, b| a.at().split == b.at().split).collect();
        for (number, rows) in by_split.iter().enumerate() {
            let split = usize::from(rows[0].at().split);
            self.duplicates[split] += rows.len() as u64 - 1;
            if rows.len() > 1 {
                self.groups.push(told(rows));
            }
            for others in &by_split[..number] {
                let other = usize::from(others[0].at().split);
                let (count, samples) = &mut self.leaks[split * splits + other];
                *count += rows.len() as u64;
                samples.push((rows[0].at(), others[0].at()));
            }
        }
        if group.iter().any(|entry| entry.label != group[0].label) {
            for entry in group {
                self.conflicts[usize::from(entry.at().split)] += 1;
            }
            // One row of each label comes first: that is what is to be seen.
            let mut rows = group.to_vec();
            rows.sort_by_key(|entry| {
                (
                    group.iter().find(|each| each.label == entry.label).map(|each| each.place)
                        != Some(entry.place),
                    entry.place,
                )
            });
            self.conflict_groups.push(told(&rows));
        }
        if self.groups.len() + self.conflict_groups.len() > 4096 {
            self.trim();
        }
    }

    fn merge(&mut self, other: Self) {
        let add =
            |ours: &mut Vec<u64>, theirs: &[u64]| ours.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        add(&mut self.duplicates, &other.duplicates);
        add(&mut self.conflicts, &other.conflicts);
        self.groups.extend(other.groups);
        self.conflict_groups.extend(other.conflict_groups);
        for ((count, samples), (more, others)) in self.leaks.iter_mut().zip(other.leaks) {
            *count += more;
            samples.extend(others);
        }
        self.trim();
    }

    /// Keep what is told of: whatever the parts and their order, the same.
    fn trim(&mut self) {
        self.groups.sort_by_key(|group| (std::cmp::Reverse(group.count), group.rows.first().copied()));
        self.groups.truncate(TOLD);
        self.conflict_groups.sort_by_key(|group| group.rows.first().copied());
        self.conflict_groups.truncate(TOLD);
        for (_, samples) in &mut self.leaks {
            samples.sort_unstable();
            samples.truncate(TOLD);
        }
    }

    fn told(self) -> Found {
        let splits = self.duplicates.len();
        let leaks = self.leaks.into_iter().enumerate().filter(|(_, (count, _))| *count > 0);
        #[expect(clippy::cast_possible_truncation, reason = "splits are numbered by bytes")]
        let leak = |(pair, (rows, samples)): (usize, (u64, Vec<_>))| Leak {
            split: (pair / splits) as u8,
            other: (pair % splits) as u8,
            rows,
            samples,
        };
        Found {
            leaks: leaks.map(leak).collect(),
            duplicates: self.duplicates,
            conflicts: self.conflicts,
            groups: self.groups,
            conflict_groups: self.conflict_groups,
        }
    }
}

fn told(rows: &[Entry]) -> Group {
    Group { count: rows.len() as u64, rows: rows.iter().take(TOLD_ROWS).map(Entry::at).collect() }
}

#[cfg(test)]
#[path = "duplicates_tests.rs"]
mod tests;
