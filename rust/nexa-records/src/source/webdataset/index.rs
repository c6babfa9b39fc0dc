//! Where each sample's members lie in an archive, for who reads samples in any order.

use std::path::Path;

use super::sample::{Grouping, Samples};
use crate::RecordError;
use crate::source::format::Compression;
use crate::source::framed::Framed;
use crate::source::options::ReadOptions;
use crate::source::unit::{BadRecord, Cut, Work};
use crate::source::unpack;

/// One sample's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedSample {
    /// What its members' names have in common.
    pub key: String,
    /// Each member's column, and offset and number of its bytes.
    pub members: Vec<(String, u64, u64)>,
}

/// Find all samples of an archive that isn't compressed, and what of it can't be read.
///
/// # Errors
/// [`RecordError::Io`] where it can't be read, [`RecordError::NotOfFormat`] where it is compressed.
pub fn samples(
    path: &Path,
    options: &ReadOptions,
) -> Result<(Vec<IndexedSample>, Vec<BadRecord>), RecordError> {
    if unpack::open(path, options.unpack_ratio)?.compression() != Compression::None {
        let detail = "what is compressed has no places; unpack it first".to_owned();
        return Err(RecordError::NotOfFormat { path: path.to_owned(), format: "tar", detail });
    }
    let mut cutter = Framed::open(path.to_owned(), Grouping::new(options.record_bytes), options)?;
    let (mut index, mut bad) = (Vec::new(), Vec::new());
    while let Some(unit) = cutter.next()? {
        match unit.work {
            Work::Bytes(block) => index.extend(Samples { block: &block, at: 0 }.map(|sample| {
                IndexedSample {
                    key: String::from_utf8_lossy(&sample.key).into_owned(),
                    members: sample
                        .members
                        .into_iter()
                        .map(|(column, data)| {
                            let column = String::from_utf8_lossy(&column).into_owned();
                            (column, unit.offset + data.start as u64, data.len() as u64)
                        })
                        .collect(),
                }
            })),
            Work::Lost(lost) => bad.push(lost),
            Work::Part(_) => {}
        }
    }
    Ok((index, bad))
}
