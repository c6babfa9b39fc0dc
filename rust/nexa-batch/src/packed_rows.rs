//! Packed rows on their way into buffers: ids, labels, positions, and where documents begin.
//!
//! Ids, labels and positions are written side by side in one loop: what a row costs is getting the memory that is
//! written, and three places in it are on their way at once.

use nexa_io::{BufferPool, PooledBuf};
use nexa_records::Element;

use crate::convert::Target;
use crate::lanes::{Lanes, Work, dispatch};
use crate::pack::Piece;
use crate::ragged::{RaggedPlace, RaggedPlan, fill};
use crate::{BatchError, Memory};

/// Pieces whose memory is asked for ahead of the one that is copied.
const AHEAD: usize = 4;
/// Pieces whose offsets are asked for ahead of the one that is looked up.
const PLACES_AHEAD: usize = 8;

/// Find each piece's tokens; asking for them ahead of the copy must not wait for offsets in turn.
pub(crate) fn sources<'a>(places: &[RaggedPlace<'a>], pieces: &[Piece], item_bytes: usize) -> Vec<&'a [u8]> {
    let source = |(number, (&(columns, row), piece)): (usize, (&RaggedPlace<'a>, &Piece))| {
        if let Some(&(columns, row)) = places.get(number + PLACES_AHEAD) {
            nexa_io::prefetch(columns[0].place(row));
        }
        &columns[0].row(row)[piece.start * item_bytes..][..piece.len * item_bytes]
    };
    places.iter().zip(pieces).enumerate().map(source).collect()
}

/// The rows of a batch, and what they are filled from.
pub(crate) struct Filling<'a> {
    pub plan: &'a RaggedPlan,
    pub spread: Spread,
    /// Items of a row.
    pub length: usize,
    /// What fills up ids, and labels.
    pub pad: &'a [u8],
    pub ignore: &'a [u8],
    /// The tokens of each piece.
    pub sources: &'a [&'a [u8]],
    /// Where each row's pieces end.
    pub ends: &'a [usize],
}

impl Filling<'_> {
    /// Write ids, labels, positions and bounds.
    pub(crate) fn write(&self, pool: &BufferPool) -> Result<Vec<Memory>, BatchError> {
        let length = self.length;
        let too_large = || BatchError::TooLarge { what: "a batch" };
        let items = length.checked_mul(self.ends.len()).ok_or_else(too_large)?;
        // Positions of documents are int32, as attention kernels want them.
        i32::try_from(items).map_err(|_| too_large())?;
        let row_bytes = length * self.plan.item_bytes;
        let take = || pool.take(items * self.plan.item_bytes);
        let (mut ids, mut labels, mut positions) = (take()?, take()?, take()?);
        let mut bounds = vec![0_i32];
        let mut next = 0;
        for (row, &end) in self.ends.iter().enumerate() {
            let bytes = row * row_bytes..(row + 1) * row_bytes;
            let targets = [&mut ids[bytes.clone()], &mut labels[bytes.clone()], &mut positions[bytes]];
            self.row(next..end, row * length, targets, &mut bounds);
            next = end;
        }
        let bounds = bounds_buffer(pool, &bounds)?;
        Ok([ids, labels, positions, bounds].into_iter().map(Memory::Own).collect())
    }

    /// Write one row's pieces, and its padding as a document of its own.
    fn row(
        &self,
        pieces: std::ops::Range<usize>,
        first: usize,
        [ids, labels, positions]: [&mut [u8]; 3],
        bounds: &mut Vec<i32>,
    ) {
        let (stored, item, length) = (self.plan.spec.item_bytes, self.plan.item_bytes, self.length);
        let mut filled = 0;
        let bound = |at: usize| i32::try_from(first + at).unwrap_or(i32::MAX);
        for number in pieces {
            if let Some(next) = self.sources.get(number + AHEAD) {
                nexa_io::prefetch(next);
            }
            let source = self.sources[number];
            let end = filled + source.len() / stored;
            let here = filled * item..end * item;
            (self.spread)(source, [&mut ids[here.clone()], &mut labels[here.clone()], &mut positions[here]]);
            filled = end;
            bounds.push(bound(filled));
        }
        if filled < length {
            fill(&mut ids[filled * item..], self.pad);
            fill(&mut labels[filled * item..], self.ignore);
            count(&mut positions[filled * item..], item);
            bounds.push(bound(length));
        }
    }
}

/// Writes a document's tokens as ids, as labels, and their positions.
pub(crate) type Spread = fn(&[u8], [&mut [u8]; 3]);

/// A loop over tokens of two types that the compiler knows.
macro_rules! spread {
    ($from:ty => $to:ty) => {{
        struct Each<'a>(&'a [u8], [&'a mut [u8]; 3]);
        impl Work for Each<'_> {
            #[inline(always)]
            fn run<L: Lanes>(self, _lanes: L) {
                let tokens = self.0.as_chunks::<{ size_of::<$from>() }>().0.iter();
                let [ids, labels, positions] =
                    self.1.map(|target| target.as_chunks_mut::<{ size_of::<$to>() }>().0);
                let targets = ids.iter_mut().zip(labels).zip(positions);
                for ((at, token), ((id, label), position)) in tokens.enumerate().zip(targets) {
                    let token = <$to>::from(<$from>::from_ne_bytes(*token)).to_ne_bytes();
                    (*id, *label, *position) = (token, token, (at as $to).to_ne_bytes());
                }
            }
        }
        (|tokens, targets| dispatch(Each(tokens, targets))) as Spread
    }};
}
/// Choose the loop from the stored type to that of the ids, or `None` where tokens aren't integers that those hold.
pub(crate) fn spread(from: Element, to: Target) -> Option<Spread> {
    macro_rules! table {
        ($($pattern:pat, $from:ty => $($to:ident $type:ty),+;)*) => {
            match (from, to) {
                $($(($pattern, Target::Stored(Element::$to)) => Some(spread!($from => $type)),)+)*
                _ => None,
            }
        };
    }
    table! {
        Element::Bool | Element::U8, u8 => I32 i32, I64 i64;
        Element::I8, i8 => I32 i32, I64 i64;
        Element::U16, u16 => I32 i32, I64 i64;
        Element::I16, i16 => I32 i32, I64 i64;
        Element::I32, i32 => I32 i32, I64 i64;
        Element::U32, u32 => I64 i64;
        Element::I64, i64 => I64 i64;
    }
}

/// Write 0, 1, 2, … as int32 or int64.
fn count(target: &mut [u8], item: usize) {
    if item == 4 {
        for (at, to) in target.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *to = (at as i32).to_ne_bytes();
        }
    } else {
        for (at, to) in target.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *to = (at as i64).to_ne_bytes();
        }
    }
}

fn bounds_buffer(pool: &BufferPool, bounds: &[i32]) -> Result<PooledBuf, BatchError> {
    let mut buffer = pool.take(bounds.len() * 4)?;
    for (to, bound) in buffer.as_chunks_mut::<4>().0.iter_mut().zip(bounds) {
        *to = bound.to_ne_bytes();
    }
    Ok(buffer)
}
