//! The set of allowed labels, in the shape that answers fastest for its span.
//!
//! ```text
//! build:   span = max - min + 1;  few enough bits?  a bitmap over the span : a hash set
//! select:  for each chunk of rows: write every row number, advance by one only where the row is kept; append
//! ```
//!
//! 1. A bitmap over 64 Ki labels is 8 KiB and stays in the first-level cache; beyond that it may take as many bits as
//!    the labels themselves would as a list, so memory stays proportional to what the caller handed in.
//! 2. Labels outside the span read one extra word that is always zero, so the answer has no branch.
//! 3. Selecting has no branch either: at 50 % kept, a mispredicted one would cost more than all the rest.
//! 4. Chunks are compacted in a buffer of the stack, so the result's memory grows with rows kept, not with rows seen.

use std::collections::HashSet;

use crate::hash::LabelHash;
use crate::membership::fill_words;

/// Spans up to this many labels are always a bitmap: 8 KiB.
const ALWAYS_DENSE_BITS: u64 = 64 << 10;
/// A bitmap may have this many bits per label: as much memory as the labels themselves.
const BITS_PER_LABEL: u64 = 64;
/// No bitmap is larger than this: 512 MiB.
const MAX_DENSE_BITS: u64 = 1 << 32;
/// Rows that are compacted at a time.
const CHUNK_ROWS: usize = 1024;

/// A set of allowed labels that turns a column of labels into the rows to keep.
///
/// ```
/// let allowed = nexa_filter::LabelSet::new([3, 7]);
/// assert_eq!(allowed.select(&[7, 1, 3, 3], false), [0, 2, 3]);
/// assert_eq!(allowed.select(&[7, 1, 3, 3], true), [1]);
/// ```
#[derive(Clone, Debug)]
pub struct LabelSet {
    members: Members,
    len: usize,
    span: Option<(i64, i64)>,
}

#[derive(Clone, Debug)]
enum Members {
    Dense(Bitmap),
    Sparse(HashSet<i64, LabelHash>),
}

/// One bit per label from `first` on, and one word of zeros behind for all labels outside.
#[derive(Clone, Debug)]
struct Bitmap {
    first: i64,
    words: Vec<u64>,
}

impl Bitmap {
    fn contains(&self, label: i64) -> bool {
        // Labels below `first` wrap around to huge distances, so one comparison covers both sides.
        let distance = label.wrapping_sub(self.first).cast_unsigned();
        let outside = self.words.len() as u64 - 1;
        let word = self.words[(distance >> 6).min(outside) as usize];
        (word >> (distance & 63)) & 1 == 1
    }

    fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
}

impl LabelSet {
    /// Build the set; duplicates count once, and an empty set allows nothing.
    pub fn new(labels: impl IntoIterator<Item = i64>) -> Self {
        let labels: Vec<i64> = labels.into_iter().collect();
        let span = labels.iter().copied().min().zip(labels.iter().copied().max());
        if let Some(bitmap) = span.and_then(|(low, high)| dense(&labels, low, high)) {
            return Self { len: bitmap.len(), members: Members::Dense(bitmap), span };
        }
        let members: HashSet<i64, LabelHash> = labels.into_iter().collect();
        Self { len: members.len(), members: Members::Sparse(members), span }
    }

    /// Say whether a label is allowed.
    #[must_use]
    pub fn contains(&self, label: i64) -> bool {
        match &self.members {
            Members::Dense(bitmap) => bitmap.contains(label),
            Members::Sparse(labels) => labels.contains(&label),
        }
    }

    /// Return the number of allowed labels.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Say whether no label is allowed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Return the smallest and the largest allowed label; `None` for an empty set.
    ///
    /// A shard whose labels lie outside needs no look at its rows.
    #[must_use]
    pub const fn span(&self) -> Option<(i64, i64)> {
        self.span
    }

