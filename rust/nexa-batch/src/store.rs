//! Record → bytes: columns of fixed width over shards that are opened when first touched.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use lru::LruCache;
use nexa_records::{ColumnSpec, FixedColumn, RecordError, Shard, column_spec, fixed_column};

use crate::BatchError;
use crate::gather::Place;

/// A shard of a split: where it is, and how many records the catalog says it has.
#[derive(Debug, Clone)]
pub struct ShardSpec {
    /// The shard's file.
    pub path: PathBuf,
    /// Its records; compared with the file's own count when it is opened.
    pub records: u64,
}

/// Shards that stay open at most. A process may have some 65,000 mappings (`vm.max_map_count`), and has other stores too.
const MOST_OPEN: usize = 16_384;

/// The records of one split, numbered through its shards in their order.
#[derive(Debug)]
pub struct Store {
    shards: Vec<ShardSpec>,
    open: Opened,
    /// First record of each shard, and the number of records at the end.
    starts: Vec<u64>,
    /// Records of every shard but the last, if they agree: then a division finds the shard.
    uniform: Option<Divisor>,
    columns: Vec<ColumnSpec>,
    /// Whether shards are mapped with large pages: all of them fit into memory.
    huge: bool,
}

/// The shards that are open.
#[derive(Debug)]
enum Opened {
    /// Each from its first use on: few enough.
    Kept(Vec<OnceLock<OpenShard>>),
    /// Those that were used last.
    Recent(Mutex<LruCache<usize, Arc<OpenShard>>>),
}

/// Keeps the shards of one batch open while it is assembled.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    store: &'a Store,
    /// Where not all shards stay open: those that this batch needs.
    recent: HashMap<usize, Arc<OpenShard>>,
}

impl Held<'_> {
    pub(crate) fn shard(&self, shard: usize) -> Result<&OpenShard, BatchError> {
        match &self.store.open {
            Opened::Kept(shards) => self.store.kept(shard, &shards[shard]),
            Opened::Recent(_) => Ok(&self.recent[&shard]),
        }
    }
}

/// A shard's columns in memory: `chunks[chunk][column]`.
#[derive(Debug)]
pub(crate) struct OpenShard {
    /// First row of each chunk, and the number of rows at the end.
    starts: Vec<usize>,
    chunks: Vec<Vec<FixedColumn>>,
}

/// Divides by a number that is known beforehand: a multiplication and rarely a correction.
#[derive(Clone, Copy, Debug)]
struct Divisor {
    divisor: u64,
    reciprocal: u64,
}

impl Divisor {
    fn new(divisor: u64) -> Self {
        Self { divisor, reciprocal: u64::MAX / divisor.max(1) }
    }

    /// Return quotient and remainder.
    #[inline]
    fn divide(self, value: u64) -> (u64, u64) {
        let product = u128::from(value) * u128::from(self.reciprocal);
        // The reciprocal is too small by less than one part in 2^64 / divisor: the quotient by two at most.
        let mut quotient = u64::try_from(product >> 64).unwrap_or(0);
        let mut rest = value - quotient * self.divisor;
        while rest >= self.divisor {
            quotient += 1;
            rest -= self.divisor;
        }
        (quotient, rest)
    }
}

impl Store {
    /// Open a split; only the first shard with records is read, to learn the columns' types.
    ///
    /// # Errors
    /// A shard that can't be read, a column that isn't there or has no fixed width.
    pub fn open(shards: Vec<ShardSpec>, columns: &[String]) -> Result<Self, BatchError> {
        Self::open_bounded(shards, columns, MOST_OPEN)
    }

