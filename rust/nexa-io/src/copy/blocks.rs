//! How a file is cut into blocks: the page arithmetic of a copy, as pure functions.

use crate::align::Alignment;

/// One piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where it begins in the file: a multiple of the alignment.
    pub offset: u64,
    /// Bytes of the file in it: at least one.
    pub len: usize,
    /// Bytes that a direct read or write of it moves: `len` rounded up to the alignment.
    pub padded: usize,
}

/// A file's blocks, in the order of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    total: u64,
    block_bytes: usize,
    alignment: Alignment,
}

impl Blocks {
    /// Cut `total` bytes into blocks of `block_bytes`, which is rounded up to the alignment and is at least one unit of
    /// it; only the last block may be shorter.
    pub(crate) fn new(total: u64, block_bytes: usize, alignment: Alignment) -> Self {
        let block_bytes = alignment.round_up_len(block_bytes.max(1)).unwrap_or(alignment.bytes());
        Self { total, block_bytes, alignment }
    }

    /// Return the file's length in bytes.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// Return the number of blocks; none for an empty file.
    pub(crate) const fn count(&self) -> u64 {
        self.total.div_ceil(self.block_bytes as u64)
    }

    /// Return the length in memory of the longest block; 0 for an empty file.
    pub(crate) fn longest(&self) -> usize {
        self.get(0).map_or(0, |block| block.padded)
    }

    /// Return the block of that index, or `None` behind the last one.
    pub(crate) fn get(&self, index: u64) -> Option<Block> {
        let offset = index.checked_mul(self.block_bytes as u64).filter(|offset| *offset < self.total)?;
        let len =
            usize::try_from(self.total - offset).map_or(self.block_bytes, |rest| rest.min(self.block_bytes));
        // A block is a multiple of the alignment, so rounding up stays within one.
        let padded = self.alignment.round_up_len(len).unwrap_or(self.block_bytes);
        Some(Block { offset, len, padded })
    }

    /// Return the file's length as direct writes leave it, before the padding is cut off.
    pub(crate) fn padded_total(&self) -> u64 {
        self.alignment.round_up(self.total).unwrap_or(self.total)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_by_table() {
        // Length, block: count, and the last block's offset, length and padded length.
        let table = [
            (0, 4096, 0, None),
            (1, 4096, 1, Some((0, 1, 4096))),
            (4095, 4096, 1, Some((0, 4095, 4096))),
            (4096, 4096, 1, Some((0, 4096, 4096))),
            (4097, 4096, 2, Some((4096, 1, 4096))),
            (4097, 1, 2, Some((4096, 1, 4096))),
            (8191, 4097, 1, Some((0, 8191, 8192))),
            (8193, 4097, 2, Some((8192, 1, 4096))),
            (4 << 20, 4 << 20, 1, Some((0, 4 << 20, 4 << 20))),
            ((4 << 20) + 1, 4 << 20, 2, Some((4 << 20, 1, 4096))),
            (u64::MAX, 1 << 30, 1 << 34, Some((u64::MAX - (1 << 30) + 1, (1 << 30) - 1, 1 << 30))),
        ];
        for (total, block_bytes, count, last) in table {
            let blocks = Blocks::new(total, block_bytes, Alignment::PAGE);
            assert_eq!(blocks.count(), count, "{total} in {block_bytes}");
            let found = count.checked_sub(1).and_then(|index| blocks.get(index));
            let last = last.map(|(offset, len, padded)| Block { offset, len, padded });
            assert_eq!(found, last, "{total} in {block_bytes}");
            assert_eq!(blocks.get(count), None, "{total} in {block_bytes}");
        }
    }

    proptest! {
        #[test]
        fn blocks_tile_the_file_and_are_aligned(total in 0u64..5_000_000, block_bytes in 0usize..70_000, shift in 9u32..15) {
            let alignment = Alignment::new(1usize << shift).unwrap();
            let blocks = Blocks::new(total, block_bytes, alignment);
            let mut end = 0;
            for index in 0..blocks.count() {
                let block = blocks.get(index).unwrap();
                prop_assert_eq!(block.offset, end);
                prop_assert!(alignment.divides(block.offset) && alignment.divides(block.padded as u64));
                prop_assert!(block.len > 0 && block.len <= block.padded && block.padded - block.len < alignment.bytes());
                prop_assert!(index + 1 == blocks.count() || block.len == block.padded);
                end += block.len as u64;
            }
            prop_assert_eq!(end, total);
            prop_assert_eq!(blocks.get(blocks.count()), None);
            prop_assert!(blocks.padded_total() >= total && blocks.padded_total() - total < alignment.bytes() as u64);
        }
    }
}
