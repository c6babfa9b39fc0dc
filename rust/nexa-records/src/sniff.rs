//! A person who points us at the wrong file should read what the file is, not only what it is not.

/// Longest prefix that is looked at: tar's magic ends at byte 262.
pub(crate) const LOOKED_AT: usize = 262;

/// Magic numbers of what people have instead of Arrow IPC files.
const MAGICS: &[(&[u8], &str)] = &[
    (b"PAR1", "Parquet"),
    (b"FEA1", "Feather version 1, which is not Arrow IPC"),
    (b"\xff\xff\xff\xff", "an Arrow IPC stream; write it with the file writer (pyarrow.ipc.new_file)"),
    (b"\x1f\x8b", "gzip; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "zstd; unpack it first"),
    (b"\x04\x22\x4d\x18", "lz4; unpack it first"),
    (b"BZh", "bzip2; unpack it first"),
    (b"\xfd7zXZ\x00", "xz; unpack it first"),
    (b"PK\x03\x04", "a zip archive, such as .npz or torch.save writes"),
    (b"\x93NUMPY", "a numpy array (.npy)"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"ORC", "ORC"),
    (b"Obj\x01", "Avro"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"SQLite format 3", "an SQLite database"),
    (b"version https://git-lfs", "a Git LFS pointer; run `git lfs pull`"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
];

/// Describe a file by its first bytes, as the end of a sentence.
pub(crate) fn describe(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(8)];
    let shown = head.escape_ascii();
    match guess(&bytes[..bytes.len().min(LOOKED_AT)]) {
        Some(format) => format!("its first bytes are \"{shown}\", which looks like {format}"),
        None => format!("its first bytes are \"{shown}\", where \"ARROW1\" should stand"),
    }
}

fn guess(head: &[u8]) -> Option<&'static str> {
    if let Some((_, format)) = MAGICS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(format);
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some("a tar archive, such as WebDataset's shards");
    }
    if head.get(8) == Some(&b'{') && head.get(4..8) == Some(&[0; 4]) {
        return Some("safetensors");
    }
    match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => Some("JSON"),
        Some(b'<') => Some("XML or HTML, perhaps a download's error page"),
        Some(_) if is_text(head) => Some("text, such as CSV"),
        Some(_) => None,
        None => Some("nothing but blanks"),
    }
}

fn is_text(head: &[u8]) -> bool {
    head.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_formats_are_called_by_name() {
        let cases: [(&[u8], &str); 7] = [
            (b"PAR1\x15\x04", "Parquet"),
            (b"\x1f\x8b\x08\x00", "gzip"),
            (b"  {\"a\": 1}\n", "JSON"),
            (b"\xff\xff\xff\xff\x70\x00", "an Arrow IPC stream"),
            (b"a,b,c\n1,2,3\n", "text"),
            (b"\x10\x01\x00\x00\x00\x00\x00\x00{\"x\"", "safetensors"),
            (b"<html>", "HTML"),
        ];
        for (bytes, name) in cases {
            assert!(describe(bytes).contains(name), "{}", describe(bytes));
        }
    }

    #[test]
    fn unknown_bytes_are_shown_as_they_are() {
        assert_eq!(
            describe(b"\x00\x01\x02"),
            "its first bytes are \"\\x00\\x01\\x02\", where \"ARROW1\" should stand"
        );
    }
}
