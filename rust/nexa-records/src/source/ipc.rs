//! Arrow IPC files and streams: mapped, a unit a record batch.

use std::path::Path;
use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::format::Format;
use super::open::Opened;
use super::options::ReadOptions;
use super::project::Projection;
use super::unit::{BadRecord, Cut, Decode, Decoded, Numbers, Pieces, Unit, Work};
use crate::{RecordError, Shard};

/// Open an Arrow IPC file.
pub(super) fn open_file(path: &Path, options: &ReadOptions) -> Result<Opened, RecordError> {
    opened(Shard::open(path)?, Format::Arrow, options)
}

/// Open an Arrow IPC stream.
pub(super) fn open_stream(path: &Path, options: &ReadOptions) -> Result<Opened, RecordError> {
    opened(Shard::open_stream(path)?, Format::ArrowStream, options)
}

fn opened(shard: Shard, format: Format, options: &ReadOptions) -> Result<Opened, RecordError> {
    let projection = Projection::new(&shard.schema(), options.columns.as_deref(), shard.path())?;
    let columns = options.columns.is_some().then(|| projection.columns().collect());
    Ok(Opened {
        path: shard.path().to_owned(),
        format,
        schema: projection.schema(),
        // Of what is missing nobody knows how many records it had.
        rows: shard.torn().is_none().then_some(shard.num_rows()),
        cutter: Box::new(Numbered { parts: Numbers::below(shard.num_batches() as u64), torn: torn(&shard) }),
        decoder: Arc::new(Batches { schema: projection.schema(), shard, columns }),
    })
}

/// Say what a stream that was cut short has lost.
fn torn(shard: &Shard) -> Option<BadRecord> {
    let reason = shard.torn()?.to_owned();
    Some(BadRecord { record: 0, records: 0, offset: None, column: None, reason, raw: Vec::new() })
}

/// Cuts the batches, and what is missing behind them.
struct Numbered {
    parts: Numbers,
    torn: Option<BadRecord>,
}

impl Cut for Numbered {
    fn next(&mut self) -> Result<Option<Unit>, RecordError> {
        let next = self.parts.next()?;
        Ok(next.or_else(|| self.torn.take().map(|bad| Unit { offset: 0, work: Work::Lost(bad) })))
    }
}

/// Decodes record batches.
struct Batches {
    schema: SchemaRef,
    shard: Shard,
    columns: Option<Vec<usize>>,
}

impl Decode for Batches {
    fn decode(&self, unit: Unit) -> Result<Pieces, RecordError> {
        let Work::Part(index) = unit.work else { return Ok(Box::new(std::iter::empty())) };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let batch = match &self.columns {
            Some(columns) => self.shard.batch_projected(index, columns),
            None => self.shard.batch(index),
        };
        let decoded = match batch {
            Ok(batch) => Decoded::good(batch),
            Err(RecordError::Corrupt { detail, .. }) => Decoded::lost(
                Arc::clone(&self.schema),
                BadRecord {
                    record: 0,
                    records: self.shard.batch_rows(index)?,
                    offset: None,
                    column: None,
                    reason: format!("batch {index}: {detail}"),
                    raw: Vec::new(),
                },
            ),
            Err(error) => return Err(error),
        };
        Ok(Box::new(std::iter::once(Ok(decoded))))
    }
}
