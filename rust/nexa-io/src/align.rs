//! Alignment as a type, and the page arithmetic of direct files as pure functions.
//!
//! Some kernels and filesystems accept misaligned direct writes, so "the kernel will say" is no check: what is aligned
//! has to be known before the system call.

use std::fmt;

/// A memory or file alignment in bytes: a power of two, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alignment(usize);

impl Alignment {
    /// 64 bytes: a cache line, the widest vector register, and what Arrow recommends for its buffers.
    pub const CACHE_LINE: Self = Self(64);
    /// 4,096 bytes: what direct I/O needs in memory and in the file on every common block device.
    pub const PAGE: Self = Self(4096);
    /// 2 MiB: a huge page on x86-64 and aarch64; buffers of this alignment ask the kernel for huge pages.
    pub const HUGE_PAGE: Self = Self(2 << 20);

    /// Accept `bytes` if it is a power of two, so never zero.
    #[must_use]
    pub const fn new(bytes: usize) -> Option<Self> {
        if bytes.is_power_of_two() { Some(Self(bytes)) } else { None }
    }

    /// Return the alignment in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0
    }

    /// Say whether a file offset or length is a multiple.
    #[must_use]
    pub const fn divides(self, n: u64) -> bool {
        n & self.mask() == 0
    }

    /// Return the largest multiple that is not above `n`.
    #[must_use]
    pub const fn round_down(self, n: u64) -> u64 {
        n & !self.mask()
    }

    /// Return the smallest multiple that is not below `n`, or `None` where it does not fit.
    #[must_use]
    pub const fn round_up(self, n: u64) -> Option<u64> {
        match n.checked_add(self.mask()) {
            Some(sum) => Some(self.round_down(sum)),
            None => None,
        }
    }

    /// Do as [`round_up`](Self::round_up) for a length in memory.
    #[must_use]
    pub const fn round_up_len(self, n: usize) -> Option<usize> {
        match n.checked_add(self.0 - 1) {
            Some(sum) => Some(sum & !(self.0 - 1)),
            None => None,
        }
    }

    const fn mask(self) -> u64 {
        // usize is at most 64 bits wide on every platform that Rust supports.
        self.0 as u64 - 1
    }
}

impl fmt::Display for Alignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_powers_of_two_are_alignments() {
        for bytes in [0, 3, 12, 4095, usize::MAX] {
            assert_eq!(Alignment::new(bytes), None, "{bytes}");
        }
        assert_eq!(Alignment::new(4096), Some(Alignment::PAGE));
        assert_eq!(Alignment::new(1).map(Alignment::bytes), Some(1));
    }

    #[test]
    fn page_arithmetic_by_table() {
        let last_page = u64::MAX - 4095;
        let table = [
            (0, 0, Some(0)),
            (1, 0, Some(4096)),
            (4095, 0, Some(4096)),
            (4096, 4096, Some(4096)),
            (4097, 4096, Some(8192)),
            (last_page, last_page, Some(last_page)),
            (last_page + 1, last_page, None),
            (u64::MAX, last_page, None),
        ];
        for (n, down, up) in table {
            assert_eq!(Alignment::PAGE.round_down(n), down, "round_down({n})");
            assert_eq!(Alignment::PAGE.round_up(n), up, "round_up({n})");
            assert_eq!(Alignment::PAGE.divides(n), n == down, "divides({n})");
        }
    }

    proptest! {
        #[test]
        fn rounding_brackets_its_argument(shift in 0u32..40, n in any::<u64>()) {
            let alignment = Alignment::new(1usize << shift).unwrap();
            let step = alignment.bytes() as u64;
            let down = alignment.round_down(n);
            prop_assert_eq!(down % step, 0);
            prop_assert!(down <= n && n - down < step);
            match alignment.round_up(n) {
                Some(up) => {
                    prop_assert_eq!(up % step, 0);
                    prop_assert!(up >= n && up - n < step);
                }
                None => prop_assert!(down.checked_add(step).is_none()),
            }
        }

        #[test]
        fn lengths_round_as_offsets_do(shift in 0u32..30, n in 0usize..=usize::MAX / 2) {
            let alignment = Alignment::new(1usize << shift).unwrap();
            prop_assert_eq!(alignment.round_up_len(n).map(|v| v as u64), alignment.round_up(n as u64));
        }
    }
}
