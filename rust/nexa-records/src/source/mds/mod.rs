//! `MosaicML`'s MDS shards, plain or compressed as a whole: a row a sample.

mod columns;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};

use columns::Column;
use table::{Runs, Shard, parts};

use super::format::Format;
use super::open::Opened;
use super::options::ReadOptions;
use super::rows::{Flaw, Rows};
use super::unit::{Decode, Decoded, Pieces, Unit, Work};
use crate::RecordError;

/// Open a shard; it says itself what its columns are.
pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Opened, RecordError> {
    let shard = Shard::open(path, options)?;
    let names = || shard.columns.iter().map(|column| column.name.clone());
    let wanted: Vec<String> = options.columns.clone().unwrap_or_else(|| names().collect());
    let mut fields = Vec::new();
    let mut places = vec![None; shard.columns.len()];
    for (place, name) in wanted.iter().enumerate() {
        let at = names().position(|known| known == *name).ok_or_else(|| RecordError::MissingColumn {
            path: path.to_owned(),
            column: name.clone(),
            known: names().collect(),
        })?;
        fields.push(shard.columns[at].field(path)?);
        places[at] = Some(place);
    }
    let schema = Arc::new(Schema::new(fields));
    Rows::new(&schema, options.batch_rows, path)?;
    let rows = shard.offsets.len() as u64 - 1;
    let samples = Samples {
        path: path.to_owned(),
        schema: Arc::clone(&schema),
        columns: shard.columns.iter().cloned().zip(places).collect(),
        batch_rows: options.batch_rows,
    };
    Ok(Opened {
        path: path.to_owned(),
        format: Format::Mds,
        schema,
        rows: Some(rows),
        cutter: Box::new(Runs::new(path.to_owned(), shard, options)),
        decoder: Arc::new(Shared(Arc::new(samples))),
    })
}

/// What decodes samples into columns.
struct Samples {
    path: PathBuf,
    schema: SchemaRef,
    /// Each of the file's columns, and where it goes.
    columns: Vec<(Column, Option<usize>)>,
    batch_rows: usize,
}

impl Samples {
    /// Put a sample: the sizes of what has none of its own, then the values.
    fn put(&self, sample: &[u8], rows: &mut Rows) -> Result<(), Flaw> {
        let short = || Flaw::new("its values have more bytes than it has".to_owned());
        let varying = self.columns.iter().filter(|(column, _)| column.size.is_none()).count();
        let (sizes, mut values) = sample.split_at_checked(4 * varying).ok_or_else(short)?;
        let mut sizes = sizes.chunks_exact(4).map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]]) as usize);
        for (column, place) in &self.columns {
            let size = column.size.or_else(|| sizes.next()).ok_or_else(short)?;
            let (value, rest) = values.split_at_checked(size).ok_or_else(short)?;
            values = rest;
            if let Some(place) = place {
                column.put(value, rows.set(*place)).map_err(|reason| Flaw::of(&column.name, reason))?;
            }
        }
        if !values.is_empty() {
            return Err(Flaw::new(format!("it has {} bytes more than its values", values.len())));
        }
        Ok(())
    }
}

struct Shared(Arc<Samples>);

impl Decode for Shared {
    fn decode(&self, unit: Unit) -> Result<Pieces, RecordError> {
        let Work::Bytes(block) = unit.work else { return Ok(Box::new(std::iter::empty())) };
        let (samples, mut at, mut sample) = (Arc::clone(&self.0), 0, 0);
        Ok(Box::new(std::iter::from_fn(move || {
            let (bytes, lengths) = parts(&block)?;
            let piece = samples.batch(bytes, lengths.skip(sample), unit.offset, &mut at);
            match piece {
                Ok(decoded) => {
                    sample += usize::try_from(decoded.records()).unwrap_or(usize::MAX);
                    (decoded.records() > 0).then_some(Ok(decoded))
                }
                Err(error) => Some(Err(error)),
            }
        })))
    }
}

impl Samples {
    /// Make one batch of the samples from `at` on.
    fn batch(
        &self,
        bytes: &[u8],
        lengths: impl Iterator<Item = usize>,
        offset: u64,
        at: &mut usize,
    ) -> Result<Decoded, RecordError> {
        let mut rows = Rows::new(&self.schema, self.batch_rows, &self.path)?;
        for length in lengths {
            let sample = bytes.get(*at..*at + length).unwrap_or_default();
            let put = self.put(sample, &mut rows);
            rows.end(put, Some(offset + *at as u64), sample);
            *at += length;
            if rows.is_full() {
                break;
            }
        }
        rows.finish(&self.path)
    }
}

#[cfg(test)]
#[path = "mds_tests.rs"]
mod tests;
