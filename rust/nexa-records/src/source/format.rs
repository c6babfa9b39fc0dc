//! Which format a file is of: by its content first, since names lie.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use nexa_io::FilePieces;

use crate::RecordError;

/// Bytes that are looked at: tar's magic ends at 262, and text shows itself within some lines.
const HEAD_BYTES: usize = 4096;

/// A source format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Arrow IPC file, also Feather version 2.
    Arrow,
    /// Arrow IPC stream.
    ArrowStream,
    /// Parquet.
    Parquet,
    /// Text of separated fields: CSV, TSV.
    Csv,
    /// A JSON object a line.
    Jsonl,
    /// `TFRecord` with `tf.train.Example`.
    Tfrecord,
    /// `WebDataset` tar.
    Webdataset,
    /// `MosaicML` MDS shard.
    Mds,
    /// `NumPy` array.
    Npy,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 9] = [
        Self::Arrow,
        Self::ArrowStream,
        Self::Parquet,
        Self::Csv,
        Self::Jsonl,
        Self::Tfrecord,
        Self::Webdataset,
        Self::Mds,
        Self::Npy,
    ];

    /// Return its name in configs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arrow => "arrow",
            Self::ArrowStream => "arrow_stream",
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Tfrecord => "tfrecord",
            Self::Webdataset => "webdataset",
            Self::Mds => "mds",
            Self::Npy => "npy",
        }
    }

    /// Say whether the format leaves open what its columns' types are.
    #[must_use]
    pub const fn is_untyped(self) -> bool {
        matches!(self, Self::Csv | Self::Jsonl | Self::Tfrecord | Self::Webdataset)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|format| format.name()).collect();
            format!("there is no format {name:?}; known: {}", known.join(", "))
        })
    }
}

/// How a whole file is compressed around its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, of any number of members.
    Gzip,
    /// zstd, of any number of frames.
    Zstd,
}

impl Compression {
    /// Return its name, `None` for none.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// Say how a file that begins with `head` is compressed.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame, such as pzstd and seekable files begin with.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// What a file was recognised as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// Its format; `None` where neither content nor name says.
    pub format: Option<Format>,
    /// What is around it.
    pub compression: Compression,
}

/// Endings of names, for what content can't tell apart; a `.gz` or `.zst` behind them is taken off first.
const ENDINGS: &[(&str, Format)] = &[
    ("arrow", Format::Arrow),
    ("feather", Format::Arrow),
    ("ipc", Format::Arrow),
    ("arrows", Format::ArrowStream),
    ("parquet", Format::Parquet),
    ("pq", Format::Parquet),
    ("csv", Format::Csv),
    ("tsv", Format::Csv),
    ("jsonl", Format::Jsonl),
    ("ndjson", Format::Jsonl),
    ("json", Format::Jsonl),
    ("tfrecord", Format::Tfrecord),
    ("tfrecords", Format::Tfrecord),
    ("tfrec", Format::Tfrecord),
    ("tar", Format::Webdataset),
    ("tgz", Format::Webdataset),
    ("mds", Format::Mds),
    ("npy", Format::Npy),
];

/// Say what a file is, from its first bytes (unpacked) and its name.
///
/// # Errors
/// [`RecordError::Io`] where it can't be read.
pub fn recognise(path: &Path) -> Result<Recognised, RecordError> {
    let head = head(path)?;
    let compression = Compression::of(&head);
    let format = match compression {
        Compression::None => by_content(&head).or_else(|| by_name(path, &head)),
        _ => by_name(path, &[]),
    };
    Ok(Recognised { format, compression })
}

fn head(path: &Path) -> Result<Vec<u8>, RecordError> {
    let io = |source| RecordError::Io { path: path.to_owned(), source };
    let mut head = vec![0; HEAD_BYTES];
    let n = FilePieces::open(path).and_then(|file| file.few().fill(&mut head, 0)).map_err(io)?;
    head.truncate(n);
    Ok(head)
}

fn by_content(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"PAR1") {
        return Some(Format::Parquet);
    }
    if head.starts_with(b"ARROW1") {
        return Some(Format::Arrow);
    }
    if head.starts_with(b"\xff\xff\xff\xff") {
        return Some(Format::ArrowStream);
    }
    if head.starts_with(b"\x93NUMPY") {
        return Some(Format::Npy);
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(Format::Webdataset);
    }
    super::tfrecord::begins(head).then_some(Format::Tfrecord)
}

fn by_name(path: &Path, head: &[u8]) -> Option<Format> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    // TFRecord shards are called `train.tfrecord-00000-of-00010`.
    let format = name.rsplit('.').find_map(|part| {
        let part = part.split_once('-').map_or(part, |(front, _)| front);
        ENDINGS.iter().find(|(ending, _)| *ending == part).map(|(_, format)| *format)
    });
    // These begin with what was looked at above: a name alone doesn't make one.
    let magical = [Format::Parquet, Format::Arrow, Format::ArrowStream, Format::Npy];
    format.filter(|format| !magical.contains(format)).or_else(|| looks_like_json(head))
}

fn looks_like_json(head: &[u8]) -> Option<Format> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let first = text.iter().position(|byte| !byte.is_ascii_whitespace())?;
    (text[first] == b'{' && !text.contains(&0)).then_some(Format::Jsonl)
}
