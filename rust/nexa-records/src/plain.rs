//! A shard whose columns lie plain in its file: where some rows' bytes are is arithmetic, and nothing is mapped.
//!
//! ```text
//! fixed(rows):          one range of the file
//! offsets(rows):        one range; their bytes say where the items are
//! items(rows, offsets): one range
//! ```
//!
//! Compressed batches, missing values, and columns of views or unions aren't plain: such a shard is mapped.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use arrow_buffer::Buffer;
use arrow_schema::{DataType, SchemaRef};
use bytes::Bytes;
use nexa_io::{BufferPool, DirectFile, DirectPiece, SourceFacts};

use crate::column::unpacked;
use crate::ipc_layout::{self, Layout, Ranges};
use crate::plain_layout::{Leaf, Obstacle, leaves};
use crate::ragged::ragged_rows;
use crate::shard::{column_index, not_a_batch};
use crate::{
    ColumnSpec, Element, FixedColumn, RaggedColumn, RaggedSpec, RecordError, column_spec, ipc_message,
    ragged_spec,
};

/// Where the rows of some columns of a shard lie in its file.
#[derive(Debug)]
pub struct PlainShard {
    path: PathBuf,
    facts: SourceFacts,
    schema: SchemaRef,
    columns: Vec<Column>,
    chunks: Vec<Chunk>,
    /// First row of each chunk, and the number of rows at the end.
    starts: Vec<u64>,
}

#[derive(Debug)]
enum Column {
    Fixed(ColumnSpec),
    /// With the bytes of an offset.
    Ragged(RaggedSpec, usize),
}

#[derive(Debug)]
struct Chunk {
    body: u64,
    leaves: Vec<Leaf>,
}

/// Some rows of one record batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainRows {
    chunk: usize,
    rows: Range<usize>,
}

impl PlainRows {
    /// Give the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Say whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Cut them into parts of so many rows, at least one; the last part may have fewer.
    pub fn parts(&self, most_rows: usize) -> impl Iterator<Item = Self> {
        let (chunk, Range { start, end }) = (self.chunk, self.rows.clone());
        let most_rows = most_rows.max(1);
        (start..end).step_by(most_rows).map(move |from| {
            let upto = from.saturating_add(most_rows).min(end);
            Self { chunk, rows: from..upto }
        })
    }
}

impl PlainShard {
    /// Read a shard's footer and its batches' headers past the page cache.
    ///
    /// # Args
    ///
    /// - `columns`: the columns whose rows will be asked for.
    /// - `pool`: where the memory to read into comes from.
    ///
    /// # Returns
    ///
    /// The shard; or, in words, why it isn't plain.
    ///
    /// # Errors
    ///
    /// As [`Shard::open`](crate::Shard::open), and [`RecordError::MissingColumn`].
    pub fn read(
        file: &DirectFile,
        columns: &[String],
        pool: &BufferPool,
    ) -> Result<Result<Self, String>, RecordError> {
        let path = file.path();
        let parts = Parts { file, pool, last: Mutex::default() };
        let Layout { schema, batches, .. } = ipc_layout::read(&parts, path)?;
        let indices =
            columns.iter().map(|name| column_index(&schema, name, path)).collect::<Result<Vec<_>, _>>()?;
        let column = |index: &usize| {
            let field = schema.field(*index);
            Ok(match (ragged_spec(field, path)?, field.data_type()) {
                (None, _) => Column::Fixed(column_spec(field, path)?),
                (Some(spec), DataType::LargeList(_) | DataType::LargeUtf8 | DataType::LargeBinary) => {
                    Column::Ragged(spec, 8)
                }
                (Some(spec), _) => Column::Ragged(spec, 4),
            })
        };
        let mut shard = Self {
            path: path.to_owned(),
            facts: file.facts(),
            columns: indices.iter().map(column).collect::<Result<_, RecordError>>()?,
            chunks: Vec::new(),
            starts: vec![0],
            schema: schema.into(),
        };
        for (number, span) in batches.iter().enumerate() {
            let metadata = parts.get(span.metadata())?;
            let corrupt = |detail: String| shard.corrupt(Some(number), detail);
            let message = ipc_message::parse(&metadata).map_err(corrupt)?;
            let batch = message
                .header_as_record_batch()
                .ok_or_else(|| corrupt(not_a_batch(message.header_type())))?;
            let rows = ipc_message::rows(&batch).map_err(corrupt)?;
            let found = match leaves(&batch, span.body().len(), shard.schema.fields(), &indices) {
                Ok(found) => found,
                Err(Obstacle::NotPlain(why)) => return Ok(Err(why)),
                Err(Obstacle::Corrupt(detail)) => return Err(corrupt(detail)),
            };
            if rows == 0 {
                continue;
            }
            let count = usize::try_from(rows).map_err(|_| corrupt(format!("it claims {rows} rows")))?;
            for (column, leaf) in shard.columns.iter().zip(&found) {
                column.check(leaf, count).map_err(corrupt)?;
            }
            shard.starts.push(shard.starts[shard.starts.len() - 1].saturating_add(rows));
            shard.chunks.push(Chunk { body: span.body().start as u64, leaves: found });
        }
        Ok(Ok(shard))
    }

