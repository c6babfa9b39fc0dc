//! `NumPy` arrays: rows along the first axis, read at their places by several threads.
//!
//! An array with one axis is a column `value`, one with more a tensor a row, a structured one a column a field.

mod cells;
mod dtype;
mod header;
mod literal;
mod member;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::MutableBuffer;
use arrow_schema::{Schema, SchemaRef};
use nexa_io::FilePieces;

pub(super) use dtype::{Refused, tensor};
pub(super) use member::Member;

use dtype::{Cell, Kind};
use header::Header;

use super::format::Format;
use super::open::Opened;
use super::options::ReadOptions;
use super::project::Projection;
use super::rows::{Rows, lost};
use super::unit::{BadRecord, Cut, Decode, Decoded, Numbers, Pieces, Unit, Work};
use crate::RecordError;

/// Column of an array that isn't structured.
const VALUE: &str = "value";

/// Open a `.npy` file: its header is read.
pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Opened, RecordError> {
    let io = |source| RecordError::Io { path: path.to_owned(), source };
    let file = FilePieces::open(path).map_err(io)?;
    let mut head = vec![0; usize::try_from(file.len()).unwrap_or(usize::MAX).min(header::MAX_BYTES)];
    let n = file.fill(&mut head, 0).map_err(io)?;
    let header = Header::parse(&head[..n], VALUE, false).map_err(|refused| error(path, refused))?;
    let schema = Schema::new(header.cells.iter().map(Cell::field).collect::<Vec<_>>());
    let projection = Projection::new(&schema, options.columns.as_deref(), path)?;
    let cells = projection.columns().map(|column| header.cells[column].clone()).collect();
    let block_rows = (options.block_bytes / header.row_bytes).min(options.batch_rows).max(1);
    let there = file.len().saturating_sub(header.data_at as u64);
    let rows = header.rows.min(there / header.row_bytes as u64);
    let array = Array {
        path: path.to_owned(),
        file,
        cells,
        schema: projection.schema(),
        row_bytes: header.row_bytes,
        data_at: header.data_at as u64,
        rows,
        block_rows,
    };
    Ok(Opened {
        path: path.to_owned(),
        format: Format::Npy,
        schema: projection.schema(),
        rows: Some(header.rows),
        cutter: Box::new(Blocks {
            parts: Numbers::below(rows.div_ceil(block_rows as u64)),
            odd: odd_end(&header, there),
        }),
        decoder: Arc::new(array),
    })
}

pub(super) fn error(path: &Path, refused: Refused) -> RecordError {
    let path = path.to_owned();
    match refused {
        Refused::Odd(detail) => RecordError::NotOfFormat { path, format: Format::Npy.name(), detail },
        Refused::Unsupported(detail) => RecordError::NoSchema { path, detail },
        Refused::Pickled => {
            let found = "an array of Python objects".to_owned();
            RecordError::Pickled { path, column: VALUE.to_owned(), found }
        }
    }
}

/// Say what is missing behind the rows, or too much.
fn odd_end(header: &Header, there: u64) -> Option<BadRecord> {
    let whole = there / header.row_bytes as u64;
    let missing = header.rows.saturating_sub(whole);
    let at = header.data_at as u64 + whole.min(header.rows) * header.row_bytes as u64;
    if missing > 0 {
        let reason = format!("it is cut short: its header promises {} rows, {whole} are there", header.rows);
        return Some(lost(missing, at, reason));
    }
    let more = there - header.rows * header.row_bytes as u64;
    (more > 0).then(|| lost(0, at, format!("{more} bytes follow the array; save one array a file")))
}

/// Cuts blocks of rows, and what is odd behind them.
struct Blocks {
    parts: Numbers,
    odd: Option<BadRecord>,
}

impl Cut for Blocks {
    fn next(&mut self) -> Result<Option<Unit>, RecordError> {
        let next = self.parts.next()?;
        Ok(next.or_else(|| self.odd.take().map(|bad| Unit { offset: 0, work: Work::Lost(bad) })))
    }
}

/// Decodes blocks of rows.
struct Array {
    path: PathBuf,
    file: FilePieces,
    cells: Vec<Cell>,
    schema: SchemaRef,
    row_bytes: usize,
    data_at: u64,
    rows: u64,
    block_rows: usize,
}

impl Array {
    /// Read so many rows from `first` on as they lie.
    fn read(&self, first: u64, rows: usize) -> Result<MutableBuffer, RecordError> {
        let bytes = rows * self.row_bytes;
        let mut block = MutableBuffer::from_len_zeroed(bytes);
        let n = self
            .file
            .fill(block.as_slice_mut(), self.data_at + first * self.row_bytes as u64)
            .map_err(|source| RecordError::Io { path: self.path.clone(), source })?;
        if n < bytes {
            let detail =
                format!("{} rows are missing that were there when it was opened", rows - n / self.row_bytes);
            return Err(RecordError::Truncated { path: self.path.clone(), detail });
        }
        Ok(block)
    }

    /// Take a block over as the one column that it is.
    fn whole(&self, cell: &Cell, block: MutableBuffer, rows: usize) -> Result<Decoded, RecordError> {
        let array = cells::array(cell, block, rows);
        array
            .and_then(|array| RecordBatch::try_new(Arc::clone(&self.schema), vec![array]))
            .map(Decoded::good)
            .map_err(|error| RecordError::Corrupt {
                path: self.path.clone(),
                batch: None,
                detail: error.to_string(),
            })
    }

    /// Pick a block's columns out of its rows.
    fn picked(&self, block: &[u8], first: u64) -> Result<Decoded, RecordError> {
        let mut rows = Rows::new(&self.schema, self.block_rows, &self.path)?;
        let mut scratch = Vec::new();
        for (row, number) in block.chunks_exact(self.row_bytes).zip(first..) {
            let put = self.cells.iter().enumerate().try_for_each(|(column, cell)| {
                cells::put(cell, &row[cell.offset..cell.offset + cell.bytes], &mut rows, column, &mut scratch)
            });
            rows.end(put, Some(self.data_at + number * self.row_bytes as u64), row);
        }
        rows.finish(&self.path)
    }
}

impl Decode for Array {
    fn decode(&self, unit: Unit) -> Result<Pieces, RecordError> {
        let Work::Part(part) = unit.work else { return Ok(Box::new(std::iter::empty())) };
        let first = part * self.block_rows as u64;
        let rows =
            usize::try_from(self.rows.saturating_sub(first)).unwrap_or(usize::MAX).min(self.block_rows);
        let block = self.read(first, rows)?;
        let decoded = match self.cells.as_slice() {
            [cell] if cell.bytes == self.row_bytes && matches!(cell.dtype.kind, Kind::Plain | Kind::Bool) => {
                self.whole(cell, block, rows)?
            }
            _ => self.picked(&block, first)?,
        };
        Ok(Box::new(std::iter::once(Ok(decoded))))
    }
}

#[cfg(test)]
#[path = "npy_tests.rs"]
mod tests;
