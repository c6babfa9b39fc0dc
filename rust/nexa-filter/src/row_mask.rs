//! Which rows of a column pass, a bit each, counted by blocks so that several threads know where to write.

use crate::bits;

/// Rows of a block: what of a narrow column lies in the first-level cache while it is compacted.
pub(crate) const BLOCK_ROWS: usize = 1024;
pub(crate) const BLOCK_WORDS: usize = BLOCK_ROWS / 64;

/// Which rows pass, and how many do before each block.
///
/// ```
/// use nexa_filter::{LabelSet, LabelType, RowMask};
///
/// let labels: Vec<u8> = [7_i32, 1, 3, 3].into_iter().flat_map(i32::to_ne_bytes).collect();
/// let mask = RowMask::of_labels(&LabelSet::new([3, 7]), LabelType::I32, &labels, 1);
/// assert_eq!((mask.rows(), mask.kept()), (4, 3));
/// assert_eq!(mask.numbers(), [0, 2, 3]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowMask {
    /// Bits beyond the last row are zero.
    words: Vec<u64>,
    rows: usize,
    /// Rows kept before each block, and at the end all of them.
    starts: Vec<usize>,
}

impl RowMask {
    /// Count `words`, of which the bits beyond the last row are cleared; there is a word for every 64 rows begun.
    pub(crate) fn of_words(mut words: Vec<u64>, rows: usize) -> Self {
        words.truncate(rows.div_ceil(64));
        if let (Some(last), used @ 1..) = (words.last_mut(), rows % 64) {
            *last &= (1 << used) - 1;
        }
        let mut kept = 0;
        let mut starts = Vec::with_capacity(words.len() / BLOCK_WORDS + 2);
        starts.push(0);
        starts.extend(words.chunks(BLOCK_WORDS).map(|block| {
            kept += block.iter().map(|word| word.count_ones() as usize).sum::<usize>();
            kept
        }));
        Self { words, rows, starts }
    }

    /// Read a mask as Arrow lays it out: a bit a row, the lowest first, from bit `first` on.
    ///
    /// Rows beyond the end of `mask` don't pass.
    #[must_use]
    pub fn of_bits(mask: &[u8], first: usize, rows: usize) -> Self {
        Self::of_words((0..rows.div_ceil(64)).map(|at| bits::word(mask, first + at * 64)).collect(), rows)
    }

    /// Return the rows that don't pass.
    #[must_use]
    pub fn inverted(self) -> Self {
        let Self { words, rows, .. } = self;
        Self::of_words(words.into_iter().map(|word| !word).collect(), rows)
    }

    /// Keep only rows that `valid` has a bit for, from its bit `first` on: those whose label is there.
    #[must_use]
    pub fn valid(self, valid: &[u8], first: usize) -> Self {
        let Self { words, rows, .. } = self;
        let words = words.into_iter().enumerate();
        Self::of_words(words.map(|(at, word)| word & bits::word(valid, first + at * 64)).collect(), rows)
    }

    /// Return the number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Return how many pass.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Return the mask, 64 rows a word, the lowest bit first.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Return the numbers of the rows that pass, ascending.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        let mut numbers = Vec::with_capacity(self.kept());
        for (first, &word) in (0..).step_by(64).zip(&self.words) {
            numbers.extend(bits::ones(word).map(|bit| first + u64::from(bit)));
        }
        numbers
    }

    pub(crate) fn blocks(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Return the number of rows that pass before a block.
    pub(crate) fn start(&self, block: usize) -> usize {
        self.starts[block]
    }
}