    /// Give the schema.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// Give what identified the file when its layout was read.
    #[must_use]
    pub const fn facts(&self) -> &SourceFacts {
        &self.facts
    }

    /// Give the number of rows.
    #[must_use]
    pub fn num_rows(&self) -> u64 {
        self.starts[self.starts.len() - 1]
    }

    /// Cut rows by the record batches that they lie in.
    #[must_use]
    pub fn cut(&self, rows: Range<u64>) -> Vec<PlainRows> {
        let first = self.starts.partition_point(|start| *start <= rows.start) - 1;
        let chunks = self.starts.windows(2).enumerate().skip(first);
        let cut = chunks.map_while(|(chunk, bounds)| {
            let (start, end) = (rows.start.max(bounds[0]), rows.end.min(bounds[1]));
            // A chunk's rows fit the machine's integers: that was checked.
            let within = |row: u64| usize::try_from(row - bounds[0]).unwrap_or(usize::MAX);
            (start < end).then(|| PlainRows { chunk, rows: within(start)..within(end) })
        });
        cut.collect()
    }

    /// Give the range of the file that holds the numbers of these rows of a column of equal rows.
    #[must_use]
    pub fn fixed_range(&self, column: usize, rows: &PlainRows) -> Range<u64> {
        let bits = self.columns[column].bits();
        let PlainRows { chunk, rows: Range { start, end } } = rows;
        self.place(*chunk, &self.leaf(column, *chunk).values, start * bits / 8..(end * bits).div_ceil(8))
    }

    /// Give the range of the file that holds the offsets of these rows of a column of lists, text or bytes.
    #[must_use]
    pub fn offsets_range(&self, column: usize, rows: &PlainRows) -> Range<u64> {
        let width = self.columns[column].offset_bytes();
        let offsets = self.leaf(column, rows.chunk).offsets.clone().unwrap_or_default();
        self.place(rows.chunk, &offsets, rows.rows.start * width..(rows.rows.end + 1) * width)
    }

    /// Give the range of the file that holds the items of these rows, whose offsets were read.
    ///
    /// # Errors
    ///
    /// [`RecordError::Corrupt`] where the offsets lead out of the column.
    pub fn items_range(
        &self,
        column: usize,
        rows: &PlainRows,
        offsets: &[u8],
    ) -> Result<Range<u64>, RecordError> {
        let items = self.items(column, rows, offsets)?;
        let bits = self.columns[column].bits();
        let leaf = self.leaf(column, rows.chunk);
        Ok(self.place(rows.chunk, &leaf.values, items.start * bits / 8..(items.end * bits).div_ceil(8)))
    }

    /// Make rows of equal width of the bytes of [`fixed_range`](Self::fixed_range).
    ///
    /// # Errors
    ///
    /// [`RecordError::Corrupt`] where these are other bytes.
    pub fn fixed(&self, column: usize, rows: &PlainRows, values: Buffer) -> Result<FixedColumn, RecordError> {
        let Column::Fixed(spec) = &self.columns[column] else {
            return Err(self.corrupt(Some(rows.chunk), "its column is a ragged one".to_owned()));
        };
        let elements = spec.row_bytes / spec.element.bytes();
        let values = if spec.element == Element::Bool {
            unpacked(values, rows.rows.start * elements % 8, rows.len() * elements)
        } else {
            values
        };
        let (row_bytes, element) = (spec.row_bytes, spec.element);
        Ok(FixedColumn { values, rows: rows.len(), row_bytes, element, row_shape: spec.row_shape.clone() })
    }

    /// Make lists, text or bytes of what [`offsets_range`](Self::offsets_range) and
    /// [`items_range`](Self::items_range) name.
    ///
    /// # Errors
    ///
    /// [`RecordError::Corrupt`] where the offsets aren't in order, or text isn't UTF-8.
    pub fn ragged(
        &self,
        column: usize,
        rows: &PlainRows,
        offsets: Buffer,
        values: Buffer,
    ) -> Result<RaggedColumn, RecordError> {
        let corrupt = |detail| self.corrupt(Some(rows.chunk), detail);
        let Column::Ragged(spec, width) = &self.columns[column] else {
            return Err(corrupt("its column is no ragged one".to_owned()));
        };
        let values = if spec.element == Element::Bool {
            let items = self.items(column, rows, &offsets)?;
            let bits = self.columns[column].bits();
            unpacked(values, items.start * bits % 8, items.len() * bits)
        } else {
            values
        };
        ragged_rows(spec, *width, offsets, values).map_err(corrupt)
    }

