//! The rows that pass, side by side: fixed-width columns compacted into memory that the caller brings.
//!
//! ```text
//! few rows pass:   their numbers once, then for each column: row by number
//! else, by block:  narrow rows (up to 8 bytes):  side by side in a buffer of the stack (see `compress`); then stream whole
//!                                                lines to the target
//!                  wide rows:                    their numbers in the block; then stream each, asking for one a few ahead
//!                  all of a block kept:          stream it as it lies
//! ```
//!
//! 1. Each column and each part of the rows is a task of its own: the mask has counted what comes before every block, so all write
//!    at once, to places that don't overlap.
//! 2. No branch depends on a row: at 50 % kept, a mispredicted one would cost more than all the rest.
//! 3. Large results are written past the caches (see `stream`), in whole lines; small ones stay in them, for who reads them next.

use std::ops::Range;

use rayon::prelude::*;

use crate::bits;
use crate::compress;
use crate::membership::MANY_ROWS;
use crate::row_mask::{BLOCK_ROWS, BLOCK_WORDS, RowMask};
use crate::stream;

/// Below one row in so many, rows are found by number.
const SPARSE: usize = 8;
/// Results from which on lines are written past the caches: beyond what a core's own caches hold.
const STREAM_BYTES: usize = 4 << 20;
const LINE: usize = 64;
/// Wide rows that are asked for ahead: rows that are left out make gaps that the hardware's prefetcher doesn't follow.
const AHEAD_ROWS: usize = 16;

/// A column of rows of one width, side by side, and where those that pass go.
#[derive(Debug)]
pub struct Column<'a> {
    /// Rows as they lie: at least as many as the mask has.
    pub values: &'a [u8],
    /// Bytes of a row, not 0.
    pub width: usize,
    /// Memory for exactly the rows that pass.
    pub target: &'a mut [u8],
}

/// Some blocks of a column.
struct Task<'a> {
    values: &'a [u8],
    width: usize,
    target: &'a mut [u8],
    blocks: Range<usize>,
    stream: bool,
}

impl RowMask {
    /// Copy the rows that pass of every column to its target.
    ///
    /// With more than one thread they are those of the process's pool, and the result is the same.
    ///
    /// # Panics
    /// If a column has fewer rows than the mask, or its target not exactly those that pass.
    pub fn take(&self, columns: Vec<Column<'_>>, threads: usize) {
        let rows = if self.kept() * SPARSE < self.rows() { Some(self.numbers()) } else { None };
        let threads = if self.rows() < MANY_ROWS { 1 } else { threads.max(1) };
        let mut tasks = Vec::with_capacity(columns.len() * threads);
        for column in columns {
            assert!(column.values.len() / column.width >= self.rows(), "a column is shorter than the mask");
            assert_eq!(column.target.len(), self.kept() * column.width, "the target isn't of the rows kept");
            self.part(column, threads, &mut tasks);
        }
        let run = |task: Task<'_>| {
            match &rows {
                Some(rows) => {
                    let range = self.start(task.blocks.start)..self.start(task.blocks.end);
                    by_width(ByNumber(&rows[range]), task);
                }
                None => by_width(ByBlock(self), task),
            }
            stream::finish();
        };
        match nexa_io::threads::pool() {
            Ok(pool) if threads > 1 => pool.install(|| tasks.into_par_iter().for_each(run)),
            _ => tasks.into_iter().for_each(run),
        }
    }

    /// Return the bits of `mask`, from its bit `first` on, of the rows that pass, in whole bytes.
    #[must_use]
    pub fn take_bits(&self, mask: &[u8], first: usize) -> Vec<u8> {
        bits::take(mask, first, self.words(), self.kept())
    }

    fn part<'a>(&self, column: Column<'a>, parts: usize, tasks: &mut Vec<Task<'a>>) {
        let Column { values, width, target: mut rest } = column;
        let stream = rest.len() >= STREAM_BYTES;
        let each = self.blocks().div_ceil(parts).max(1);
        for first in (0..self.blocks()).step_by(each) {
            let blocks = first..(first + each).min(self.blocks());
            let kept = self.start(blocks.end) - self.start(blocks.start);
            let (target, behind) = rest.split_at_mut(kept * width);
            rest = behind;
            tasks.push(Task { values, width, target, blocks, stream });
        }
    }

    fn block_words(&self, block: usize) -> &[u64] {
        let words = self.words();
        &words[block * BLOCK_WORDS..((block + 1) * BLOCK_WORDS).min(words.len())]
    }
}

