//! Labels of shards → which records: read once, a shard at a time, before the order of an epoch is drawn.

use std::collections::HashMap;

use nexa_filter::LabelSet;
use nexa_records::{Element, FixedColumn, RecordError, Shard, fixed_column};

use crate::{BatchError, Selection, ShardSpec};

/// Which labels the records of some shards may have.
#[derive(Debug, Clone)]
pub struct LabelRule {
    /// The labels that are named.
    pub labels: LabelSet,
    /// Whether they are those that records may not have.
    pub deny: bool,
}

/// Select the records of all `parts`, numbered through their shards, whose label passes the rule of their part.
///
/// Returns the selection, and how many of it are of each part.
///
/// # Errors
/// A shard that can't be read, or whose labels aren't integers.
pub fn select_by_label(
    parts: &[(Vec<ShardSpec>, Option<LabelRule>)],
    column: &str,
) -> Result<(Selection, Vec<u64>), BatchError> {
    let total = parts.iter().flat_map(|(shards, _)| shards).map(|shard| shard.records).sum();
    let mut kept = Selection::below(total);
    let (mut first, mut counts) = (0, Vec::new());
    let mut rows = Vec::new();
    for (shards, rule) in parts {
        let before = kept.len();
        let records: u64 = shards.iter().map(|shard| shard.records).sum();
        match rule {
            None => kept.extend(first..first + records),
            Some(rule) => scan(shards, column, |at, labels| {
                rule.labels.select_into(labels, rule.deny, &mut rows);
                kept.extend(rows.iter().map(|row| first + at + row));
            })?,
        }
        first += records;
        counts.push(kept.len() - before);
    }
    Ok((kept, counts))
}

/// Records by class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    /// The labels that there are, ascending.
    pub labels: Vec<i64>,
    /// Records of each.
    pub counts: Vec<u64>,
    /// The records of the first label ascending, then those of the next, and so on.
    pub records: Selection,
}

/// Group the records of `shards`, or those of them that are in `chosen` (ascending), by their label.
///
/// With `chosen`, records are numbered by their places in it.
///
/// # Errors
/// As [`select_by_label`].
pub fn group_by_label(
    shards: &[ShardSpec],
    column: &str,
    chosen: Option<&Selection>,
) -> Result<Classes, BatchError> {
    let mut found: HashMap<i64, u64> = HashMap::new();
    each_label(shards, column, chosen, |_, label| *found.entry(label).or_default() += 1)?;
    let mut classes: Vec<(i64, u64)> = found.into_iter().collect();
    classes.sort_unstable();
    let mut next = 0;
    let mut places: HashMap<i64, usize> = HashMap::with_capacity(classes.len());
    for &(label, count) in &classes {
        places.insert(label, next);
        next += usize::try_from(count).map_err(|_| BatchError::TooLarge { what: "a class" })?;
    }
    let mut records = Selection::zeros(next as u64, next);
    each_label(shards, column, chosen, |record, label| {
        if let Some(place) = places.get_mut(&label) {
            records.set(*place, record);
            *place += 1;
        }
    })?;
    let (labels, counts) = classes.into_iter().unzip();
    Ok(Classes { labels, counts, records })
}

fn each_label(
    shards: &[ShardSpec],
    column: &str,
    chosen: Option<&Selection>,
    mut each: impl FnMut(u64, i64),
) -> Result<(), BatchError> {
    let mut index = 0;
    scan(shards, column, |first, labels| {
        for (record, &label) in (first..).zip(labels) {
            match chosen {
                None => each(record, label),
                Some(chosen) if chosen.get(index) == Some(record) => {
                    each(index, label);
                    index += 1;
                }
                Some(_) => {}
            }
        }
    })
}

/// Hand out the labels of `shards`, a chunk at a time with the number of its first record.
fn scan(shards: &[ShardSpec], column: &str, mut each: impl FnMut(u64, &[i64])) -> Result<(), BatchError> {
    let mut first = 0;
    for spec in shards.iter().filter(|spec| spec.records > 0) {
        // Opened and closed one by one: there may be more shards than a process may map.
        let shard = Shard::open(&spec.path)?;
        if shard.num_rows() != spec.records {
            let (path, expected, found) = (spec.path.clone(), spec.records, shard.num_rows());
            return Err(RecordError::RowCount { path, expected, found }.into());
        }
        let index = shard.column_index(column)?;
        for chunk in 0..shard.num_batches() {
            let batch = shard.batch_projected(chunk, &[index])?;
            let labels = fixed_column(batch.column(0), batch.schema().field(0), &spec.path)?;
            let labels = integers(&labels).ok_or_else(|| BatchError::NotClasses {
                path: spec.path.clone(),
                column: column.to_owned(),
                found: format!("{}{:?}", labels.element.name(), labels.row_shape),
            })?;
            each(first, &labels);
            first += labels.len() as u64;
        }
    }
    Ok(())
}

/// The rows of a column of single integers.
fn integers(column: &FixedColumn) -> Option<Vec<i64>> {
    if !column.row_shape.is_empty() {
        return None;
    }
    let bytes = column.values.as_slice();
    Some(match column.element {
        Element::I64 => bytes.as_chunks().0.iter().map(|&each| i64::from_ne_bytes(each)).collect(),
        Element::I32 => bytes.as_chunks().0.iter().map(|&each| i32::from_ne_bytes(each).into()).collect(),
        Element::I16 => bytes.as_chunks().0.iter().map(|&each| i16::from_ne_bytes(each).into()).collect(),
        Element::I8 => bytes.iter().map(|&each| each.cast_signed().into()).collect(),
        Element::U32 => bytes.as_chunks().0.iter().map(|&each| u32::from_ne_bytes(each).into()).collect(),
        Element::U16 => bytes.as_chunks().0.iter().map(|&each| u16::from_ne_bytes(each).into()).collect(),
        Element::U8 | Element::Bool => bytes.iter().map(|&each| each.into()).collect(),
        Element::U64 | Element::F16 | Element::F32 | Element::F64 => return None,
    })
}
