//! `WebDataset` tar archives: a row a sample, a column for each ending of its members' names.

mod columns;
mod header;
mod index;
mod sample;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use nexa_io::PooledBuf;

pub use index::{IndexedSample, samples};

use columns::{Column, KEY};
use sample::{Grouping, Sample, Samples};

use super::format::Format;
use super::framed::Framed;
use super::open::Opened;
use super::options::ReadOptions;
use super::project::Projection;
use super::rows::{Flaw, Rows};
use super::unit::{Decode, Decoded, Pieces, Unit, Work};
use super::unpack;
use crate::RecordError;

/// Open an archive; without a schema, its first samples are read for one.
pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Opened, RecordError> {
    check_head(path, options)?;
    let schema = match &options.schema {
        Some(schema) => Arc::clone(schema),
        None => Arc::new(columns::schema(path, options)?),
    };
    let schema = Projection::new(&schema, options.columns.as_deref(), path)?.schema();
    // A type that no member can have is refused now.
    Rows::new(&schema, options.batch_rows, path)?;
    let archive = Archive {
        path: path.to_owned(),
        columns: schema.fields().iter().map(|field| Column::new(field, path)).collect(),
        places: schema.fields().iter().enumerate().map(|(at, field)| (field.name().clone(), at)).collect(),
        schema: Arc::clone(&schema),
        all: options.refuses_strangers() && options.columns.is_none(),
        batch_rows: options.batch_rows,
    };
    Ok(Opened {
        path: path.to_owned(),
        format: Format::Webdataset,
        schema,
        rows: None,
        cutter: Box::new(Framed::open(path.to_owned(), Grouping::new(options.record_bytes), options)?),
        decoder: Arc::new(Shared(Arc::new(archive))),
    })
}

fn check_head(path: &Path, options: &ReadOptions) -> Result<(), RecordError> {
    let mut head = [0; header::BLOCK];
    let n = unpack::open(path, options.unpack_ratio)?.fill(&mut head)?;
    match header::member(&head, 0) {
        header::Found::Odd(detail) if n == head.len() => {
            Err(RecordError::NotOfFormat { path: path.to_owned(), format: Format::Webdataset.name(), detail })
        }
        _ => Ok(()),
    }
}

/// What decodes samples into columns.
struct Archive {
    path: PathBuf,
    schema: SchemaRef,
    columns: Vec<Column>,
    places: HashMap<String, usize>,
    /// Whether a member that has no column is a flaw: it would be lost, and nobody chose that.
    all: bool,
    batch_rows: usize,
}

impl Archive {
    fn put(&self, sample: &Sample, block: &[u8], rows: &mut Rows, scratch: &mut Vec<u8>) -> Result<(), Flaw> {
        let mut seen: Vec<&[u8]> = Vec::new();
        for (column, data) in &sample.members {
            let name = std::str::from_utf8(column)
                .map_err(|_| Flaw::new("a member's name is no UTF-8".to_owned()))?;
            if seen.contains(&&column[..]) {
                return Err(Flaw::of(name, "two members of the sample have the same name".to_owned()));
            }
            seen.push(column);
            match self.places.get(name) {
                Some(at) => self.columns[*at]
                    .put(&block[data.clone()], rows.set(*at), scratch)
                    .map_err(|reason| Flaw::of(name, reason))?,
                None if self.all => {
                    let reason = "the samples that the columns were inferred from have no such member; infer from \
                                  the whole file, or say its type in data.read.types";
                    return Err(Flaw::of(name, reason.to_owned()));
                }
                None => {}
            }
        }
        if let Some(at) = self.places.get(KEY) {
            rows.set(*at).put_text(&sample.key).map_err(|reason| Flaw::of(KEY, reason))?;
        }
        Ok(())
    }
}

struct Shared(Arc<Archive>);

impl Decode for Shared {
    fn decode(&self, unit: Unit) -> Result<Pieces, RecordError> {
        let Work::Bytes(block) = unit.work else { return Ok(Box::new(std::iter::empty())) };
        Ok(Box::new(Block { archive: Arc::clone(&self.0), block, at: 0, offset: unit.offset }))
    }
}

/// A block of whole samples, on its way.
struct Block {
    archive: Arc<Archive>,
    block: PooledBuf,
    at: usize,
    /// Where the block begins in the file.
    offset: u64,
}

impl Block {
    fn batch(&mut self) -> Result<Option<Decoded>, RecordError> {
        let mut rows = Rows::new(&self.archive.schema, self.archive.batch_rows, &self.archive.path)?;
        let mut samples = Samples { block: &self.block, at: self.at };
        let mut scratch = Vec::new();
        while !rows.is_full() {
            let Some(sample) = samples.next() else { break };
            let put = self.archive.put(&sample, &self.block, &mut rows, &mut scratch);
            rows.end(put, Some(self.offset + sample.all.start as u64), &self.block[sample.all.clone()]);
        }
        self.at = samples.at;
        if rows.is_empty() {
            return Ok(None);
        }
        rows.finish(&self.archive.path).map(Some)
    }
}

impl Iterator for Block {
    type Item = Result<Decoded, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

#[cfg(test)]
#[path = "webdataset_tests.rs"]
mod tests;
