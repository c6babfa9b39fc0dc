//! Parquet, through the Arrow project's own reader: row groups side by side, a bounded number of rows at a time.

use std::path::Path;
use std::sync::Arc;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::chunks::Chunks;
use super::format::Format;
use super::open::Opened;
use super::options::ReadOptions;
use super::project::Projection;
use super::unit::{BadRecord, Decode, Decoded, Numbers, Pieces, Unit, Work};
use crate::{RecordError, guard};

const MAGIC: &[u8] = b"PAR1";

/// Open a Parquet file: its footer is read, no row.
pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Opened, RecordError> {
    let file = Chunks::open(path)?;
    let metadata = guard::caught(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))
        .map_err(|detail| refused(path, &file, detail))?;
    let groups = metadata.metadata().row_groups();
    let rows: Vec<u64> = groups.iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).collect();
    let projection = Projection::new(metadata.schema(), options.columns.as_deref(), path)?;
    Ok(Opened {
        path: path.to_owned(),
        format: Format::Parquet,
        schema: projection.schema(),
        rows: Some(rows.iter().fold(0, |sum, rows| u64::saturating_add(sum, *rows))),
        cutter: Box::new(Numbers::below(rows.len() as u64)),
        decoder: Arc::new(Groups { file, metadata, projection, rows, batch_rows: options.batch_rows }),
    })
}

/// Say what a file is whose footer can't be read: damaged, or of another format.
fn refused(path: &Path, file: &Chunks, detail: String) -> RecordError {
    if file.begins_with(MAGIC) {
        RecordError::Truncated { path: path.to_owned(), detail }
    } else {
        RecordError::NotOfFormat { path: path.to_owned(), format: Format::Parquet.name(), detail }
    }
}

/// Decodes row groups.
struct Groups {
    file: Chunks,
    metadata: ArrowReaderMetadata,
    projection: Projection,
    /// Rows of each group.
    rows: Vec<u64>,
    batch_rows: usize,
}

impl Decode for Groups {
    fn decode(&self, unit: Unit) -> Result<Pieces, RecordError> {
        let Work::Part(group) = unit.work else { return Ok(Box::new(std::iter::empty())) };
        let group = usize::try_from(group).unwrap_or(usize::MAX);
        let rows = self.rows.get(group).copied().unwrap_or(0);
        let reader = guard::caught(|| {
            let file = self.file.clone();
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
            let mask = ProjectionMask::roots(builder.parquet_schema(), self.projection.columns());
            builder
                .with_projection(mask)
                .with_row_groups(vec![group])
                .with_batch_size(self.batch_rows)
                .build()
        });
        Ok(Box::new(Group { reader, group, left: rows, projection: self.projection.clone() }))
    }
}

/// One row group, on its way.
struct Group {
    /// The reader, or why there is none.
    reader: Result<ParquetRecordBatchReader, String>,
    group: usize,
    /// Rows that haven't been accounted for.
    left: u64,
    projection: Projection,
}

impl Group {
    fn read(&mut self) -> Result<Decoded, String> {
        let reader = self.reader.as_mut().map_err(|reason| reason.clone())?;
        let batch =
            guard::caught(|| reader.next().transpose())?.ok_or("it has fewer rows than the footer says")?;
        let rows = batch.num_rows() as u64;
        self.left = self.left.checked_sub(rows).ok_or("it has more rows than the footer says")?;
        guard::caught(|| self.projection.arrange(&batch)).map(Decoded::good)
    }

    /// Give up the rest of the group: pages depend on those before them.
    fn lost(&mut self, detail: &str) -> Decoded {
        let records = std::mem::take(&mut self.left);
        Decoded::lost(
            self.projection.schema(),
            BadRecord {
                record: 0,
                records,
                offset: None,
                column: None,
                reason: format!("row group {}: {detail}", self.group),
                raw: Vec::new(),
            },
        )
    }
}

impl Iterator for Group {
    type Item = Result<Decoded, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let left = self.left;
        Some(Ok(self.read().unwrap_or_else(|detail| {
            self.left = left;
            self.lost(&detail)
        })))
    }
}

#[cfg(test)]
#[path = "parquet_tests.rs"]
mod tests;
