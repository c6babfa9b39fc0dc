//! Bytes on their way from the page cache to the disk before a sync asks for them, so that it has little left to wait for.

use std::fs::File;

/// Begin to write a range of a file back, without waiting; where the system can't, a sync does it all.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "only Linux is told of ranges"))]
pub fn start_writeback(file: &File, offset: u64, len: u64) {
    #[cfg(target_os = "linux")]
    sync_range(file, offset, len, libc::SYNC_FILE_RANGE_WRITE);
}

/// Write a range of a file back and wait until the disk has it; that is no sync: nothing is said of the file's size.
#[cfg(target_os = "linux")]
pub(crate) fn wait_writeback(file: &File, offset: u64, len: u64) {
    let wait =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    sync_range(file, offset, len, wait);
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the call has no safe wrapper; it takes plain numbers")]
fn sync_range(file: &File, offset: u64, len: u64, how: libc::c_uint) {
    use std::os::fd::AsRawFd;

    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else { return };
    // Advice: a refusal costs memory for a while, and a failed write shows at the sync.
    // SAFETY: an open descriptor and three numbers; no memory is passed.
    let _ = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, how) };
}
