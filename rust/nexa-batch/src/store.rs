//! Record → bytes: columns of fixed width over shards that are opened when first touched.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use nexa_records::{ColumnSpec, FixedColumn, RecordError, Shard, column_spec, fixed_column};

use crate::BatchError;

/// A shard of a split: where it is, and how many records the catalog says it has.
#[derive(Debug, Clone)]
pub struct ShardSpec {
    /// The shard's file.
    pub path: PathBuf,
    /// Its records; compared with the file's own count when it is opened.
    pub records: u64,
}

/// The records of one split, numbered through its shards in their order.
#[derive(Debug)]
pub struct Store {
    shards: Vec<LazyShard>,
    /// First record of each shard, and the number of records at the end.
    starts: Vec<u64>,
    /// Records of every shard but the last, if they agree: then a division finds the shard.
    uniform: Option<u64>,
    columns: Vec<ColumnSpec>,
}

#[derive(Debug)]
struct LazyShard {
    spec: ShardSpec,
    open: OnceLock<Arc<OpenShard>>,
}

/// A shard's columns in memory: `columns[column][chunk]`.
#[derive(Debug)]
pub(crate) struct OpenShard {
    /// First row of each chunk, and the number of rows at the end.
    starts: Vec<usize>,
    columns: Vec<Vec<FixedColumn>>,
}

impl Store {
    /// Open a split; only the first shard with records is read, to learn the columns' types.
    ///
    /// # Errors
    /// A shard that can't be read, a column that isn't there or has no fixed width.
    pub fn open(shards: Vec<ShardSpec>, columns: &[String]) -> Result<Self, BatchError> {
        let shards: Vec<_> = shards.into_iter().filter(|spec| spec.records > 0).collect();
        let mut starts = Vec::with_capacity(shards.len() + 1);
        let mut total = 0_u64;
        for spec in &shards {
            starts.push(total);
            total = total
                .checked_add(spec.records)
                .filter(|&n| n <= 1 << 63)
                .ok_or(BatchError::TooLarge { what: "the number of records in the split" })?;
        }
        starts.push(total);
        let uniform = uniform(&shards);
        let specs = match shards.first() {
            Some(first) => column_specs(&Shard::open(&first.path)?, columns)?,
            None => Vec::new(),
        };
        let shards = shards.into_iter().map(|spec| LazyShard { spec, open: OnceLock::new() }).collect();
        Ok(Self { shards, starts, uniform, columns: specs })
    }

    /// Records in the split.
    pub fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Whether the split has no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name, element type and shape of each column.
    pub fn columns(&self) -> &[ColumnSpec] {
        &self.columns
    }

    /// Shard that holds `record`, and the record's row in it.
    #[inline]
    pub(crate) fn locate(&self, record: u64) -> (usize, usize) {
        let shard = match self.uniform {
            Some(each) => usize::try_from(record / each).unwrap_or(usize::MAX),
            None => self.starts.partition_point(|&start| start <= record) - 1,
        };
        (shard, usize::try_from(record - self.starts[shard]).unwrap_or(usize::MAX))
    }

    /// The opened shard number `shard`.
    pub(crate) fn shard(&self, shard: usize) -> Result<&Arc<OpenShard>, BatchError> {
        let lazy = &self.shards[shard];
        if let Some(open) = lazy.open.get() {
            return Ok(open);
        }
        // Two threads may open it at once; the second result is dropped, and both are the same.
        let open = Arc::new(OpenShard::open(&lazy.spec, &self.columns)?);
        Ok(lazy.open.get_or_init(|| open))
    }
}

fn uniform(shards: &[ShardSpec]) -> Option<u64> {
    let (last, others) = shards.split_last()?;
    let each = others.first().unwrap_or(last).records;
    (others.iter().all(|spec| spec.records == each) && last.records <= each).then_some(each)
}

fn column_specs(shard: &Shard, columns: &[String]) -> Result<Vec<ColumnSpec>, BatchError> {
    let schema = shard.schema();
    columns
        .iter()
        .map(|name| {
            let (_, field) = schema.column_with_name(name).ok_or_else(|| RecordError::MissingColumn {
                path: shard.path().to_path_buf(),
                column: name.clone(),
                known: schema.fields().iter().map(|field| field.name().clone()).collect(),
            })?;
            Ok(column_spec(field, shard.path())?)
        })
        .collect()
}

impl OpenShard {
    fn open(spec: &ShardSpec, columns: &[ColumnSpec]) -> Result<Self, BatchError> {
        let shard = Shard::open(&spec.path)?;
        if shard.num_rows() != spec.records {
            return Err(RecordError::RowCount {
                path: spec.path.clone(),
                expected: spec.records,
                found: shard.num_rows(),
            }
            .into());
        }
        let schema = shard.schema();
        let mut indices = Vec::with_capacity(columns.len());
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        for (expected, found) in columns.iter().zip(column_specs(&shard, &names)?) {
            if found.element != expected.element || found.row_shape != expected.row_shape {
                return Err(BatchError::Disagreement {
                    path: spec.path.clone(),
                    column: expected.name.clone(),
                    expected: describe(expected),
                    found: describe(&found),
                });
            }
            indices.extend(schema.index_of(&expected.name).ok());
        }
        let mut starts = vec![0];
        let mut open: Vec<Vec<FixedColumn>> = columns.iter().map(|_| Vec::new()).collect();
        for chunk in 0..shard.num_batches() {
            let batch = shard.batch_projected(chunk, &indices)?;
            if batch.num_rows() == 0 {
                continue;
            }
            starts.push(starts[starts.len() - 1] + batch.num_rows());
            let schema = batch.schema();
            for (at, column) in open.iter_mut().enumerate() {
                column.push(fixed_column(batch.column(at), schema.field(at), &spec.path)?);
            }
        }
        Ok(Self { starts, columns: open })
    }

    /// Bytes of `row` in `column`.
    #[inline]
    pub(crate) fn row(&self, column: usize, row: usize) -> &[u8] {
        let chunks = &self.columns[column];
        let (chunk, row) = if chunks.len() == 1 {
            (&chunks[0], row)
        } else {
            let at = self.starts.partition_point(|&start| start <= row) - 1;
            (&chunks[at], row - self.starts[at])
        };
        &chunk.values.as_slice()[row * chunk.row_bytes..(row + 1) * chunk.row_bytes]
    }
}

fn describe(column: &ColumnSpec) -> String {
    format!("{}{:?}", column.element.name(), column.row_shape)
}
