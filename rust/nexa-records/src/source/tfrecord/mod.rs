//! `TFRecord` files of `tf.train.Example`: a column a feature.

mod example;
mod framing;
mod infer;
mod wire;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use nexa_io::PooledBuf;

use example::features;
use framing::{Framing, record};

use super::format::Format;
use super::framed::Framed;
use super::open::Opened;
use super::options::ReadOptions;
use super::project::Projection;
use super::rows::{Flaw, Rows};
use super::unit::{Decode, Decoded, Pieces, Unit, Work};
use super::unpack;
use crate::RecordError;

/// Open a `TFRecord` file; without a schema, its first records are read for one.
pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Opened, RecordError> {
    check_head(path, options)?;
    let schema = match &options.schema {
        Some(schema) => Arc::clone(schema),
        None => Arc::new(infer::schema(path, options)?),
    };
    let schema = Projection::new(&schema, options.columns.as_deref(), path)?.schema();
    // A type that no feature can have is refused now.
    Rows::new(&schema, options.batch_rows, path)?;
    let columns = schema.fields().iter().enumerate().map(|(at, field)| (field.name().clone(), at)).collect();
    let examples = Examples {
        path: path.to_owned(),
        schema: Arc::clone(&schema),
        columns,
        all: options.refuses_strangers() && options.columns.is_none(),
        batch_rows: options.batch_rows,
    };
    let frame = Framing { record_bytes: options.record_bytes };
    Ok(Opened {
        path: path.to_owned(),
        format: Format::Tfrecord,
        schema,
        rows: None,
        cutter: Box::new(Framed::open(path.to_owned(), frame, options)?),
        decoder: Arc::new(Shared(Arc::new(examples))),
    })
}

/// Say whether a file begins as a `TFRecord` does.
pub(super) fn begins(head: &[u8]) -> bool {
    framing::length(head).is_some()
}

fn check_head(path: &Path, options: &ReadOptions) -> Result<(), RecordError> {
    let mut head = [0; 12];
    let n = unpack::open(path, options.unpack_ratio)?.fill(&mut head)?;
    if n < head.len() || begins(&head) {
        return Ok(());
    }
    let detail = "its first 12 bytes are no length with its checksum".to_owned();
    Err(RecordError::NotOfFormat { path: path.to_owned(), format: Format::Tfrecord.name(), detail })
}

/// What decodes records into columns.
struct Examples {
    path: PathBuf,
    schema: SchemaRef,
    columns: HashMap<String, usize>,
    /// Whether a feature that has no column is a flaw: it would be lost, and nobody chose that.
    all: bool,
    batch_rows: usize,
}

impl Examples {
    fn put(&self, data: &[u8], rows: &mut Rows) -> Result<(), Flaw> {
        features(data, |name, feature| {
            let Some(column) = self.columns.get(name) else {
                if self.all && feature.kind.is_some() {
                    let reason = "the records that the columns were inferred from have no such feature; infer from \
                                  the whole file, or say its type in data.read.types";
                    return Err(Flaw::of(name, reason.to_owned()));
                }
                return Ok(());
            };
            if feature.kind.is_none() {
                rows.unset(*column);
                return Ok(());
            }
            feature.put(rows.set(*column)).map_err(|reason| Flaw::of(name, reason))
        })
    }
}

struct Shared(Arc<Examples>);

impl Decode for Shared {
    fn decode(&self, unit: Unit) -> Result<Pieces, RecordError> {
        let Work::Bytes(block) = unit.work else { return Ok(Box::new(std::iter::empty())) };
        Ok(Box::new(Block { examples: Arc::clone(&self.0), block, at: 0, offset: unit.offset }))
    }
}

/// A block of whole records, on its way.
struct Block {
    examples: Arc<Examples>,
    block: PooledBuf,
    at: usize,
    /// Where the block begins in the file.
    offset: u64,
}

impl Block {
    fn batch(&mut self) -> Result<Decoded, RecordError> {
        let mut rows = Rows::new(&self.examples.schema, self.examples.batch_rows, &self.examples.path)?;
        let mut rest = &self.block[self.at..];
        while !rows.is_full() {
            let offset = self.offset + (self.block.len() - rest.len()) as u64;
            let Some((whole, data)) = record(&mut rest) else { break };
            let put = data.and_then(|data| self.examples.put(data, &mut rows));
            rows.end(put, Some(offset), whole);
        }
        self.at = self.block.len() - rest.len();
        rows.finish(&self.examples.path)
    }
}

impl Iterator for Block {
    type Item = Result<Decoded, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.at < self.block.len()).then(|| self.batch())
    }
}

#[cfg(test)]
#[path = "tfrecord_tests.rs"]
mod tests;
