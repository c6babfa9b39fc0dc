//! The blocks of one window in memory, and where a row of them lies.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nexa_records::{Buffer, FixedColumn, PlainRows, PlainShard, RaggedColumn};

use crate::BatchError;
use crate::gather::Place;
use crate::ragged::RaggedPlace;

/// Rows of one block that lie side by side.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Row of the columns at which the piece begins.
    pub first: usize,
    pub rows: usize,
    pub fixed: Vec<FixedColumn>,
    pub ragged: Vec<RaggedColumn>,
}

/// A window's blocks by their slots.
#[derive(Debug)]
pub(crate) struct Window(Vec<Block>);

#[derive(Debug)]
struct Block {
    /// Rows of every piece but the last, if they agree: then a division finds the piece; else 0.
    each: u32,
    /// First row of each piece.
    starts: Vec<usize>,
    pieces: Vec<Piece>,
}

impl Block {
    fn new(pieces: Vec<Piece>) -> Self {
        let starts = pieces.iter().scan(0, |end, piece| {
            let start = *end;
            *end += piece.rows;
            Some(start)
        });
        let each = match &pieces[..] {
            [others @ .., last] => {
                let rows = others.first().map_or(last.rows, |first| first.rows);
                let alike = last.rows <= rows && others.iter().all(|piece| piece.rows == rows);
                u32::try_from(rows).ok().filter(|_| alike).unwrap_or(0)
            }
            [] => 0,
        };
        Self { each, starts: starts.collect(), pieces }
    }

    #[inline]
    fn piece(&self, row: usize) -> usize {
        match u32::try_from(row).ok().and_then(|row| row.checked_div(self.each)) {
            // Not above the row, which is a number of this width.
            Some(at) => at as usize,
            None => self.starts.partition_point(|&start| start <= row) - 1,
        }
    }
}

impl Window {
    fn piece(&self, slot: usize, row: usize) -> (&Piece, usize) {
        let block = &self.0[slot];
        let at = block.piece(row);
        let piece = &block.pieces[at];
        (piece, piece.first + row - block.starts[at])
    }

    /// The chunk that holds a row of the block in `slot`, and the row's number in it.
    pub(crate) fn place(&self, slot: usize, row: usize) -> Place<'_> {
        let (piece, row) = self.piece(slot, row);
        (&piece.fixed, row)
    }

    /// The same of columns of lists, text and bytes.
    pub(crate) fn ragged_place(&self, slot: usize, row: usize) -> RaggedPlace<'_> {
        let (piece, row) = self.piece(slot, row);
        (&piece.ragged, row)
    }
}

/// Where some bytes of a window lie: in which run, and from where on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Within {
    pub run: usize,
    pub start: usize,
    pub len: usize,
}

/// A piece before its bytes are there.
#[derive(Debug)]
pub(crate) enum Outline {
    /// It needs none: the shard is mapped.
    Mapped(Piece),
    Plain {
        shard: Arc<PlainShard>,
        rows: PlainRows,
        fixed: Vec<Within>,
        /// With the offsets, which were read to know where the items are.
        ragged: Vec<(Buffer, Within)>,
    },
}

impl Outline {
    fn fill(self, runs: &[Buffer]) -> Result<Piece, BatchError> {
        let (shard, rows, fixed, ragged) = match self {
            Self::Mapped(piece) => return Ok(piece),
            Self::Plain { shard, rows, fixed, ragged } => (shard, rows, fixed, ragged),
        };
        let bytes = |within: Within| runs[within.run].slice_with_length(within.start, within.len);
        let columns = fixed.len();
        let fixed = fixed.into_iter().enumerate();
        let ragged = ragged.into_iter().enumerate();
        Ok(Piece {
            first: 0,
            rows: rows.len(),
            fixed: fixed
                .map(|(column, within)| shard.fixed(column, &rows, bytes(within)))
                .collect::<Result<_, _>>()?,
            ragged: ragged
                .map(|(column, (offsets, within))| {
                    shard.ragged(columns + column, &rows, offsets, bytes(within))
                })
                .collect::<Result<_, _>>()?,
        })
    }
}

/// What became of a window, once it is known.
pub(crate) type Outcome = Result<Window, Arc<BatchError>>;

/// A window that is being read.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    outcome: OnceLock<Outcome>,
    coming: Mutex<Coming>,
}

#[derive(Debug, Default)]
struct Coming {
    blocks: Vec<Vec<Outline>>,
    runs: Vec<Option<Buffer>>,
    missing: usize,
}

impl Cell {
    /// Wait for the window.
    pub(crate) fn wait(&self) -> &Outcome {
        self.outcome.wait()
    }

    /// What became of it, if that is known.
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// Give the window up; the first reason counts.
    pub(crate) fn fail(&self, error: BatchError) {
        let _ = self.outcome.set(Err(Arc::new(error)));
    }

    /// Say what it is made of, and of how many runs of bytes, none of which has come yet.
    pub(crate) fn begin(&self, blocks: Vec<Vec<Outline>>, runs: usize) {
        let coming = Coming { blocks, runs: vec![None; runs], missing: runs };
        *self.coming.lock().unwrap_or_else(PoisonError::into_inner) = coming;
        if runs == 0 {
            self.finish();
        }
    }

    /// Take a run in; with the last one the window is there.
    pub(crate) fn put(&self, run: usize, bytes: Buffer) {
        let missing = {
            let mut coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
            coming.runs[run] = Some(bytes);
            coming.missing -= 1;
            coming.missing
        };
        if missing == 0 {
            self.finish();
        }
    }

    fn finish(&self) {
        let coming = std::mem::take(&mut *self.coming.lock().unwrap_or_else(PoisonError::into_inner));
        let runs: Vec<Buffer> = coming.runs.into_iter().flatten().collect();
        let block = |outlines: Vec<Outline>| {
            let pieces =
                outlines.into_iter().map(|outline| outline.fill(&runs)).collect::<Result<Vec<_>, _>>()?;
            Ok(Block::new(pieces))
        };
        let blocks = coming.blocks.into_iter().map(block).collect::<Result<Vec<_>, _>>();
        let _ = self.outcome.set(blocks.map(Window).map_err(Arc::new));
    }
}
