//! Files that were cut or flipped on their way: an error or a read, never a panic.

use arrow_ipc::CompressionType;
use nexa_records::RecordError;
use proptest::prelude::*;

use crate::written::{Folder, file, read_all, rows};

#[test]
fn a_file_cut_at_any_byte_is_an_error() {
    let folder = Folder::new();
    let whole = file(&[rows(0, 3), rows(3, 5)], None);
    for end in 0..whole.len() {
        let error = read_all(&folder.put("cut.arrow", &whole[..end])).unwrap_err();
        assert!(matches!(error, RecordError::Truncated { .. }), "cut at {end}: {error}");
    }
    assert_eq!(read_all(&folder.put("cut.arrow", &whole)).unwrap(), 5);
}

#[test]
fn a_file_that_lost_bytes_within_is_an_error_or_a_read() {
    let folder = Folder::new();
    let whole = file(&[rows(0, 3), rows(3, 5)], None);
    for start in (0..whole.len() - 16).step_by(8) {
        let mut holed = whole.clone();
        holed.drain(start..start + 8);
        let _ = read_all(&folder.put("holed.arrow", &holed));
    }
}

#[test]
fn every_single_byte_may_be_anything_extreme() {
    let folder = Folder::new();
    let whole = file(&[rows(0, 3)], None);
    for position in 0..whole.len() {
        for value in [0x00, 0xff] {
            let mut flipped = whole.clone();
            flipped[position] = value;
            let _ = read_all(&folder.put("flipped.arrow", &flipped));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn flipped_bits_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..12),
        packed in prop::sample::select(vec![
            None,
            Some(CompressionType::LZ4_FRAME),
            Some(CompressionType::ZSTD),
        ]),
    ) {
        let folder = Folder::new();
        let mut bytes = file(&[rows(0, 40), rows(40, 41)], packed);
        for (position, bit) in flips {
            let position = position.index(bytes.len());
            bytes[position] ^= 1 << bit;
        }
        let _ = read_all(&folder.put("flipped.arrow", &bytes));
    }

    #[test]
    fn arbitrary_bytes_between_the_magics_never_panic(middle in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = Folder::new();
        let length = (middle.len() as i32).to_le_bytes();
        let bytes = [b"ARROW1\0\0".as_slice(), &middle, &length, b"ARROW1"].concat();
        prop_assert!(read_all(&folder.put("noise.arrow", &bytes)).is_err());
    }
}
