//! Lists, text and bytes side by side in a buffer: end to end with offsets, or each padded to one length with a mask.
//!
//! ```text
//! lengths = for each row: items                       (asking ahead for the offsets of the next rows)
//! width   = none, or the smallest allowed length that holds the longest row
//! for each row: its items, converted on the way       (asking ahead for the beginnings of the next rows)
//!               and padding up to the width
//! ```

use nexa_io::{BufferPool, PooledBuf};
use nexa_records::{RaggedColumn, RaggedKind, RaggedSpec};

use crate::BatchError;
use crate::convert::{Conversion, Convert, Target};

/// Where a row lies: the ragged columns of a chunk, and the row's number in it.
pub(crate) type RaggedPlace<'a> = (&'a [RaggedColumn], usize);

/// Rows whose memory is asked for ahead of the one that is read.
const AHEAD: usize = 8;

/// How rows of different lengths become a tensor of one width.
#[derive(Clone, Debug, PartialEq)]
pub struct Padding {
    /// Widths that are allowed, the smallest that fits is taken; none: that of the longest row.
    pub widths: Vec<usize>,
    /// Number that fills up, in the batch's type.
    pub value: f64,
    /// Cut rows that are longer than the largest width, instead of refusing them.
    pub truncate: bool,
}

/// A ragged column of a batch.
#[derive(Debug)]
pub struct RaggedBatch {
    /// What a row is.
    pub kind: RaggedKind,
    /// The rows' items.
    pub values: PooledBuf,
    /// Padded: a byte for each place, 1 for an item and 0 for padding; else rows + 1 offsets (int64) in items.
    pub index: PooledBuf,
    /// Padded: the width; else the items of all rows.
    pub items: usize,
}

/// What becomes of one ragged column.
#[derive(Clone, Debug)]
pub struct RaggedPlan {
    /// What the shards hold.
    pub spec: RaggedSpec,
    /// Type of a number in the batch.
    pub target: Target,
    /// Bytes of an item in the batch.
    pub(crate) item_bytes: usize,
    pub(crate) convert: Option<Convert>,
    pub(crate) padding: Option<Padding>,
    pattern: Vec<u8>,
}

impl RaggedPlan {
    /// The plan of a column that stays as it is stored.
    pub(crate) fn stored(spec: &RaggedSpec) -> Self {
        Self {
            spec: spec.clone(),
            target: Target::Stored(spec.element),
            item_bytes: spec.item_bytes,
            convert: None,
            padding: None,
            pattern: Vec::new(),
        }
    }

    pub(crate) fn new(
        spec: &RaggedSpec,
        conversion: Option<&Conversion>,
        padding: Option<&Padding>,
    ) -> Result<Self, BatchError> {
        let refuse = |detail: &str| BatchError::Form { column: spec.name.clone(), detail: detail.to_owned() };
        if spec.kind != RaggedKind::List && (conversion.is_some() || padding.is_some()) {
            return Err(refuse("text and bytes come as a list, unconverted and without padding"));
        }
        let target = conversion.map_or(Target::Stored(spec.element), |wanted| wanted.target);
        let convert = match conversion {
            Some(wanted) => Convert::new(&spec.name, spec.element, wanted)?,
            None => None,
        };
        let item_bytes = spec.item_bytes / spec.element.bytes() * target.bytes();
        let pattern = match padding {
            Some(padding) => pattern(padding.value, target)
                .ok_or_else(|| refuse(&format!("{} is no {target} to pad with", padding.value)))?,
            None => Vec::new(),
        };
        let mut padding = padding.cloned();
        if let Some(padding) = &mut padding {
            padding.widths.sort_unstable();
            if padding.truncate && padding.widths.is_empty() {
                return Err(refuse("rows are truncated to a length: say which"));
            }
        }
        Ok(Self { spec: spec.clone(), target, item_bytes, convert, padding, pattern })
    }