    /// Items of the rows whose offsets these are, found to lie inside the column.
    fn items(&self, column: usize, rows: &PlainRows, offsets: &[u8]) -> Result<Range<usize>, RecordError> {
        let held = self.leaf(column, rows.chunk).values.len() * 8 / self.columns[column].bits();
        let bound = |bytes: Option<&[u8]>| match self.columns[column].offset_bytes() {
            4 => usize::try_from(i32::from_le_bytes(*bytes?.first_chunk()?)).ok(),
            _ => usize::try_from(i64::from_le_bytes(*bytes?.first_chunk()?)).ok(),
        };
        let width = self.columns[column].offset_bytes();
        let last = offsets.len().checked_sub(width).and_then(|last| offsets.get(last..));
        let found = bound(Some(offsets)).zip(bound(last)).map(|(first, last)| first..last);
        found.filter(|items| items.start <= items.end && items.end <= held).ok_or_else(|| {
            self.corrupt(Some(rows.chunk), format!("column #{column} has rows beyond its values"))
        })
    }

    fn leaf(&self, column: usize, chunk: usize) -> &Leaf {
        &self.chunks[chunk].leaves[column]
    }

    fn place(&self, chunk: usize, within: &Range<usize>, bytes: Range<usize>) -> Range<u64> {
        let start = self.chunks[chunk].body + within.start as u64;
        start + bytes.start as u64..start + bytes.end as u64
    }

    fn corrupt(&self, batch: Option<usize>, detail: String) -> RecordError {
        RecordError::Corrupt { path: self.path.clone(), batch, detail }
    }
}

impl Column {
    /// Bits of a row of equal width, or of an item; never 0.
    fn bits(&self) -> usize {
        let (element, bytes) = match self {
            Self::Fixed(spec) => (spec.element, spec.row_bytes),
            Self::Ragged(spec, _) => (spec.element, spec.item_bytes),
        };
        if element == Element::Bool { bytes } else { bytes * 8 }
    }

    fn offset_bytes(&self) -> usize {
        match self {
            Self::Fixed(_) => 8,
            Self::Ragged(_, width) => *width,
        }
    }

    /// Check that the column's buffers hold so many rows; what their offsets say is checked where they are read.
    fn check(&self, leaf: &Leaf, rows: usize) -> Result<(), String> {
        let needs = match (self, &leaf.offsets) {
            (Self::Fixed(_), _) => rows.checked_mul(self.bits()).map(|bits| (bits.div_ceil(8), &leaf.values)),
            (Self::Ragged(_, width), Some(offsets)) => {
                rows.checked_add(1).and_then(|all| all.checked_mul(*width)).map(|bytes| (bytes, offsets))
            }
            (Self::Ragged(..), None) => None,
        };
        match needs {
            Some((bytes, range)) if bytes <= range.len() => Ok(()),
            _ => Err(format!("a column has fewer values than its {rows} rows")),
        }
    }
}

/// Hand a piece of a file to columns, which keep it until the last of them dies.
#[must_use]
pub fn bytes_of(piece: DirectPiece) -> Buffer {
    Buffer::from(Bytes::from_owner(piece))
}

/// A file of which parts are read past the page cache.
struct Parts<'a> {
    file: &'a DirectFile,
    pool: &'a BufferPool,
    /// What was read last, and from where: footers are looked at several times.
    last: Mutex<Option<(u64, Vec<u8>)>>,
}

/// As much as costs no more than a page.
const LEAST_READ: u64 = 64 << 10;

impl Ranges for Parts<'_> {
    fn len(&self) -> usize {
        usize::try_from(self.file.facts().bytes).unwrap_or(usize::MAX)
    }

    fn get(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, RecordError> {
        let (start, end) = (range.start as u64, range.end as u64);
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((from, bytes)) = last.as_ref()
            && start >= *from
            && let Ok(skip) = usize::try_from(start - from)
            && let Some(found) = bytes.get(skip..skip.saturating_add(range.len()))
        {
            return Ok(Cow::Owned(found.to_vec()));
        }
        let upto = end.max(start + LEAST_READ).min(self.file.facts().bytes);
        let piece = self
            .file
            .read(start..upto, self.pool)
            .map_err(|source| RecordError::Io { path: self.path().to_owned(), source })?;
        let bytes = piece.as_ref().to_vec();
        let found = bytes[..range.len()].to_vec();
        *last = Some((start, bytes));
        Ok(Cow::Owned(found))
    }
}

impl Parts<'_> {
    fn path(&self) -> &Path {
        self.file.path()
    }
}
