//! Owned heap memory whose alignment is part of its type: what direct I/O and zero-copy tensors stand on.
#![expect(unsafe_code, reason = "aligned allocation goes through std::alloc and raw pointers")]

use std::alloc::{Layout, alloc, dealloc};
use std::fmt;
use std::num::NonZero;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

use crate::align::Alignment;
use crate::error::IoError;

/// An owned, aligned, initialised block of bytes.
///
/// `len` bytes are shown as a slice; `capacity` is `len` rounded up to the alignment, so that a direct read or write
/// of the last, partial page has room. A zero-length buffer holds no memory.
pub struct AlignedBuf {
    pointer: NonNull<u8>,
    len: usize,
    /// Size and alignment of the allocation; size zero means that there is none.
    layout: Layout,
}

// SAFETY: the buffer owns its memory exclusively, as Vec<u8> does, and hands out references only through &self and
// &mut self; bytes have no thread affinity.
unsafe impl Send for AlignedBuf {}
// SAFETY: as above; &self gives shared reads only.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// Allocate `len` zeroed bytes at a multiple of `alignment`.
    ///
    /// The whole capacity is written, so its pages are really there afterwards.
    ///
    /// # Errors
    /// [`IoError::OutOfMemory`] where the allocator refuses or the size does not fit the address space.
    pub fn zeroed(len: usize, alignment: Alignment) -> Result<Self, IoError> {
        let refused = || IoError::OutOfMemory { bytes: len, alignment: alignment.bytes() };
        let capacity = alignment.round_up_len(len).ok_or_else(refused)?;
        let layout = Layout::from_size_align(capacity, alignment.bytes()).map_err(|_| refused())?;
        if capacity == 0 {
            // Never dereferenced: it only has to be aligned and not null, which an alignment as an address is.
            let address = NonZero::new(alignment.bytes()).ok_or_else(refused)?;
            return Ok(Self { pointer: NonNull::without_provenance(address), len, layout });
        }
        // SAFETY: the layout's size is not zero.
        let pointer = NonNull::new(unsafe { alloc(layout) }).ok_or_else(refused)?;
        advise_huge_pages(pointer, layout);
        // SAFETY: `pointer` was just allocated with `capacity` bytes and nobody else knows it.
        unsafe { pointer.write_bytes(0, capacity) };
        Ok(Self { pointer, len, layout })
    }

    /// Return the number of bytes shown.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Say whether no byte is shown.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Return the number of bytes allocated: a multiple of the alignment.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.layout.size()
    }

    /// Return the alignment that the buffer was made with.
    #[must_use]
    pub fn alignment(&self) -> Alignment {
        // A layout's alignment is a power of two by its own contract.
        Alignment::new(self.layout.align()).unwrap_or(Alignment::CACHE_LINE)
    }

    /// Return the address of the first byte; dangling but aligned where the capacity is zero.
    #[must_use]
    pub const fn as_ptr(&self) -> *const u8 {
        self.pointer.as_ptr()
    }

    /// Return the address of the first byte for writing, as [`as_ptr`](Self::as_ptr).
    #[must_use]
    pub const fn as_mut_ptr(&mut self) -> *mut u8 {
        self.pointer.as_ptr()
    }

    /// Return the bytes.
    #[must_use]
    pub const fn as_slice(&self) -> &[u8] {
        // SAFETY: the pointer is aligned and valid for `capacity >= len` initialised bytes (or dangling with len 0),
        // and stays so while &self lives.
        unsafe { slice::from_raw_parts(self.pointer.as_ptr(), self.len) }
    }

    /// Return the bytes for writing.
    #[must_use]
    pub const fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`; &mut self makes the access exclusive.
        unsafe { slice::from_raw_parts_mut(self.pointer.as_ptr(), self.len) }
    }

    /// Show `len` bytes, as many as the capacity at most; bytes that become visible hold what was last written there.
    ///
    /// Returns whether `len` fitted; if not, nothing changes.
    pub const fn set_len(&mut self, len: usize) -> bool {
        // Sound for any length within the capacity: all of it was initialised at construction.
        let fits = len <= self.layout.size();
        if fits {
            self.len = len;
        }
        fits
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.layout.size() != 0 {
            // SAFETY: the memory came from `alloc` with this very layout and is freed once.
            unsafe { dealloc(self.pointer.as_ptr(), self.layout) };
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuf")
            .field("len", &self.len)
            .field("capacity", &self.capacity())
            .field("alignment", &self.layout.align())
            .finish_non_exhaustive()
    }
}

/// Ask for huge pages where the alignment says that they are wanted: fewer page faults and TLB misses on big batches.
#[cfg(target_os = "linux")]
fn advise_huge_pages(pointer: NonNull<u8>, layout: Layout) {
    if layout.align() >= Alignment::HUGE_PAGE.bytes() {
        // A refusal (a kernel without transparent huge pages) changes speed only.
        // SAFETY: the range is exactly our own allocation, and this advice never changes memory's content.
        let _ = unsafe {
            rustix::mm::madvise(pointer.as_ptr().cast(), layout.size(), rustix::mm::Advice::LinuxHugepage)
        };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_pointer: NonNull<u8>, _layout: Layout) {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_buffer_is_an_empty_slice() {
        let mut buffer = AlignedBuf::zeroed(0, Alignment::PAGE).unwrap();
        assert_eq!((buffer.len(), buffer.capacity()), (0, 0));
        assert!(buffer.is_empty() && buffer.as_slice().is_empty() && buffer.as_mut_slice().is_empty());
        assert!(buffer.as_ptr().addr().is_multiple_of(4096));
        assert!(!buffer.set_len(1));
    }

    #[test]
    fn a_size_beyond_the_address_space_is_an_error_not_an_abort() {
        for len in [usize::MAX, isize::MAX as usize] {
            let error = AlignedBuf::zeroed(len, Alignment::PAGE).unwrap_err();
            assert!(matches!(error, IoError::OutOfMemory { bytes, alignment: 4096 } if bytes == len));
        }
    }

    #[test]
    fn a_huge_page_buffer_is_zeroed_and_writable() {
        let mut buffer = AlignedBuf::zeroed((2 << 20) + 1, Alignment::HUGE_PAGE).unwrap();
        assert_eq!(buffer.capacity(), 4 << 20);
        assert!(buffer.iter().all(|&byte| byte == 0));
        buffer[2 << 20] = 7;
        assert_eq!(buffer.last(), Some(&7));
    }

    proptest! {
        #[test]
        fn every_buffer_is_aligned_zeroed_and_rounded_up(shift in 0u32..16, len in 0usize..50_000) {
            let alignment = Alignment::new(1usize << shift).unwrap();
            let mut buffer = AlignedBuf::zeroed(len, alignment).unwrap();
            prop_assert_eq!(buffer.as_ptr().addr() % alignment.bytes(), 0);
            prop_assert_eq!(buffer.alignment(), alignment);
            prop_assert_eq!(Some(buffer.capacity()), alignment.round_up_len(len));
            prop_assert!(buffer.len() == len && buffer.iter().all(|&byte| byte == 0));
            buffer.fill(0xA5);
            let capacity = buffer.capacity();
            prop_assert!(buffer.set_len(capacity));
            prop_assert_eq!(buffer.iter().filter(|&&byte| byte == 0xA5).count(), len);
        }
    }
}