    /// As [`open`](Self::open), with another bound on the shards that are open at a time (while no batch needs more).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_bounded(
        shards: Vec<ShardSpec>,
        columns: &[String],
        most_open: usize,
    ) -> Result<Self, BatchError> {
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
        let open = match NonZero::new(most_open) {
            Some(bound) if shards.len() > most_open => Opened::Recent(Mutex::new(LruCache::new(bound))),
            _ => Opened::Kept(shards.iter().map(|_| OnceLock::new()).collect()),
        };
        let huge = fits_memory(&shards, total);
        Ok(Self { shards, open, starts, uniform, columns: specs, huge })
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
        let (shard, row) = if let Some(each) = self.uniform {
            each.divide(record)
        } else {
            let shard = self.starts.partition_point(|&start| start <= record) - 1;
            (shard as u64, record - self.starts[shard])
        };
        (usize::try_from(shard).unwrap_or(usize::MAX), usize::try_from(row).unwrap_or(usize::MAX))
    }

    /// Keep open the shards of some places, which are asked for only where not all shards stay open.
    pub(crate) fn hold(
        &self,
        places: impl FnOnce() -> Result<Vec<(usize, usize)>, BatchError>,
    ) -> Result<Held<'_>, BatchError> {
        let mut recent = HashMap::new();
        if let Opened::Recent(cache) = &self.open {
            for (shard, _) in places()? {
                if let Entry::Vacant(vacant) = recent.entry(shard) {
                    vacant.insert(self.recent(shard, cache)?);
                }
            }
        }
        Ok(Held { store: self, recent })
    }

    fn kept<'a>(&self, shard: usize, open: &'a OnceLock<OpenShard>) -> Result<&'a OpenShard, BatchError> {
        if let Some(open) = open.get() {
            return Ok(open);
        }
        // Two threads may open it at once; the second result is dropped, and both are the same.
        let found = OpenShard::open(&self.shards[shard], &self.columns, self.huge)?;
        Ok(open.get_or_init(|| found))
    }

    fn recent(&self, shard: usize, cache: &Mutex<LruCache<usize, Arc<OpenShard>>>) -> Result<Arc<OpenShard>, BatchError> {
        let lock = || cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = lock().get(&shard) {
            return Ok(Arc::clone(open));
        }
        let open = Arc::new(OpenShard::open(&self.shards[shard], &self.columns, self.huge)?);
        let old = lock().push(shard, Arc::clone(&open));
        drop(old); // unmapped outside of the lock
        Ok(open)
    }
}

/// Say whether all shards take at most half of the memory that is left, as the first one's size tells.
fn fits_memory(shards: &[ShardSpec], records: u64) -> bool {
    let all = shards.first().and_then(|first| {
        let bytes = std::fs::metadata(&first.path).ok()?.len();
        (bytes / first.records.max(1)).max(1).checked_mul(records)
    });
    all.zip(nexa_io::available_memory()).is_some_and(|(all, left)| all <= left / 2)
}

fn uniform(shards: &[ShardSpec]) -> Option<Divisor> {
    let (last, others) = shards.split_last()?;
    let each = others.first().unwrap_or(last).records;
    (others.iter().all(|spec| spec.records == each) && last.records <= each).then(|| Divisor::new(each))
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
    fn open(spec: &ShardSpec, columns: &[ColumnSpec], huge: bool) -> Result<Self, BatchError> {
        let shard = Shard::open_paged(&spec.path, huge)?;
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
        let mut chunks = Vec::new();
        for chunk in 0..shard.num_batches() {
            let batch = shard.batch_projected(chunk, &indices)?;
            if batch.num_rows() == 0 {
                continue;
            }
            starts.push(starts[starts.len() - 1] + batch.num_rows());
            let schema = batch.schema();
            let columns =
                (0..indices.len()).map(|at| fixed_column(batch.column(at), schema.field(at), &spec.path));
            chunks.push(columns.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Self { starts, chunks })
    }

    /// The chunk that holds `row`, and the row's number in it.
    #[inline]
    pub(crate) fn place(&self, row: usize) -> Place<'_> {
        if let [chunk] = &self.chunks[..] {
            return (chunk, row);
        }
        let at = self.starts.partition_point(|&start| start <= row) - 1;
        (&self.chunks[at], row - self.starts[at])
    }
}

fn describe(column: &ColumnSpec) -> String {
    format!("{}{:?}", column.element.name(), column.row_shape)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_divisor_divides(value: u64, divisor in prop_oneof![1_u64..1000, 1_u64..]) {
            prop_assert_eq!(Divisor::new(divisor).divide(value), (value / divisor, value % divisor));
        }
    }
}
