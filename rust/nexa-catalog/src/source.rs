//! Where a catalog's bytes come from, some whole lines at a time: a slice, or a file that is never in memory at once.

use nexa_io::{FilePieces, IoError};
use rayon::prelude::*;

use crate::MAX_LINE_BYTES;
use crate::parse::BYTE_ORDER_MARK;

/// Bytes that are parsed between two looks at the control: enough chunks to keep every thread busy.
const WAVE_BYTES: usize = 8 << 20;
/// Bytes that one thread reads at a time.
const PIECE_BYTES: usize = 512 << 10;

/// The next part of a catalog.
pub(crate) enum Wave<'a> {
    /// Whole lines; the last one of the catalog may lack its newline.
    Lines(&'a [u8]),
    /// One line that is longer than is read, in bytes without the blanks at its ends.
    TooLong(u64),
}

/// A catalog in parts.
pub(crate) trait Source {
    /// Give the next part, or `None` at the end.
    fn next(&mut self) -> Result<Option<Wave<'_>>, IoError>;
}

impl Source for &[u8] {
    fn next(&mut self) -> Result<Option<Wave<'_>>, IoError> {
        if self.is_empty() {
            return Ok(None);
        }
        let end = self.get(WAVE_BYTES..).and_then(|later| memchr::memchr(b'\n', later));
        let (lines, rest) = self.split_at(end.map_or(self.len(), |newline| WAVE_BYTES + newline + 1));
        *self = rest;
        Ok(Some(Wave::Lines(lines)))
    }
}

/// A file that is read into one buffer again and again, in parallel.
///
/// A mapping would be as quick, but its pages count as the process's memory, and a file that is cut short while it is
/// read would end the process with SIGBUS.
pub(crate) struct FileSource {
    file: FilePieces,
    offset: u64,
    buffer: Vec<u8>,
    wave_bytes: usize,
}

impl FileSource {
    /// Start behind the byte order mark, if there is one.
    pub(crate) fn new(file: FilePieces) -> Result<Self, IoError> {
        Self::with_wave(file, WAVE_BYTES)
    }

    fn with_wave(file: FilePieces, wave_bytes: usize) -> Result<Self, IoError> {
        let mut head = [0; BYTE_ORDER_MARK.len()];
        let filled = file.fill(&mut head, 0)?;
        let offset = if head == BYTE_ORDER_MARK { filled as u64 } else { 0 };
        Ok(Self { file, offset, buffer: Vec::new(), wave_bytes })
    }

    fn fill(&mut self) -> Result<usize, IoError> {
        // One byte more than a small file has, to see its end at once.
        let wanted = usize::try_from(self.file.len().saturating_add(1)).unwrap_or(usize::MAX);
        self.buffer.resize(wanted.min(self.wave_bytes), 0);
        let (file, offset) = (&self.file, self.offset);
        let pieces = self.buffer.par_chunks_mut(PIECE_BYTES).enumerate();
        let filled: Vec<usize> = pieces
            .map(|(number, piece)| file.fill(piece, offset + (number * PIECE_BYTES) as u64))
            .collect::<Result<_, _>>()?;
        // What lies behind a piece that is not full was written since, if it is there at all.
        let full = filled.iter().take_while(|filled| **filled == PIECE_BYTES).count();
        Ok(full * PIECE_BYTES + filled.get(full).copied().unwrap_or_default())
    }

    /// Measure a line of which a whole buffer is only the beginning, and give it if it is short but for its blanks.
    fn long_line(&mut self) -> Result<Option<Wave<'_>>, IoError> {
        let start = self.offset;
        let mut text: Option<(u64, u64)> = None;
        loop {
            let filled = self.fill()?;
            let newline = memchr::memchr(b'\n', &self.buffer[..filled]);
            let part = &self.buffer[..newline.unwrap_or(filled)];
            if let Some(first) = part.iter().position(|byte| !byte.is_ascii_whitespace()) {
                let end = first + part[first..].trim_ascii_end().len();
                let first = text.map_or(self.offset + first as u64, |(first, _)| first);
                text = Some((first, self.offset + end as u64));
            }
            self.offset += (part.len() + usize::from(newline.is_some())) as u64;
            if newline.is_some() || filled < self.buffer.len() {
                break;
            }
        }
        let (first, end) = text.unwrap_or((start, start));
        if end - first > MAX_LINE_BYTES as u64 {
            return Ok(Some(Wave::TooLong(end - first)));
        }
        self.buffer.resize((end - first) as usize, 0);
        let filled = self.file.fill(&mut self.buffer, first)?;
        self.buffer.truncate(filled);
        self.buffer.push(b'\n');
        Ok(Some(Wave::Lines(&self.buffer)))
    }
}

impl Source for FileSource {
    fn next(&mut self) -> Result<Option<Wave<'_>>, IoError> {
        let filled = self.fill()?;
        let at_end = filled < self.buffer.len();
        let lines = match memchr::memrchr(b'\n', &self.buffer[..filled]) {
            _ if at_end => filled,
            Some(newline) => newline + 1,
            None => return self.long_line(),
        };
        self.offset += lines as u64;
        Ok((lines > 0).then_some(Wave::Lines(&self.buffer[..lines])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines without blanks at their ends; a line that is too long as its length.
    fn lines(mut source: impl Source) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(wave) = source.next().unwrap() {
            match wave {
                Wave::Lines(bytes) => lines.extend(
                    bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n').map(|line| {
                        let line = line.trim_ascii();
                        if line.len() > MAX_LINE_BYTES {
                            line.len().to_string()
                        } else {
                            String::from_utf8(line.to_vec()).unwrap()
                        }
                    }),
                ),
                Wave::TooLong(bytes) => lines.push(bytes.to_string()),
            }
        }
        lines
    }

    #[test]
    fn a_file_gives_the_lines_of_its_bytes_whatever_the_size_of_a_wave() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog");
        let long = "y".repeat(MAX_LINE_BYTES + 1);
        let wide = format!("{}x{}", " ".repeat(700_000), "\t".repeat(900_000));
        let blank = " ".repeat(600_000);
        for text in [
            String::new(),
            "\n".to_owned(),
            "a\nb".to_owned(),
            "a\n\n\nb\n".to_owned(),
            "abcdefgh".repeat(3) + "\n" + &"k\n".repeat(100),
            format!("a\n{long}\nb\n {long} {long} \r\n{wide}\n{blank}\nc"),
            format!("{blank}\n{wide}"),
            format!("{long} "),
        ] {
            let expected = lines(text.as_bytes());
            // The mark is no part of a line, be it of the longest.
            let mark = if text.len() % 2 == 0 { "\u{feff}" } else { "" };
            std::fs::write(&path, format!("{mark}{text}")).unwrap();
            // A line that is read eight bytes at a time takes a while.
            let smallest = if text.len() < 1000 { 8 } else { 1 << 16 };
            for wave_bytes in [smallest, smallest + 1, PIECE_BYTES + 1, WAVE_BYTES] {
                let file = FilePieces::open(&path).unwrap();
                assert_eq!(lines(FileSource::with_wave(file, wave_bytes).unwrap()), expected, "{wave_bytes}");
            }
        }
    }
}
