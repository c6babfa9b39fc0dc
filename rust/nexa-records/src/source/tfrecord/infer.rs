//! The columns of records that don't say what they are: from what their features were seen to be.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use super::example::{Feature, Kind, features};
use super::framing::{Framing, record};
use crate::RecordError;
use crate::source::framed::Framed;
use crate::source::options::{Infer, ReadOptions};
use crate::source::rows::{Flaw, field};
use crate::source::unit::{Cut, Work};

/// Columns that a file may have.
const MAX_COLUMNS: usize = 100_000;

/// What a feature was seen to be.
struct Seen {
    kind: Kind,
    fewest: usize,
    most: usize,
    /// The record that had it first, for the message.
    record: u64,
}

/// Find a file's columns, in the order of their names: features have none of their own.
///
/// One value in every record is a column of it, the same number n > 1 a list of that size, anything else a list. Without
/// records there are no columns.
pub(super) fn schema(path: &Path, options: &ReadOptions) -> Result<Schema, RecordError> {
    let most = match options.infer {
        Infer::Records(most) => most.get(),
        Infer::Whole => u64::MAX,
    };
    let refuse = |detail: String| RecordError::NoSchema { path: path.to_owned(), detail };
    let mut cutter = Framed::open(path.to_owned(), Framing { record_bytes: options.record_bytes }, options)?;
    let (mut seen, mut records, mut flawed) = (BTreeMap::new(), 0, None);
    'all: while let Some(unit) = cutter.next()? {
        let block = match unit.work {
            Work::Bytes(block) => block,
            Work::Lost(bad) => {
                flawed = flawed.or(Some(bad.reason));
                continue;
            }
            Work::Part(_) => continue,
        };
        let mut rest = &block[..];
        while let Some((_, data)) = record(&mut rest) {
            if records == most {
                break 'all;
            }
            match data.and_then(|data| look(data, records, options.types.as_deref(), &mut seen)) {
                Ok(None) => {}
                Ok(Some(contradiction)) => return Err(refuse(contradiction)),
                Err(flaw) => flawed = flawed.or(Some(flaw.reason)),
            }
            records += 1;
        }
    }
    if let (true, Some(flaw)) = (seen.is_empty(), flawed) {
        return Err(refuse(format!(
            "its columns can't be found in its records (the first one: {flaw}); give a schema"
        )));
    }
    let given = |name| options.types.as_ref().and_then(|types| types.field_with_name(name).ok());
    let columns = seen.iter().map(|(name, seen)| given(name).cloned().unwrap_or_else(|| column(name, seen)));
    Ok(Schema::new(columns.collect::<Vec<_>>()))
}

/// Take down a record's features, or say how they contradict those before; a flawed record counts for nothing.
///
/// A column whose type is given can't be contradicted.
fn look(
    data: &[u8],
    record: u64,
    types: Option<&Schema>,
    seen: &mut BTreeMap<String, Seen>,
) -> Result<Option<String>, Flaw> {
    let mut found = BTreeMap::new();
    features(data, |name, feature: Feature<'_>| {
        let count = feature.count().map_err(|reason| Flaw::of(name, reason.to_owned()))?;
        found.insert(name.to_owned(), feature.kind.map(|kind| (kind, count)));
        Ok(())
    })?;
    for (name, (kind, count)) in found.into_iter().filter_map(|(name, values)| Some((name, values?))) {
        let new = Seen { kind, fewest: count, most: count, record };
        let full = seen.len() >= MAX_COLUMNS && !seen.contains_key(&name);
        let known = seen.entry(name.clone()).or_insert(new);
        if known.kind != kind && types.is_none_or(|types| types.field_with_name(&name).is_err()) {
            return Ok(Some(format!(
                "feature {name:?} is a {} in record {} and a {} in record {record}; write it as one, or leave it out by \
                 giving a schema",
                known.kind.name(),
                known.record,
                kind.name()
            )));
        }
        if full {
            return Ok(Some(format!(
                "its records have more than {MAX_COLUMNS} features; give a schema of those meant"
            )));
        }
        known.fewest = known.fewest.min(count);
        known.most = known.most.max(count);
    }
    Ok(None)
}

fn column(name: &str, seen: &Seen) -> Field {
    let item = match seen.kind {
        Kind::Bytes => DataType::Binary,
        Kind::Float => DataType::Float32,
        Kind::Int64 => DataType::Int64,
    };
    let list = |item| Arc::new(Field::new("item", item, true));
    let data_type = match (seen.fewest, i32::try_from(seen.most)) {
        (1, Ok(1)) => item,
        (fewest, Ok(most)) if fewest == seen.most && most > 1 => DataType::FixedSizeList(list(item), most),
        _ => DataType::List(list(item)),
    };
    field(name, data_type)
}