    /// Whether rows are padded to one width.
    #[must_use]
    pub fn is_padded(&self) -> bool {
        self.padding.is_some()
    }

    /// Make column number `column` of a batch; `record` gives a row's number in the split, for the error's message.
    pub(crate) fn assemble(
        &self,
        column: usize,
        places: &[RaggedPlace<'_>],
        record: impl Fn(usize) -> u64,
        pool: &BufferPool,
    ) -> Result<RaggedBatch, BatchError> {
        let mut lengths = lengths(column, places);
        let width = match &self.padding {
            Some(padding) => Some(self.width(padding, &mut lengths, record)?),
            None => None,
        };
        let items = width.unwrap_or_else(|| lengths.iter().sum());
        let places_total = width.map_or(Some(items), |width| width.checked_mul(places.len()));
        let bytes = places_total.and_then(|total| total.checked_mul(self.item_bytes));
        let (Some(total), Some(bytes)) = (places_total, bytes) else {
            return Err(BatchError::TooLarge { what: "a batch" });
        };
        let mut values = pool.take(bytes)?;
        self.copy(column, places, &lengths, width, &mut values);
        let index = match width {
            Some(width) => mask(pool.take(total)?, &lengths, width),
            None => offsets(pool.take((places.len() + 1) * 8)?, &lengths),
        };
        Ok(RaggedBatch { kind: self.spec.kind, values, index, items })
    }

    /// Choose the width, and cut the lengths to it.
    fn width(
        &self,
        padding: &Padding,
        lengths: &mut [usize],
        record: impl Fn(usize) -> u64,
    ) -> Result<usize, BatchError> {
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let Some(&most) = padding.widths.last() else { return Ok(longest) };
        if let Some(&width) = padding.widths.iter().find(|&&width| width >= longest) {
            return Ok(width);
        }
        if !padding.truncate {
            let row = lengths.iter().position(|&length| length > most).unwrap_or(0);
            return Err(BatchError::TooLong {
                column: self.spec.name.clone(),
                record: record(row),
                items: lengths[row],
                most,
            });
        }
        for length in lengths {
            *length = (*length).min(most);
        }
        Ok(most)
    }

    fn copy(
        &self,
        column: usize,
        places: &[RaggedPlace<'_>],
        lengths: &[usize],
        width: Option<usize>,
        values: &mut [u8],
    ) {
        let stored = self.spec.item_bytes;
        let mut rest = values;
        for (number, (&(columns, row), &length)) in places.iter().zip(lengths).enumerate() {
            if let Some(&(columns, row)) = places.get(number + AHEAD) {
                nexa_io::prefetch(columns[column].row(row));
            }
            let (these, others) =
                std::mem::take(&mut rest).split_at_mut(width.unwrap_or(length) * self.item_bytes);
            rest = others;
            let (items, padding) = these.split_at_mut(length * self.item_bytes);
            self.put(&columns[column].row(row)[..length * stored], items);
            fill(padding, &self.pattern);
        }
    }

    /// Copy items, converted if that is wanted.
    #[inline]
    pub(crate) fn put(&self, source: &[u8], target: &mut [u8]) {
        match &self.convert {
            Some(convert) => convert.run(source, target),
            None => target.copy_from_slice(source),
        }
    }
}

/// Give the items of each row.
pub(crate) fn lengths(column: usize, places: &[RaggedPlace<'_>]) -> Vec<usize> {
    let mut lengths = Vec::with_capacity(places.len());
    for (number, &(columns, row)) in places.iter().enumerate() {
        if let Some(&(columns, row)) = places.get(number + AHEAD) {
            nexa_io::prefetch(columns[column].place(row));
        }
        lengths.push(columns[column].items(row));
    }
    lengths
}

fn mask(mut mask: PooledBuf, lengths: &[usize], width: usize) -> PooledBuf {
    // A width of nothing has no places, and no chunks either.
    for (places, &length) in mask.chunks_exact_mut(width.max(1)).zip(lengths) {
        let (items, padding) = places.split_at_mut(length);
        items.fill(1);
        padding.fill(0);
    }
    mask
}

fn offsets(mut offsets: PooledBuf, lengths: &[usize]) -> PooledBuf {
    let mut end = 0_i64;
    let ends = std::iter::once(0).chain(lengths.iter().map(|&length| {
        end += length as i64;
        end
    }));
    for (to, offset) in offsets.as_chunks_mut::<8>().0.iter_mut().zip(ends) {
        *to = offset.to_ne_bytes();
    }
    offsets
}

pub(crate) fn fill(padding: &mut [u8], pattern: &[u8]) {
    match pattern {
        [] => {}
        [first, others @ ..] if others.iter().all(|byte| byte == first) => padding.fill(*first),
        _ => match pattern.len() {
            2 => fill_arrays::<2>(padding, pattern),
            4 => fill_arrays::<4>(padding, pattern),
            8 => fill_arrays::<8>(padding, pattern),
            width => padding.chunks_exact_mut(width).for_each(|to| to.copy_from_slice(pattern)),
        },
    }
}

fn fill_arrays<const WIDTH: usize>(padding: &mut [u8], pattern: &[u8]) {
    if let Some(pattern) = pattern.first_chunk::<WIDTH>() {
        padding.as_chunks_mut::<WIDTH>().0.fill(*pattern);
    }
}

/// Give the bytes of a number in a type, or `None` where the type doesn't hold it.
pub(crate) fn pattern(value: f64, target: Target) -> Option<Vec<u8>> {
    use nexa_records::Element;

    // Beyond 2^53 a float skips integers: what was meant can't be known.
    let whole = || (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64);
    macro_rules! bytes {
        ($type:ty) => {
            whole()
                .and_then(|whole| <$type>::try_from(whole).ok())
                .map(|number| number.to_ne_bytes().to_vec())
        };
    }
    match target {
        Target::Bf16 => Some(half::bf16::from_f64(value).to_ne_bytes().to_vec()),
        Target::Stored(element) => match element {
            Element::Bool => (value == 0.0 || value == 1.0).then(|| vec![u8::from(value == 1.0)]),
            Element::U8 => bytes!(u8),
            Element::I8 => bytes!(i8),
            Element::U16 => bytes!(u16),
            Element::I16 => bytes!(i16),
            Element::U32 => bytes!(u32),
            Element::I32 => bytes!(i32),
            Element::U64 => bytes!(u64),
            Element::I64 => whole().map(|number| number.to_ne_bytes().to_vec()),
            Element::F16 => Some(half::f16::from_f64(value).to_ne_bytes().to_vec()),
            Element::F32 => Some((value as f32).to_ne_bytes().to_vec()),
            Element::F64 => Some(value.to_ne_bytes().to_vec()),
        },
    }
}

#[cfg(test)]
mod tests {
    use nexa_records::Element;

    use super::*;

    #[test]
    fn a_number_to_pad_with_is_one_of_its_type() {
        assert_eq!(pattern(-100.0, Target::Stored(Element::I64)), Some((-100_i64).to_ne_bytes().to_vec()));
        assert_eq!(pattern(-1.0, Target::Stored(Element::U16)), None);
        assert_eq!(pattern(0.5, Target::Stored(Element::I32)), None);
        assert_eq!(pattern(300.0, Target::Stored(Element::U8)), None);
        assert_eq!(pattern(f64::NAN, Target::Stored(Element::I64)), None);
        assert_eq!(pattern(1.0, Target::Bf16), Some(0x3f80_u16.to_ne_bytes().to_vec()));
    }

    #[test]
    fn a_pattern_is_repeated() {
        let mut padding = [9_u8; 6];
        fill(&mut padding, &[1, 2]);
        assert_eq!(padding, [1, 2, 1, 2, 1, 2]);
        fill(&mut padding, &[0, 0]);
        assert_eq!(padding, [0; 6]);
    }
}
