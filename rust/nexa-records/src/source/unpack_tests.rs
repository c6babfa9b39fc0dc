//! What compressed files give, whole and damaged.

use std::io::Write;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// What a file of these bytes unpacks to, and its damage.
fn unpacked(packed: &[u8], ratio: u64) -> (Vec<u8>, Option<String>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(packed).unwrap();
    let mut source = open(file.path(), ratio).unwrap();
    let (mut all, mut piece) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        let n = source.fill(&mut piece).unwrap();
        all.extend_from_slice(&piece[..n]);
        if n < piece.len() {
            return (all, source.damage().map(str::to_owned));
        }
    }
}

#[test]
fn all_members_and_frames_are_unpacked_and_what_lies_between_is_passed_over() {
    let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let files = [
        b"ab".to_vec(),
        [gzip(b"a"), gzip(b""), gzip(b"b")].concat(),
        [gzip(b"ab"), vec![0; 1000]].concat(),
        [skippable.clone(), zstd(b"a"), skippable, zstd(b""), zstd(b"b")].concat(),
    ];
    for file in files {
        assert_eq!(unpacked(&file, 10), (b"ab".to_vec(), None));
    }
}

#[test]
fn what_comes_before_a_cut_is_given_and_the_cut_is_said() {
    let text: Vec<u8> = (0u32..100_000).flat_map(u32::to_le_bytes).collect();
    for packed in [gzip(&text), zstd(&text)] {
        for cut in [packed.len() - 1, packed.len() / 2] {
            let (given, damage) = unpacked(&packed[..cut], 100);
            assert!(damage.is_some() && text.starts_with(&given), "{} of {}", given.len(), text.len());
            assert!(!given.is_empty());
        }
    }
}

#[test]
fn bytes_behind_the_last_member_are_no_silence() {
    for packed in [gzip(b"ab"), zstd(b"ab")] {
        let (given, damage) = unpacked(&[&packed[..], b"rest"].concat(), 10);
        assert_eq!(given, b"ab");
        assert!(damage.is_some());
    }
}

#[test]
fn a_changed_byte_of_the_checksum_is_damage() {
    let mut packed = gzip(b"some text that is packed");
    let at = packed.len() - 6;
    packed[at] ^= 1;
    assert!(unpacked(&packed, 10).1.is_some());
}

#[test]
fn a_bomb_is_stopped_at_its_ratio_and_a_small_one_is_harmless() {
    let zeros = vec![0; 40 << 20];
    for packed in [gzip(&zeros), zstd(&zeros)] {
        let (given, damage) = unpacked(&packed, 10);
        assert!(given.len() <= 17 << 20, "{}", given.len());
        assert!(damage.unwrap().contains("more than 10 times its size"));
        let (given, damage) = unpacked(&packed, 1 << 20);
        assert_eq!((given.len(), damage), (40 << 20, None));
    }
    let small = zstd(&zeros[..1 << 20]);
    assert_eq!(unpacked(&small, 1).1, None);
}

#[test]
fn a_frame_that_asks_for_a_huge_window_is_refused() {
    // Magic, a descriptor without content size, and a window of 2^41 bytes (RFC 8878, 3.1.1.1.2).
    let (given, damage) = unpacked(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00], 10);
    assert!(given.is_empty() && damage.is_some(), "{damage:?}");
}

#[test]
fn readers_of_other_formats_see_damage_as_an_error_behind_what_came_before() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[gzip(b"ab"), b"xyz".to_vec()].concat()).unwrap();
    let mut all = Vec::new();
    let error = open(file.path(), 10).unwrap().read_to_end(&mut all).unwrap_err();
    assert_eq!((all.as_slice(), error.kind()), (&b"ab"[..], io::ErrorKind::InvalidData));
}
