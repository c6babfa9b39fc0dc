//! Record → bytes: columns over shards that are opened when first touched.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use lru::LruCache;
use nexa_records::{
    Access, ColumnSpec, FixedColumn, RaggedColumn, RaggedSpec, RecordError, Shard, fixed_column,
    ragged_column,
};

use crate::BatchError;
use crate::gather::Place;
use crate::ragged::RaggedPlace;
use crate::specs::Specs;

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
    specs: Specs,
    access: Access,
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

    /// Append where these records' columns of equal rows lie; shards that no batch has needed before are opened.
    pub(crate) fn places<'a>(
        &'a self,
        records: &[u64],
        places: &mut Vec<Place<'a>>,
    ) -> Result<(), BatchError> {
        let len = self.store.len();
        if let Some(&index) = records.iter().find(|&&index| index >= len) {
            return Err(BatchError::OutOfRange { index, len });
        }
        places.reserve(records.len());
        match (&self.store.open, self.store.uniform) {
            // The common case apart: nothing that is the same for all is asked for each.
            (Opened::Kept(shards), Some(each)) => {
                for &record in records {
                    let (shard, row) = each.locate(record);
                    let open = match shards[shard].get() {
                        Some(open) => open,
                        None => self.store.kept(shard, &shards[shard])?,
                    };
                    places.push(open.place(row));
                }
            }
            _ => {
                for &record in records {
                    let (shard, row) = self.store.locate(record);
                    places.push(self.shard(shard)?.place(row));
                }
            }
        }
        Ok(())
    }
}

/// A shard's columns in memory: `chunks[chunk][column]`, and the same of lists, text and bytes.
#[derive(Debug)]
pub(crate) struct OpenShard {
    /// First row of each chunk, and the number of rows at the end.
    starts: Vec<usize>,
    chunks: Vec<Vec<FixedColumn>>,
    ragged: Vec<Vec<RaggedColumn>>,
    addresses: Range<usize>,
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

