//! What the columns of samples are: by what their members' names end in, or by a schema that is given.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use arrow_schema::{DataType, Field, Schema};

use super::sample::{Grouping, Samples};
use crate::RecordError;
use crate::source::framed::Framed;
use crate::source::npy::{Member, Refused};
use crate::source::options::{Infer, ReadOptions};
use crate::source::rows::field;
use crate::source::unit::{Cut, Work};
use crate::source::value_column::{Count, ValueColumn};
use crate::spec::column_spec;

/// The column of samples' keys.
pub(super) const KEY: &str = "__key__";

/// Columns that a file may have.
const MAX_COLUMNS: usize = 10_000;

/// Give what follows a column's last dot: `png` of `seg.png`.
fn ending(column: &str) -> &str {
    column.rsplit('.').next().unwrap_or(column)
}

/// Find a file's columns: the key, then what its first samples have, by name. Without samples there are none.
pub(super) fn schema(path: &Path, options: &ReadOptions) -> Result<Schema, RecordError> {
    let most = match options.infer {
        Infer::Records(most) => most.get(),
        Infer::Whole => u64::MAX,
    };
    let mut cutter = Framed::open(path.to_owned(), Grouping::new(options.record_bytes), options)?;
    let (mut seen, mut samples) = (BTreeMap::new(), 0);
    let mut lost = None;
    'all: while let Some(unit) = cutter.next()? {
        let block = match unit.work {
            Work::Bytes(block) => block,
            Work::Lost(bad) => {
                lost = lost.or(Some(bad.reason));
                continue;
            }
            Work::Part(_) => continue,
        };
        for sample in (Samples { block: &block, at: 0 }) {
            if samples == most {
                break 'all;
            }
            samples += 1;
            for (column, data) in sample.members {
                let Ok(column) = String::from_utf8(column) else { continue };
                if options.columns.as_ref().is_none_or(|wanted| wanted.contains(&column)) {
                    look(path, &column, &block[data], options.types.as_deref(), &mut seen)?;
                }
            }
        }
    }
    if samples == 0 {
        let Some(why) = lost else { return Ok(Schema::empty()) };
        let detail = format!("its columns can't be found in its samples ({why}); give a schema");
        return Err(RecordError::NoSchema { path: path.to_owned(), detail });
    }
    let key = field(KEY, DataType::Utf8).with_nullable(false);
    Ok(Schema::new(std::iter::once(key).chain(seen.into_values()).collect::<Vec<_>>()))
}

/// Take down what a member is; a type that is given decides.
fn look(
    path: &Path,
    column: &str,
    data: &[u8],
    types: Option<&Schema>,
    seen: &mut BTreeMap<String, Field>,
) -> Result<(), RecordError> {
    let pickled = |found: &str| RecordError::Pickled {
        path: path.to_owned(),
        column: column.to_owned(),
        found: found.to_owned(),
    };
    let refuse = |detail: String| RecordError::NoSchema { path: path.to_owned(), detail };
    let given = types.and_then(|types| types.field_with_name(column).ok());
    let data_type = match ending(column) {
        "pyd" | "pickle" | "pkl" | "pth" | "pt" => return Err(pickled("a pickle")),
        _ if given.is_some() => given.map_or(DataType::Binary, |field| field.data_type().clone()),
        "txt" | "text" | "transcript" | "json" | "jsn" => DataType::Utf8,
        "cls" | "cls2" | "class" | "count" | "index" | "inx" | "id" => DataType::Int64,
        "npy" => {
            let found = match Member::read(data) {
                Ok(member) => member.field(column),
                Err(Refused::Pickled) => return Err(pickled("an array of Python objects")),
                // A damaged one is a bad record when its turn comes.
                Err(Refused::Odd(_)) => return Ok(()),
                Err(Refused::Unsupported(why)) => return Err(refuse(format!("column {column:?}: {why}"))),
            };
            let known = seen.entry(column.to_owned()).or_insert_with(|| found.clone());
            if *known == found {
                return Ok(());
            }
            let detail = format!(
                "column {column:?} holds arrays of different shapes or types; give a schema in which it is binary"
            );
            return Err(refuse(detail));
        }
        _ => DataType::Binary,
    };
    if seen.len() >= MAX_COLUMNS {
        return Err(refuse(format!(
            "its samples have more than {MAX_COLUMNS} columns; give a schema of those meant"
        )));
    }
    seen.entry(column.to_owned()).or_insert_with(|| field(column, data_type));
    Ok(())
}

/// One column: how its members become values.
pub(super) struct Column {
    array: bool,
    /// Shape of a row's array; `None` for a list of any length.
    shape: Option<Vec<usize>>,
}

impl Column {
    pub(super) fn new(field: &Field, path: &Path) -> Self {
        let numbers = !matches!(
            field.data_type(),
            DataType::Binary | DataType::LargeBinary | DataType::Utf8 | DataType::LargeUtf8
        );
        let array = numbers && ending(field.name()) == "npy";
        Self { array, shape: column_spec(field, path).ok().map(|spec| spec.row_shape) }
    }

    /// Put a member's data into its column.
    pub(super) fn put(
        &self,
        data: &[u8],
        column: &mut ValueColumn,
        scratch: &mut Vec<u8>,
    ) -> Result<(), String> {
        if self.array {
            return self.put_array(data, column, scratch);
        }
        if column.count() != Count::One {
            return Err(format!("its bytes are no {}; only .npy members are arrays", column.item()));
        }
        if column.is_text() {
            return column.put_text(data);
        }
        let text = std::str::from_utf8(data).map_err(|_| "its text is no UTF-8".to_owned())?.trim();
        let shown = || text.chars().take(40).collect::<String>();
        match column.item() {
            DataType::Float32 | DataType::Float64 => {
                column.put_float(text.parse().map_err(|_| format!("{:?} is no number", shown()))?)
            }
            _ => column.put_int(text.parse().map_err(|_| format!("{:?} is no whole number", shown()))?),
        }
    }

    fn put_array(&self, data: &[u8], column: &mut ValueColumn, scratch: &mut Vec<u8>) -> Result<(), String> {
        let member = Member::read(data).map_err(|refused| match refused {
            Refused::Odd(why) | Refused::Unsupported(why) => why,
            Refused::Pickled => "it is an array of Python objects, which is never unpickled".to_owned(),
        })?;
        let fits = match &self.shape {
            Some(shape) => member.shape() == shape,
            None => member.shape().len() == 1,
        };
        if !fits || member.item() != column.item() {
            let (item, shape) = (member.item(), member.shape());
            return Err(format!("its array is {item} of the shape {shape:?}, which the column doesn't hold"));
        }
        let values: Cow<'_, [u8]> = member.values(scratch);
        column.put_all(&values)
    }
}
