//! The Arrow IPC file: our shard format, mapped and handed out without a copy.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::MessageHeader;
use arrow_ipc::reader::{RecordBatchDecoder, read_dictionary};
use arrow_schema::{DataType, Metadata, Schema, SchemaRef};
use bytes::Bytes;
use nexa_io::{Access, ShardBytes};

use crate::ipc_layout::{self, Dictionary, Layout, Ranges, Span};
use crate::{RecordError, guard, ipc_message, ipc_stream};

type Dictionaries = HashMap<i64, ArrayRef>;

/// An open shard: its schema, its row counts and, on request, its record batches.
///
/// Cheap to share between threads: all methods take `&self`. The batches it gives keep the file's memory alive on
/// their own, so that they may outlive the shard.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    file: Buffer,
    mapped: bool,
    schema: SchemaRef,
    batches: Vec<Span>,
    batch_rows: Vec<u64>,
    num_rows: u64,
    dictionary_blocks: Vec<Dictionary>,
    /// What is missing at the end of a stream that was cut short.
    torn: Option<String>,
    /// Decoded when a batch first needs one: most shards have none, and most reads leave such columns out.
    dictionaries: OnceLock<Dictionaries>,
}

impl Shard {
    /// Open an Arrow IPC file and read its footer and its batches' headers, but none of their bodies.
    ///
    /// # Errors
    ///
    /// [`RecordError::Io`] where the file cannot be read, [`RecordError::NotArrow`] where it is of another format,
    /// [`RecordError::Truncated`] where its end is missing, [`RecordError::Corrupt`] where it contradicts itself.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        Self::open_paged(path, false)
    }

    /// As [`open`](Self::open); `huge` says that all that is read fits into memory, so that large pages pay.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_paged(path: &Path, huge: bool) -> Result<Self, RecordError> {
        Self::open_as(path, Access::Shared, huge)
    }

    /// As [`open_paged`](Self::open_paged), in memory for the use that `access` says.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_as(path: &Path, access: Access, huge: bool) -> Result<Self, RecordError> {
        Self::over(path, access, huge, |bytes| Ok((ipc_layout::read(bytes, path)?, None)))
    }

    /// Open an Arrow IPC stream in a file and read its messages' headers, but none of their bodies.
    ///
    /// A stream that ends in the middle of a message is read up to there; [`torn`](Self::torn) tells.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`RecordError::NotOfFormat`] where it is no stream.
    pub fn open_stream(path: &Path) -> Result<Self, RecordError> {
        Self::over(path, Access::Shared, false, |bytes| ipc_stream::read(bytes, path))
    }

    fn over(
        path: &Path,
        access: Access,
        huge: bool,
        layout: impl FnOnce(&[u8]) -> Result<(Layout, Option<String>), RecordError>,
    ) -> Result<Self, RecordError> {
        let bytes = ShardBytes::open_as(path, access)
            .map_err(|source| RecordError::Io { path: path.to_owned(), source })?;
        if huge {
            bytes.advise_huge_pages();
        }
        let mapped = bytes.is_mapped();
        let file = Buffer::from(Bytes::from_owner(Owner(bytes)));
        let (Layout { schema, dictionaries, batches }, torn) = layout(file.as_slice())?;
        let batch_rows = rows_by_batch(file.as_slice(), &batches, path)?;
        let num_rows = total_rows(&batch_rows, path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            mapped,
            schema: Arc::new(schema),
            batches,
            batch_rows,
            num_rows,
            dictionary_blocks: dictionaries,
            torn,
            dictionaries: OnceLock::new(),
        })
    }

    /// Give the file's path, as it was given to [`Shard::open`].
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Give the schema.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Give the schema's metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        self.schema.metadata()
    }

    /// Give the number of record batches; some may be empty.
    #[must_use]
    pub fn num_batches(&self) -> usize {
        self.batches.len()
    }

    /// Give the number of rows, from the batches' headers.
    #[must_use]
    pub fn num_rows(&self) -> u64 {
        self.num_rows
    }

    /// Give the rows of every batch, in order.
    #[must_use]
    pub fn rows_by_batch(&self) -> &[u64] {
        &self.batch_rows
    }

    /// Give the rows of one batch.
    ///
    /// # Errors
    ///
    /// [`RecordError::MissingBatch`] beyond the last.
    pub fn batch_rows(&self, index: usize) -> Result<u64, RecordError> {
        self.batch_rows.get(index).copied().ok_or_else(|| self.missing_batch(index))
    }

    /// Give what is missing at the end of a stream that was cut short.
    #[must_use]
    pub fn torn(&self) -> Option<&str> {
        self.torn.as_deref()
    }

    /// Tell whether the file is mapped rather than read into memory.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        self.mapped
    }

    /// Give the addresses of the file's bytes: what lies between them is a view, not a copy.
    #[must_use]
    pub fn addresses(&self) -> Range<usize> {
        let start = self.file.as_ptr().addr();
        start..start + self.file.len()
    }

    /// Give a column's index in the schema by its name.
    ///
    /// # Errors
    ///
    /// [`RecordError::MissingColumn`] where there is none, [`RecordError::Corrupt`] where there are several.
    pub fn column_index(&self, name: &str) -> Result<usize, RecordError> {
        column_index(&self.schema, name, &self.path)
    }

    /// Read one record batch with all its columns.
    ///
    /// # Returns
    ///
    /// Views of the file's memory where its buffers are uncompressed and aligned, else copies.
    ///
    /// # Errors
    ///
    /// [`RecordError::MissingBatch`] beyond the last, [`RecordError::Corrupt`] where the batch contradicts itself.
    pub fn batch(&self, index: usize) -> Result<RecordBatch, RecordError> {
        self.read(index, None)
    }

    /// Read one record batch with some of its columns; the others' bytes are not touched.
    ///
    /// # Args
    ///
    /// - `columns`: indices into the schema, in the order that the result should have.
    ///
    /// # Errors
    ///
    /// As [`Shard::batch`], and [`RecordError::MissingColumn`] for an index beyond the last column.
    pub fn batch_projected(&self, index: usize, columns: &[usize]) -> Result<RecordBatch, RecordError> {
        match columns.iter().find(|column| **column >= self.schema.fields().len()) {
            Some(beyond) => Err(self.missing_column(format!("#{beyond}"))),
            None => self.read(index, Some(columns)),
        }
    }

    fn read(&self, index: usize, columns: Option<&[usize]>) -> Result<RecordBatch, RecordError> {
        let span = *self.batches.get(index).ok_or_else(|| self.missing_batch(index))?;
        let corrupt = |detail: String| corrupt(&self.path, Some(index), detail);
        let message = ipc_message::parse(&self.file[span.metadata()]).map_err(corrupt)?;
        let batch =
            message.header_as_record_batch().ok_or_else(|| corrupt(not_a_batch(message.header_type())))?;
        let body = self.body(span);
        ipc_message::check(&batch, &body).map_err(corrupt)?;
        let (none, own);
        let dictionaries = if !self.needs_dictionaries(columns) {
            none = Dictionaries::new();
            &none
        } else if self.dictionaries_change() {
            own = self.decode_dictionaries(index)?;
            &own
        } else {
            self.dictionaries()?
        };
        guard::decode(&self.path, Some(index), || {
            RecordBatchDecoder::try_new(&body, batch, self.schema(), dictionaries, &message.version())?
                .with_projection(columns)
                .read_record_batch()
        })
    }

    fn body(&self, span: Span) -> Buffer {
        let range = span.body();
        self.file.slice_with_length(range.start, range.len())
    }

    fn needs_dictionaries(&self, columns: Option<&[usize]>) -> bool {
        let fields = self.schema.fields();
        !self.dictionary_blocks.is_empty()
            && match columns {
                Some(columns) => columns.iter().any(|column| has_dictionary(fields[*column].data_type())),
                None => true,
            }
    }

    fn dictionaries(&self) -> Result<&Dictionaries, RecordError> {
        if let Some(dictionaries) = self.dictionaries.get() {
            return Ok(dictionaries);
        }
        // Two threads may both decode them; one result is kept, and they are equal.
        let decoded = self.decode_dictionaries(0)?;
        Ok(self.dictionaries.get_or_init(|| decoded))
    }

    /// Say whether batches of a stream differ in their dictionaries.
    fn dictionaries_change(&self) -> bool {
        self.dictionary_blocks.last().is_some_and(|last| last.from > 0)
    }

    /// Decode the dictionaries that hold for a batch.
    fn decode_dictionaries(&self, batch: usize) -> Result<Dictionaries, RecordError> {
        let mut dictionaries = Dictionaries::new();
        for Dictionary { span, .. } in self.dictionary_blocks.iter().take_while(|each| each.from <= batch) {
            let corrupt = |detail: String| corrupt(&self.path, None, format!("a dictionary: {detail}"));
            let message = ipc_message::parse(&self.file[span.metadata()]).map_err(corrupt)?;
            let dictionary = message
                .header_as_dictionary_batch()
                .ok_or_else(|| corrupt("its message is none".to_owned()))?;
            let values = dictionary.data().ok_or_else(|| corrupt("it has no values".to_owned()))?;
            let body = self.body(*span);
            ipc_message::check(&values, &body).map_err(corrupt)?;
            guard::decode(&self.path, None, || {
                read_dictionary(&body, dictionary, &self.schema, &mut dictionaries, &message.version())
            })?;
        }
        Ok(dictionaries)
    }

    fn missing_batch(&self, batch: usize) -> RecordError {
        RecordError::MissingBatch { path: self.path.clone(), batch, batches: self.batches.len() }
    }

    fn missing_column(&self, column: String) -> RecordError {
        missing_column(&self.schema, column, &self.path)
    }
}

