//! A hash of 128 bits for each row: equal rows, whatever batch, shard or file they lie in, have the same.
//!
//! A row is written as bytes (a mark for a missing value, one zero, one NaN, lengths before texts and lists) and hashed by XXH3.
//! Of n rows two that differ share a hash with a probability of about n² / 2^129: of a trillion, 10^-15.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use nexa_io::threads;
use rayon::prelude::*;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::cells::{Cells, span};
use crate::error::QualityError;

/// Rows that one thread writes and hashes at a time.
const TASK_ROWS: usize = 4096;

/// Return the hash of each row over some columns.
///
/// # Errors
/// [`QualityError::Unsupported`] for a column whose values can't be compared, [`QualityError::Io`] without threads.
pub fn row_hashes(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<u128>, QualityError> {
    let parts = parts(batch, columns)?;
    let rows = batch.num_rows();
    let mut hashes = vec![0; rows];
    let pool = threads::pool().map_err(QualityError::Io)?;
    let fill = |(task, hashes): (usize, &mut [u128])| {
        let mut bytes = Vec::new();
        for (at, hash) in hashes.iter_mut().enumerate() {
            bytes.clear();
            for part in &parts {
                part.put(task * TASK_ROWS + at, &mut bytes);
            }
            *hash = xxh3_128(&bytes);
        }
    };
    if pool.current_num_threads() == 1 || rows <= TASK_ROWS {
        hashes.chunks_mut(TASK_ROWS).enumerate().for_each(fill);
    } else {
        pool.install(|| hashes.par_chunks_mut(TASK_ROWS).enumerate().for_each(fill));
    }
    Ok(hashes)
}

/// Return what tells each row's label from others: an integer itself, of anything else a hash.
///
/// # Errors
/// As [`row_hashes`].
pub fn label_keys(batch: &RecordBatch, column: usize) -> Result<Vec<u64>, QualityError> {
    let parts = parts(batch, &[column])?;
    if let Part::Numbers { cells: Cells::Numbers { numbers, width: 1, rows: None, leaves: None } } = parts[0]
        && let DataType::Int64 = batch.column(column).data_type()
    {
        return Ok((0..batch.num_rows()).map(|row| numbers.bits(row)).collect());
    }
    let mut bytes = Vec::new();
    let key = |row| {
        bytes.clear();
        parts[0].put(row, &mut bytes);
        xxh3_64(&bytes)
    };
    Ok((0..batch.num_rows()).map(key).collect())
}

/// A column as what of a row it writes.
enum Part<'a> {
    Numbers { cells: Cells<'a> },
    Bytes(&'a dyn Array),
    Lists(&'a dyn Array, Box<Part<'a>>),
}

fn parts<'a>(batch: &'a RecordBatch, columns: &[usize]) -> Result<Vec<Part<'a>>, QualityError> {
    let schema = batch.schema_ref();
    columns
        .iter()
        .map(|&column| {
            Part::of(batch.column(column).as_ref()).ok_or_else(|| QualityError::Unsupported {
                column: schema.field(column).name().clone(),
                found: schema.field(column).data_type().to_string(),
            })
        })
        .collect()
}

impl<'a> Part<'a> {
    fn of(array: &'a dyn Array) -> Option<Self> {
        match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => {
                Some(Self::Bytes(array))
            }
            DataType::List(_) => {
                Some(Self::Lists(array, Box::new(Self::of(array.as_list::<i32>().values())?)))
            }
            DataType::LargeList(_) => {
                Some(Self::Lists(array, Box::new(Self::of(array.as_list::<i64>().values())?)))
            }
            _ => Some(Self::Numbers { cells: Cells::of(array)? }),
        }
    }

    fn put(&self, row: usize, bytes: &mut Vec<u8>) {
        match self {
            Self::Numbers { cells } => put_numbers(cells, row, bytes),
            Self::Bytes(array) => {
                bytes.push(u8::from(array.is_valid(row)));
                if array.is_valid(row) {
                    let text = span(*array, row);
                    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
                    bytes.extend_from_slice(text);
                }
            }
            Self::Lists(array, values) => {
                bytes.push(u8::from(array.is_valid(row)));
                if array.is_valid(row) {
                    let range = bounds(*array, row);
                    bytes.extend_from_slice(&(range.len() as u64).to_le_bytes());
                    for at in range {
                        values.put(at, bytes);
                    }
                }
            }
        }
    }
}

fn put_numbers(cells: &Cells<'_>, row: usize, bytes: &mut Vec<u8>) {
    let Cells::Numbers { numbers, width, rows, leaves } = *cells else { return };
    let valid = rows.is_none_or(|nulls| nulls.is_valid(row));
    bytes.push(u8::from(valid));
    if !valid {
        return;
    }
    let range = row * width..(row + 1) * width;
    match leaves.filter(|nulls| nulls.null_count() > 0) {
        None => numbers.put(range, bytes),
        Some(nulls) => {
            for at in range.clone() {
                if nulls.is_valid(at) {
                    numbers.put(at..at + 1, bytes);
                } else {
                    // Not to be taken for the numbers of a row without gaps: those have no further bytes.
                    bytes.extend_from_slice(&[0xFF; 9]);
                    bytes.extend_from_slice(&((at - range.start) as u64).to_le_bytes());
                }
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "offsets of an array in memory")]
fn bounds(array: &dyn Array, row: usize) -> Range<usize> {
    match array.data_type() {
        DataType::List(_) => {
            let offsets = array.as_list::<i32>().value_offsets();
            offsets[row] as usize..offsets[row + 1] as usize
        }
        _ => {
            let offsets = array.as_list::<i64>().value_offsets();
            offsets[row] as usize..offsets[row + 1] as usize
        }
    }
}

#[cfg(test)]
#[path = "row_hashes_tests.rs"]
mod tests;