    /// Return the shard of so many records each that holds `record`, and the record's row in it.
    #[inline]
    fn locate(self, record: u64) -> (usize, usize) {
        let (shard, row) = self.divide(record);
        (usize::try_from(shard).unwrap_or(usize::MAX), usize::try_from(row).unwrap_or(usize::MAX))
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
    /// A shard that can't be read, a column that isn't there or of a type that no batch has.
    pub fn open(shards: Vec<ShardSpec>, columns: &[String]) -> Result<Self, BatchError> {
        Self::open_as(shards, columns, Access::Shared)
    }

    /// As [`open`](Self::open), in memory of which parts may be handed out ([`Access::Private`]).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_as(shards: Vec<ShardSpec>, columns: &[String], access: Access) -> Result<Self, BatchError> {
        Ok(Self { access, ..Self::open_bounded(shards, columns, MOST_OPEN)? })
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
            Some(first) => Specs::of(&Shard::open(&first.path)?, columns)?,
            None => Specs::default(),
        };
        let open = match NonZero::new(most_open) {
            Some(bound) if shards.len() > most_open => Opened::Recent(Mutex::new(LruCache::new(bound))),
            _ => Opened::Kept(shards.iter().map(|_| OnceLock::new()).collect()),
        };
        let huge = fits_memory(&shards, total);
        Ok(Self { shards, open, starts, uniform, specs, access: Access::Shared, huge })
    }

    /// Records in the split.
    pub fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Whether the split has no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name, element type and shape of each column of equal rows.
    pub fn columns(&self) -> &[ColumnSpec] {
        &self.specs.fixed
    }

    /// The same of each column of lists, text or bytes.
    pub fn ragged(&self) -> &[RaggedSpec] {
        &self.specs.ragged
    }

    /// Whether columns lie in memory that only this process sees.
    pub(crate) fn is_private(&self) -> bool {
        self.access == Access::Private
    }

    /// Bytes of a row of each column of lists, text or bytes, on the average of the first shard.
    ///
    /// # Errors
    /// The shard can't be read.
    pub fn mean_ragged_bytes(&self) -> Result<Vec<usize>, BatchError> {
        if self.specs.ragged.is_empty() || self.shards.is_empty() {
            return Ok(Vec::new());
        }
        let held = self.hold(|| Ok(vec![(0, 0)]))?;
        let first = held.shard(0)?;
        let rows = first.starts.last().copied().unwrap_or(0).max(1);
        let bytes = |column: usize| {
            first.ragged.iter().map(|columns| columns[column].total_bytes()).sum::<usize>().div_ceil(rows)
        };
        Ok((0..self.specs.ragged.len()).map(bytes).collect())
    }

    /// Shard that holds `record`, and the record's row in it.
    #[inline]
    pub(crate) fn locate(&self, record: u64) -> (usize, usize) {
        if let Some(each) = self.uniform {
            return each.locate(record);
        }
        let shard = self.starts.partition_point(|&start| start <= record) - 1;
        (shard, usize::try_from(record - self.starts[shard]).unwrap_or(usize::MAX))
    }

    /// Number of the record in `row` of a shard.
    pub(crate) fn record(&self, (shard, row): (usize, usize)) -> u64 {
        self.starts[shard] + row as u64
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
        let found = self.open_shard(shard)?;
        Ok(open.get_or_init(|| found))
    }

    fn open_shard(&self, shard: usize) -> Result<OpenShard, BatchError> {
        OpenShard::open(&self.shards[shard], &self.specs, self.access, self.huge)
    }

    fn recent(
        &self,
        shard: usize,
        cache: &Mutex<LruCache<usize, Arc<OpenShard>>>,
    ) -> Result<Arc<OpenShard>, BatchError> {
        let lock = || cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = lock().get(&shard) {
            return Ok(Arc::clone(open));
        }
        let open = Arc::new(self.open_shard(shard)?);
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

impl OpenShard {
    fn open(spec: &ShardSpec, specs: &Specs, access: Access, huge: bool) -> Result<Self, BatchError> {
        let shard = Shard::open_as(&spec.path, access, huge)?;
        if shard.num_rows() != spec.records {
            return Err(RecordError::RowCount {
                path: spec.path.clone(),
                expected: spec.records,
                found: shard.num_rows(),
            }
            .into());
        }
        let names = specs.names();
        specs.check(&Specs::of(&shard, &names)?, &spec.path)?;
        let indices = names.iter().map(|name| shard.column_index(name)).collect::<Result<Vec<_>, _>>()?;
        let addresses = shard.addresses();
        let mut open = Self { starts: vec![0], chunks: Vec::new(), ragged: Vec::new(), addresses };
        for chunk in 0..shard.num_batches() {
            let batch = shard.batch_projected(chunk, &indices)?;
            if batch.num_rows() == 0 {
                continue;
            }
            open.starts.push(open.starts[open.starts.len() - 1] + batch.num_rows());
            let schema = batch.schema();
            let (fixed, ragged) = (0..specs.fixed.len(), specs.fixed.len()..indices.len());
            let fixed = fixed.map(|at| fixed_column(batch.column(at), schema.field(at), &spec.path));
            open.chunks.push(fixed.collect::<Result<_, _>>()?);
            let ragged = ragged.map(|at| ragged_column(batch.column(at), schema.field(at), &spec.path));
            open.ragged.push(ragged.collect::<Result<_, _>>()?);
        }
        Ok(open)
    }

    /// Addresses of the file's bytes.
    pub(crate) fn addresses(&self) -> &Range<usize> {
        &self.addresses
    }

    /// The ragged columns of the chunk that holds `row`, and the row's number in it.
    #[inline]
    pub(crate) fn ragged_place(&self, row: usize) -> RaggedPlace<'_> {
        if let [chunk] = &self.ragged[..] {
            return (chunk, row);
        }
        let at = self.starts.partition_point(|&start| start <= row) - 1;
        (&self.ragged[at], row - self.starts[at])
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