/// A way to copy rows, compiled for the widths that are usual.
trait Copy {
    fn fixed<const N: usize>(self, task: Task<'_>);

    fn any(self, task: Task<'_>);
}

/// Copy rows by number: row `rows[i]` of `values` to row i of `target`.
///
/// # Panics
/// If `values` ends before one of the rows, or `target` is not of exactly so many rows of `width` bytes.
pub fn copy_rows(values: &[u8], width: usize, rows: &[u64], target: &mut [u8]) {
    assert_eq!(target.len(), rows.len() * width, "the target isn't of the rows");
    by_width(ByNumber(rows), Task { values, width, target, blocks: 0..0, stream: false });
}

fn by_width(copy: impl Copy, task: Task<'_>) {
    match task.width {
        1 => copy.fixed::<1>(task),
        2 => copy.fixed::<2>(task),
        4 => copy.fixed::<4>(task),
        8 => copy.fixed::<8>(task),
        16 => copy.fixed::<16>(task),
        32 => copy.fixed::<32>(task),
        64 => copy.fixed::<64>(task),
        128 => copy.fixed::<128>(task),
        256 => copy.fixed::<256>(task),
        512 => copy.fixed::<512>(task),
        _ => copy.any(task),
    }
}

struct ByNumber<'a>(&'a [u64]);

impl Copy for ByNumber<'_> {
    fn fixed<const N: usize>(self, task: Task<'_>) {
        let (rows, _) = task.values.as_chunks::<N>();
        let (targets, _) = task.target.as_chunks_mut::<N>();
        for (to, &row) in targets.iter_mut().zip(self.0) {
            *to = rows[row as usize];
        }
    }

    fn any(self, task: Task<'_>) {
        let width = task.width;
        for (to, &row) in task.target.chunks_exact_mut(width).zip(self.0) {
            to.copy_from_slice(&task.values[row as usize * width..][..width]);
        }
    }
}

struct ByBlock<'a>(&'a RowMask);

impl Copy for ByBlock<'_> {
    fn fixed<const N: usize>(self, task: Task<'_>) {
        if N <= 8 { self.narrow::<N>(task) } else { self.wide::<N>(task) }
    }

    fn any(self, task: Task<'_>) {
        let Task { values, width, mut target, blocks, .. } = task;
        for block in blocks {
            for (word, &keep) in (block * BLOCK_WORDS..).zip(self.0.block_words(block)) {
                for bit in bits::ones(keep) {
                    let to;
                    (to, target) = target.split_at_mut(width);
                    to.copy_from_slice(&values[(word * 64 + bit as usize) * width..][..width]);
                }
            }
        }
    }
}

impl ByBlock<'_> {
    fn wide<const N: usize>(self, task: Task<'_>) {
        let Task { values, target, blocks, stream, .. } = task;
        let (rows, _) = values.as_chunks::<N>();
        let (mut targets, _) = target.as_chunks_mut::<N>();
        let mut kept = [0; BLOCK_ROWS];
        for block in blocks {
            let len = numbers(self.0.block_words(block), &mut kept);
            let kept = &kept[..len];
            let rows = &rows[block * BLOCK_ROWS..];
            let to;
            (to, targets) = targets.split_at_mut(len);
            let ahead = kept.get(AHEAD_ROWS..).unwrap_or_default();
            let ahead = ahead.iter().chain(std::iter::repeat_n(&0, AHEAD_ROWS));
            for ((to, &row), &next) in to.iter_mut().zip(kept).zip(ahead) {
                nexa_io::prefetch(&rows[usize::from(next)]);
                put(to, &rows[usize::from(row)], stream);
            }
        }
    }

    fn narrow<const N: usize>(self, task: Task<'_>) {
        let Task { values, target, blocks, stream, .. } = task;
        let (rows, _) = values.as_chunks::<N>();
        let mut lines = Lines::<N> { held: [[0; N]; HELD_ROWS], len: 0, target, stream };
        for block in blocks {
            let keep = self.0.block_words(block);
            let first = block * BLOCK_ROWS;
            let rows = &rows[first..self.0.rows().min(first + BLOCK_ROWS)];
            lines.len = compress::append(rows, keep, &mut lines.held, lines.len);
            lines.write(false);
        }
        lines.write(true);
    }
}

/// Write the numbers of the rows that a block keeps, and return how many they are.
#[inline(always)]
fn numbers(words: &[u64], kept: &mut [u16; BLOCK_ROWS]) -> usize {
    let mut len = 0;
    for (first, &word) in (0..).step_by(64).zip(words) {
        let mut word = word;
        for row in first..first + 64 {
            // Never wraps (at most BLOCK_ROWS - 1 rows come before this one), but spares the bounds check.
            kept[len % BLOCK_ROWS] = row;
            len += (word & 1) as usize;
            word >>= 1;
        }
    }
    len
}

/// Rows held back: a block's, what of a line was left of the one before, and some that are written in vain.
const HELD_ROWS: usize = 2 * BLOCK_ROWS;

/// Collects rows and writes whole lines.
struct Lines<'a, const N: usize> {
    held: [[u8; N]; HELD_ROWS],
    len: usize,
    target: &'a mut [u8],
    stream: bool,
}

impl<const N: usize> Lines<'_, N> {
    /// Write up to the last whole line of the target, or all.
    fn write(&mut self, all: bool) {
        let end = self.target.as_ptr().addr() + self.len * N;
        let back = if all { 0 } else { (end % LINE / N).min(self.len) };
        let ready = self.len - back;
        let target = std::mem::take(&mut self.target);
        let (to, rest) = target.split_at_mut(ready * N);
        put(to, self.held[..ready].as_flattened(), self.stream);
        self.target = rest;
        self.held.copy_within(ready..self.len, 0);
        self.len = back;
    }
}

#[inline(always)]
fn put(to: &mut [u8], from: &[u8], stream: bool) {
    if stream { stream::copy(to, from) } else { to.copy_from_slice(from) }
}

#[cfg(test)]
#[path = "take_tests.rs"]
mod tests;
