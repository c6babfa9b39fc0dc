//! Which pages of a file the page cache holds already, so that a copy reads those from there.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "mapping a file, and asking for its pages, take raw pointers")
)]

#[cfg(target_os = "linux")]
pub(crate) use linux::Residency;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    use memmap2::Mmap;

    use crate::align::Alignment;

    /// A mapping that is never read, only asked about.
    #[derive(Debug)]
    pub(crate) struct Residency(Mmap);

    impl Residency {
        /// Prepare to ask; `None` where there is nothing to ask about, or no true answer.
        ///
        /// To those who neither own a file nor may write to it, the kernel says that every page is there.
        pub(crate) fn of(file: &File, bytes: u64) -> Option<Self> {
            if bytes == 0 {
                return None;
            }
            let user = rustix::process::geteuid();
            let honest = user.is_root() || file.metadata().is_ok_and(|facts| facts.uid() == user.as_raw());
            // SAFETY: the mapping's memory is never touched: only its address goes to mincore, so neither a change nor a
            // truncation of the file by others can be seen through it.
            honest.then(|| unsafe { Mmap::map(file) }.ok()).flatten().map(Self)
        }

        /// Say whether all pages of a range are in the page cache at this moment; `offset` is aligned to a page.
        pub(crate) fn holds(&self, offset: u64, len: usize) -> bool {
            let Some(start) = usize::try_from(offset).ok().filter(|start| *start < self.0.len()) else {
                return false;
            };
            let len = len.min(self.0.len() - start);
            let mut pages = vec![0u8; len.div_ceil(Alignment::PAGE.bytes())];
            // SAFETY: the range lies within the mapping, `start` is a multiple of the page, and `pages` has a byte for
            // each page of the range (where pages are larger than 4 KiB, more than needed).
            let outcome = unsafe {
                libc::mincore(self.0.as_ptr().add(start).cast_mut().cast(), len, pages.as_mut_ptr())
            };
            let asked = len.div_ceil(rustix::param::page_size());
            outcome == 0 && pages.iter().take(asked).all(|page| page & 1 == 1)
        }
    }
}

/// Elsewhere nobody is asked.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(crate) struct Residency;

#[cfg(not(target_os = "linux"))]
impl Residency {
    pub(crate) fn of(_file: &std::fs::File, _bytes: u64) -> Option<Self> {
        None
    }

    pub(crate) fn holds(&self, _offset: u64, _len: usize) -> bool {
        false
    }
}
