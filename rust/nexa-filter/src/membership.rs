//! A column of labels → which rows are allowed.
//!
//! ```text
//! for each 64 labels:  a byte each (allowed or not), by the cheapest of
//!                      distance <= width         where the allowed labels have no gap
//!                      table[min(distance, end)] where a byte for each label of the span stays in a near cache
//!                      the set itself            else
//!                      then 64 of these become a word
//! ```
//!
//! 1. Labels without a gap (`0..100`) need no memory at all, and the compiler compares many at once.
//! 2. A byte is found by one load; a bit by a load, a shift and a mask. Beyond the near caches the bitmap is used, which is an
//!    eighth as large.
//! 3. There is no branch that depends on a label.

use rayon::prelude::*;

use crate::bits;
use crate::label_set::LabelSet;
use crate::row_mask::RowMask;
use nexa_io::wide::{Work, dispatch};

/// Labels of a span that get a byte each at most: half of a second-level cache.
const TABLE_LABELS: usize = 256 << 10;
/// Spans up to this many always get one; larger ones, where there are so many rows for each of its bytes.
const SMALL_TABLE_LABELS: usize = 512;
const ROWS_PER_ENTRY: usize = 8;

/// What a column of labels is made of, in the machine's byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelType {
    /// 8 bits, signed.
    I8,
    /// 16 bits, signed.
    I16,
    /// 32 bits, signed.
    I32,
    /// 64 bits, signed.
    I64,
    /// 8 bits.
    U8,
    /// 16 bits.
    U16,
    /// 32 bits.
    U32,
    /// 64 bits; those beyond an i64 are asked for as the i64 of the same bits.
    U64,
    /// Asked for by [`float_key`].
    F32,
    /// Asked for by [`float_key`].
    F64,
}

impl LabelType {
    /// Return the bytes of a label.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

/// Return the number under which a [`LabelSet`] knows a float: its bits, those of zero for both zeros.
#[must_use]
pub const fn float_key(label: f64) -> i64 {
    // -0.0 + 0.0 is 0.0, and all else stays as it is.
    (label + 0.0).to_bits().cast_signed()
}

impl RowMask {
    /// Say for each row whether its label is allowed.
    ///
    /// `labels` is a column's memory; a row that is there only in part doesn't count. With more than one thread they are those of the
    /// process's pool, and the result is the same.
    #[must_use]
    pub fn of_labels(allowed: &LabelSet, kind: LabelType, labels: &[u8], threads: usize) -> Self {
        let rows = labels.len() / kind.bytes();
        let mut words = vec![0; rows.div_ceil(64)];
        let part = words.len().div_ceil(threads.max(1)).max(1);
        let parts = words.chunks_mut(part).zip(labels.chunks(part * 64 * kind.bytes()));
        match nexa_io::threads::pool() {
            Ok(pool) if threads > 1 && rows >= MANY_ROWS => {
                let parts: Vec<_> = parts.collect();
                pool.install(|| {
                    parts.into_par_iter().for_each(|(words, labels)| fill(allowed, kind, labels, words));
                });
            }
            _ => parts.for_each(|(words, labels)| fill(allowed, kind, labels, words)),
        }
        Self::of_words(words, rows)
    }
}

/// Rows from which on other threads help: below, waking them takes longer than the work.
pub(crate) const MANY_ROWS: usize = 64 << 10;

fn fill(allowed: &LabelSet, kind: LabelType, labels: &[u8], words: &mut [u64]) {
    macro_rules! numbers {
        ($number:ty) => {
            fill_keys(allowed, labels, words, |label| {
                #[allow(clippy::cast_lossless, reason = "no cast from u64 to i64 is")]
                let key = <$number>::from_ne_bytes(label) as i64;
                key
            })
        };
    }
    match kind {
        LabelType::I8 => numbers!(i8),
        LabelType::I16 => numbers!(i16),
        LabelType::I32 => numbers!(i32),
        LabelType::I64 => numbers!(i64),
        LabelType::U8 => numbers!(u8),
        LabelType::U16 => numbers!(u16),
        LabelType::U32 => numbers!(u32),
        LabelType::U64 => numbers!(u64),
        LabelType::F32 => {
            fill_keys(allowed, labels, words, |label| float_key(f32::from_ne_bytes(label).into()));
        }
        LabelType::F64 => fill_keys(allowed, labels, words, |label| float_key(f64::from_ne_bytes(label))),
    }
}

/// Choose how to ask, once.
fn fill_keys<const N: usize>(
    allowed: &LabelSet,
    labels: &[u8],
    words: &mut [u64],
    key: impl Fn([u8; N]) -> i64,
) {
    let (labels, _) = labels.as_chunks::<N>();
    let Some((low, high)) = allowed.span() else { return };
    let width = high.abs_diff(low);
    let distance = |label| key(label).wrapping_sub(low).cast_unsigned();
    // The table is made for this column: it must be worth it.
    let most = TABLE_LABELS.min(labels.len() / ROWS_PER_ENTRY).max(SMALL_TABLE_LABELS);
    if width == allowed.len() as u64 - 1 {
        fill_words(labels, words, |label| distance(label) <= width);
    } else if width < most as u64 {
        let mut table: Vec<bool> =
            (0..=width).map(|at| allowed.contains(low.wrapping_add_unsigned(at))).collect();
        table.push(false);
        let table = table.as_slice();
        fill_words(labels, words, |label| table[(distance(label).min(table.len() as u64 - 1)) as usize]);
    } else {
        allowed.fill_words(labels, words, key);
    }
}

pub(crate) fn fill_words<const N: usize>(
    labels: &[[u8; N]],
    words: &mut [u64],
    keep: impl Fn([u8; N]) -> bool,
) {
    dispatch(Words { labels, words, keep });
}

struct Words<'a, const N: usize, Keep> {
    labels: &'a [[u8; N]],
    words: &'a mut [u64],
    keep: Keep,
}

impl<const N: usize, Keep: Fn([u8; N]) -> bool> Work for Words<'_, N, Keep> {
    #[inline(always)]
    fn run(self) {
        let (whole, rest) = self.labels.as_chunks::<64>();
        let (full, last) = self.words.split_at_mut(whole.len());
        for (labels, word) in whole.iter().zip(full) {
            *word = word_of(labels.as_slice(), &self.keep);
        }
        if let Some(word) = last.first_mut() {
            *word = word_of(rest, &self.keep);
        }
    }
}

/// Return the bits of up to 64 labels; eight at a time, which the compiler makes one straight line of.
#[inline(always)]
fn word_of<const N: usize>(labels: &[[u8; N]], keep: &impl Fn([u8; N]) -> bool) -> u64 {
    let mut bytes = [0; 8];
    for (byte, eight) in bytes.iter_mut().zip(labels.chunks(8)) {
        let mut flags = [0; 8];
        for (flag, label) in flags.iter_mut().zip(eight) {
            *flag = u8::from(keep(*label));
        }
        *byte = bits::pack(flags);
    }
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