/// Give a column's index in the schema of the shard at `path` by its name.
///
/// # Errors
///
/// [`RecordError::MissingColumn`] where there is none, [`RecordError::Corrupt`] where there are several.
pub fn column_index(schema: &Schema, name: &str, path: &Path) -> Result<usize, RecordError> {
    let mut found = schema.fields().iter().enumerate().filter(|(_, field)| field.name() == name);
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Ok(index),
        (Some(_), Some(_)) => Err(corrupt(path, None, format!("it has more than one column {name:?}"))),
        (None, _) => Err(missing_column(schema, name.to_owned(), path)),
    }
}

fn missing_column(schema: &Schema, column: String, path: &Path) -> RecordError {
    let known = schema.fields().iter().map(|field| field.name().clone()).collect();
    RecordError::MissingColumn { path: path.to_owned(), column, known }
}

/// `Bytes` wants its owner to be `AsRef<[u8]>`.
struct Owner(ShardBytes);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn corrupt(path: &Path, batch: Option<usize>, detail: String) -> RecordError {
    RecordError::Corrupt { path: path.to_owned(), batch, detail }
}

/// Read the rows of every batch from its header.
pub(crate) fn rows_by_batch(
    file: &(impl Ranges + ?Sized),
    batches: &[Span],
    path: &Path,
) -> Result<Vec<u64>, RecordError> {
    let rows = |(index, span): (usize, &Span)| {
        let metadata = file.get(span.metadata())?;
        header_rows(&metadata).map_err(|detail| corrupt(path, Some(index), detail))
    };
    batches.iter().enumerate().map(rows).collect()
}

/// Add up the rows of all batches.
pub(crate) fn total_rows(by_batch: &[u64], path: &Path) -> Result<u64, RecordError> {
    by_batch
        .iter()
        .try_fold(0u64, |sum, rows| sum.checked_add(*rows))
        .ok_or_else(|| corrupt(path, None, "its batches claim too many rows".to_owned()))
}

fn header_rows(metadata: &[u8]) -> Result<u64, String> {
    let message = ipc_message::parse(metadata)?;
    let batch = message.header_as_record_batch().ok_or_else(|| not_a_batch(message.header_type()))?;
    ipc_message::rows(&batch)
}

pub(crate) fn not_a_batch(header: MessageHeader) -> String {
    format!(
        "its message is a {} where a record batch should be",
        header.variant_name().unwrap_or("nothing known")
    )
}

fn has_dictionary(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(..) => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => has_dictionary(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_dictionary(field.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_dictionary(field.data_type())),
        DataType::RunEndEncoded(_, values) => has_dictionary(values.data_type()),
        _ => false,
    }
}
