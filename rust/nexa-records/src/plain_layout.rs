//! Which of a record batch's buffers hold a column's numbers, known from its header and the schema alone.
//!
//! A batch lists its arrays and their buffers depth first, column by column
//! (<https://arrow.apache.org/docs/format/Columnar.html#recordbatch-message>): to find a column, all before it are
//! counted.

use std::ops::Range;

use arrow_ipc::RecordBatch;
use arrow_schema::{DataType, Fields};

use crate::ipc_message;

/// Where the numbers of one column of one batch lie, as ranges of the batch's body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaf {
    /// The numbers of all rows or items.
    pub values: Range<usize>,
    /// Where each row begins among the items, for lists, text and bytes.
    pub offsets: Option<Range<usize>>,
}

/// Why a batch isn't plain, or what is wrong with it.
pub(crate) enum Obstacle {
    /// It can be read, but not by arithmetic.
    NotPlain(String),
    Corrupt(String),
}

impl From<String> for Obstacle {
    fn from(detail: String) -> Self {
        Self::Corrupt(detail)
    }
}

/// Find the columns of these indices in a batch with a body of so many bytes.
pub(crate) fn leaves(
    batch: &RecordBatch<'_>,
    body_bytes: usize,
    fields: &Fields,
    columns: &[usize],
) -> Result<Vec<Leaf>, Obstacle> {
    let buffers = ipc_message::buffers(batch, body_bytes)?;
    if batch.compression().is_some() {
        return Err(Obstacle::NotPlain("it is compressed".to_owned()));
    }
    let nulls = batch.nodes().iter().flatten().map(arrow_ipc::FieldNode::null_count).collect();
    let mut walk = Walk { nulls, buffers, node: 0, buffer: 0 };
    let mut found = vec![Leaf::default(); columns.len()];
    let last = columns.iter().copied().max().unwrap_or(0);
    for (index, field) in fields.iter().enumerate().take(last + 1) {
        let (node, mut leaf) = (walk.node, Leaf::default());
        walk.step(field.data_type(), &mut leaf).map_err(|obstacle| match obstacle {
            Obstacle::NotPlain(what) => Obstacle::NotPlain(format!("column {:?} {what}", field.name())),
            corrupt @ Obstacle::Corrupt(_) => corrupt,
        })?;
        for (place, _) in columns.iter().enumerate().filter(|(_, column)| **column == index) {
            if walk.nulls[node..walk.node].iter().any(|nulls| *nulls > 0) {
                return Err(Obstacle::NotPlain(format!("column {:?} has missing values", field.name())));
            }
            found[place] = leaf.clone();
        }
    }
    Ok(found)
}

struct Walk {
    nulls: Vec<i64>,
    buffers: Vec<Range<usize>>,
    node: usize,
    buffer: usize,
}

impl Walk {
    fn step(&mut self, data_type: &DataType, leaf: &mut Leaf) -> Result<(), Obstacle> {
        self.node += 1;
        if self.node > self.nulls.len() {
            return Err(Obstacle::Corrupt("it has fewer arrays than the schema".to_owned()));
        }
        if *data_type == DataType::Null {
            return Ok(());
        }
        let _validity = self.take()?;
        match data_type {
            DataType::FixedSizeList(child, _) => self.step(child.data_type(), leaf)?,
            DataType::List(child) | DataType::LargeList(child) | DataType::Map(child, _) => {
                leaf.offsets = Some(self.take()?);
                self.step(child.data_type(), leaf)?;
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => {
                leaf.offsets = Some(self.take()?);
                leaf.values = self.take()?;
            }
            DataType::Struct(fields) => {
                for field in fields {
                    self.step(field.data_type(), &mut Leaf::default())?;
                }
            }
            DataType::Dictionary(..) => leaf.values = self.take()?,
            DataType::Boolean | DataType::FixedSizeBinary(_) => leaf.values = self.take()?,
            other if other.primitive_width().is_some() => leaf.values = self.take()?,
            other => return Err(Obstacle::NotPlain(format!("is of type {other}"))),
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Range<usize>, Obstacle> {
        let range = self.buffers.get(self.buffer).cloned();
        self.buffer += 1;
        range.ok_or_else(|| Obstacle::Corrupt("it has fewer buffers than the schema".to_owned()))
    }
}