    /// Return the rows whose label is allowed, ascending; with `invert`, the others.
    #[must_use]
    pub fn select(&self, labels: &[i64], invert: bool) -> Vec<u64> {
        let mut rows = Vec::new();
        self.select_into(labels, invert, &mut rows);
        rows
    }

    /// Do as [`select`](Self::select), replacing the content of `rows`.
    ///
    /// Handing in the same vector for shard after shard spares the first touch of fresh memory each time.
    pub fn select_into(&self, labels: &[i64], invert: bool, rows: &mut Vec<u64>) {
        rows.clear();
        // The representation is looked at once, not once a row.
        match &self.members {
            Members::Dense(bitmap) => compact(labels, |label| bitmap.contains(label) != invert, rows),
            Members::Sparse(members) => compact(labels, |label| members.contains(&label) != invert, rows),
        }
    }

    /// Return for each row whether its label is allowed; with `invert`, whether it is not.
    #[must_use]
    pub fn mask(&self, labels: &[i64], invert: bool) -> Vec<bool> {
        match &self.members {
            Members::Dense(bitmap) => labels.iter().map(|&label| bitmap.contains(label) != invert).collect(),
            Members::Sparse(members) => {
                labels.iter().map(|label| members.contains(label) != invert).collect()
            }
        }
    }

    /// Fill a bit for each label, by its key, 64 a word.
    pub(crate) fn fill_words<const N: usize>(
        &self,
        labels: &[[u8; N]],
        words: &mut [u64],
        key: impl Fn([u8; N]) -> i64,
    ) {
        match &self.members {
            Members::Dense(bitmap) => fill_words(labels, words, |label| bitmap.contains(key(label))),
            Members::Sparse(members) => fill_words(labels, words, |label| members.contains(&key(label))),
        }
    }

    /// Return how many rows [`select`](Self::select) would return.
    #[must_use]
    pub fn count(&self, labels: &[i64], invert: bool) -> usize {
        let allowed = match &self.members {
            Members::Dense(bitmap) => labels.iter().map(|&label| usize::from(bitmap.contains(label))).sum(),
            Members::Sparse(members) => labels.iter().filter(|label| members.contains(label)).count(),
        };
        if invert { labels.len() - allowed } else { allowed }
    }
}

impl FromIterator<i64> for LabelSet {
    fn from_iter<I: IntoIterator<Item = i64>>(labels: I) -> Self {
        Self::new(labels)
    }
}

/// Build a bitmap over `low..=high`, or `None` where it would be too large for what it holds.
fn dense(labels: &[i64], low: i64, high: i64) -> Option<Bitmap> {
    // i64::MIN..=i64::MAX has 2^64 labels, one more than fits: such a span has no number and no bitmap.
    let bits = high.abs_diff(low).checked_add(1)?;
    let allowed =
        (labels.len() as u64).saturating_mul(BITS_PER_LABEL).clamp(ALWAYS_DENSE_BITS, MAX_DENSE_BITS);
    if bits > allowed {
        return None;
    }
    let mut words = vec![0; usize::try_from(bits.div_ceil(64)).ok()?.checked_add(1)?];
    for label in labels {
        let distance = label.abs_diff(low);
        words[usize::try_from(distance >> 6).ok()?] |= 1 << (distance & 63);
    }
    Some(Bitmap { first: low, words })
}

fn compact(labels: &[i64], keep: impl Fn(i64) -> bool, rows: &mut Vec<u64>) {
    let mut chunk_rows = [0; CHUNK_ROWS];
    let mut first = 0;
    for chunk in labels.chunks(CHUNK_ROWS) {
        let mut kept = 0;
        for (row, &label) in (first..).zip(chunk) {
            // Never wraps (at most CHUNK_ROWS - 1 rows come before this one), but spares the bounds check.
            chunk_rows[kept % CHUNK_ROWS] = row;
            kept += usize::from(keep(label));
        }
        rows.extend_from_slice(&chunk_rows[..kept]);
        first += chunk.len() as u64;
    }
}

#[cfg(test)]
#[path = "label_set_tests.rs"]
mod tests;
