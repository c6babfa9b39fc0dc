//! Claims about one side of a copy: it gives up direct access mid-way without losing a byte.

use std::fs;

use tempfile::tempdir;

use super::*;
use crate::buffer::AlignedBuf;
use crate::regular::{Links, open_to_read, open_to_write};

const PAGE: usize = 4096;

fn pages(n: usize) -> AlignedBuf {
    let mut buffer = AlignedBuf::zeroed(n * PAGE, Alignment::PAGE).unwrap();
    for (index, byte) in buffer.iter_mut().enumerate() {
        *byte = u8::try_from(index % 251).unwrap();
    }
    buffer
}

#[test]
fn a_writer_that_gives_up_mid_way_goes_on_at_the_same_offset() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a");
    let mut side = Side::new(open_to_write(&path).unwrap().0, &path, true);
    let (mut block, control) = (pages(2), Control::new());
    let len = block.len();
    side.write(&mut block, len, 0, &control).unwrap();
    side.leave_direct(len as u64, "the test says so").unwrap();
    assert!(!side.is_direct());
    side.write(&mut block, 17, len as u64, &control).unwrap();
    assert_eq!(side.reason(), Some("direct I/O gave up at byte 8192: the test says so"));
    let expected = [&pages(2)[..], &pages(1)[..17]].concat();
    assert_eq!(fs::read(&path).unwrap(), expected, "a buffered tail is not padded");
}

#[test]
fn a_refused_direct_write_falls_back_and_says_why() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a");
    let mut side = Side::new(open_to_write(&path).unwrap().0, &path, true);
    // Memory off by one byte stands in for a filesystem that refuses: ext4 and xfs answer EINVAL, others accept it.
    let mut block = pages(2);
    let expected = block[1..=PAGE].to_vec();
    side.write(&mut block[1..=PAGE], PAGE, 0, &Control::new()).unwrap();
    assert_eq!(side.is_direct(), side.reason().is_none());
    assert_eq!(fs::read(&path).unwrap(), expected);
}

#[test]
fn a_refused_direct_read_falls_back_and_says_why() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, &pages(1)[..]).unwrap();
    let mut side = Side::new(open_to_read(&path, Links::Refuse).unwrap().0, &path, true);
    let mut block = AlignedBuf::zeroed(2 * PAGE, Alignment::PAGE).unwrap();
    let found = side.fill(&mut block[1..=PAGE], PAGE, 0, &Control::new()).unwrap();
    assert_eq!(side.is_direct(), side.reason().is_none());
    assert_eq!((found, &block[1..=PAGE]), (PAGE, &pages(1)[..]));
}

#[test]
fn stale_bytes_behind_a_tail_never_reach_the_disk() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a");
    let mut side = Side::new(open_to_write(&path).unwrap().0, &path, true);
    let mut block = pages(1);
    side.write(&mut block, 10, 0, &Control::new()).unwrap();
    let written = fs::read(&path).unwrap();
    assert_eq!(&written[..10], &pages(1)[..10]);
    assert!(written[10..].iter().all(|&byte| byte == 0));
    assert_eq!(written.len(), if side.is_direct() { PAGE } else { 10 });
}

#[test]
fn an_interrupted_side_stops_when_it_is_cancelled() {
    let file = tempfile::tempfile().unwrap();
    let mut side = Side::new(file, Path::new("a"), false);
    let control = Control::new();
    let interrupted = || io::Error::from(io::ErrorKind::Interrupted);
    let failed = |path, offset, source| IoError::Read { path, offset, source };
    assert!(side.recover(interrupted(), 0, &control, failed).is_ok());
    control.cancel();
    assert!(matches!(side.recover(interrupted(), 0, &control, failed), Err(IoError::Cancelled)));
    let broken = io::Error::from_raw_os_error(Errno::IO.raw_os_error());
    assert!(matches!(side.recover(broken, 9, &control, failed), Err(IoError::Read { offset: 9, .. })));
}
