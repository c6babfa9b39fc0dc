//! Sequences of different lengths in rows of one length: best fit, within windows of consecutive positions.
//!
//! ```text
//! for each window of positions of the epoch's order:
//!     cut what is longer than a row: whole rows first, and the rest
//!     for the rests, the longest first (of equal ones, the earlier position first):
//!         put it into the fullest row that still has room (of equal ones, the one filled last), else into a new row
//!     rows stand in the order of the piece that opened them, pieces in a row in the order of their positions
//! ```
//!
//! 1. A window's rows depend on its sequences alone: any batch of an epoch can be made without those before it, and
//!    resuming is exact. That holds for as long as nothing above changes: [`PACK_VERSION`] counts the changes.
//! 2. Longest first opens rows by long pieces. Were rows left in that order, the length of documents would fall through
//!    each window; the opener's position is as random as the order.
//! 3. Rows with room are found by a bit for each room that a row can have, and a stack of the rows with that room.

/// Version of the algorithm that turns a window's lengths into rows.
pub const PACK_VERSION: u32 = 1;

/// A piece of a sequence: the sequence's position in its window, and items `start .. start + len` of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    pub position: usize,
    pub start: usize,
    pub len: usize,
}

/// The rows of one window.
#[derive(Debug, Default)]
pub(crate) struct PackedRows {
    pieces: Vec<Piece>,
    /// First piece of each row, and the number of pieces at the end.
    starts: Vec<usize>,
}

impl PackedRows {
    /// Number of rows.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The pieces of a row, in order.
    pub(crate) fn row(&self, row: usize) -> &[Piece] {
        &self.pieces[self.starts[row]..self.starts[row + 1]]
    }
}

/// Pack sequences of these lengths into rows of `room` items; empty sequences are in no row.
pub(crate) fn pack(lengths: &[usize], room: usize) -> PackedRows {
    let mut rests: Vec<Piece> = Vec::with_capacity(lengths.len());
    // Each piece with the number of its row, in the order in which rows are opened.
    let mut placed: Vec<(usize, Piece)> = Vec::with_capacity(lengths.len());
    let mut openers: Vec<(usize, usize)> = Vec::new();
    for (position, &length) in lengths.iter().enumerate() {
        let whole = length / room;
        for number in 0..whole {
            placed.push((openers.len(), Piece { position, start: number * room, len: room }));
            openers.push((position, number * room));
        }
        if length % room > 0 {
            rests.push(Piece { position, start: whole * room, len: length % room });
        }
    }
    rests.sort_unstable_by_key(|piece| (std::cmp::Reverse(piece.len), piece.position));
    let mut rooms = Rooms::new(room);
    for piece in rests {
        let row = rooms.fill(piece.len, openers.len());
        if row == openers.len() {
            openers.push((piece.position, piece.start));
        }
        placed.push((row, piece));
    }
    arrange(&openers, placed)
}

/// Put rows in the order of their openers, and pieces in that of their positions.
fn arrange(openers: &[(usize, usize)], mut placed: Vec<(usize, Piece)>) -> PackedRows {
    let mut order: Vec<usize> = (0..openers.len()).collect();
    order.sort_unstable_by_key(|&row| openers[row]);
    let mut rank = vec![0; openers.len()];
    for (at, &row) in order.iter().enumerate() {
        rank[row] = at;
    }
    for (row, _) in &mut placed {
        *row = rank[*row];
    }
    placed.sort_unstable();
    let mut starts = vec![0; openers.len() + 1];
    for (row, _) in &placed {
        starts[row + 1] += 1;
    }
    for row in 0..openers.len() {
        starts[row + 1] += starts[row];
    }
    PackedRows { pieces: placed.into_iter().map(|(_, piece)| piece).collect(), starts }
}

const NO_ROW: usize = usize::MAX;

/// Rows that have room left, by how much.
struct Rooms {
    room: usize,
    some: RoomBits,
    /// The row that was filled last, for each room; `below[row]` is the one before it with the same room.
    last: Vec<usize>,
    below: Vec<usize>,
}

impl Rooms {
    fn new(room: usize) -> Self {
        Self { room, some: RoomBits::new(room), last: vec![NO_ROW; room + 1], below: Vec::new() }
    }

    /// Put `len` items into the fullest row with room for them, or into row number `new`; return the row.
    fn fill(&mut self, len: usize, new: usize) -> usize {
        let (row, room) = match self.some.smallest(len) {
            Some(room) => (self.take(room), room),
            None => (new, self.room),
        };
        self.put(row, room - len);
        row
    }

    fn take(&mut self, room: usize) -> usize {
        let row = self.last[room];
        self.last[room] = self.below[row];
        if self.last[room] == NO_ROW {
            self.some.clear(room);
        }
        row
    }

    fn put(&mut self, row: usize, room: usize) {
        if self.below.len() <= row {
            self.below.resize(row + 1, NO_ROW);
        }
        self.below[row] = self.last[room];
        self.last[room] = row;
        self.some.set(room);
    }
}

/// A bit for each room that a row can have: whether there is such a row.
struct RoomBits(Vec<u64>);

impl RoomBits {
    fn new(room: usize) -> Self {
        Self(vec![0; room / 64 + 1])
    }

    /// The smallest room of `len` or more that a row has.
    fn smallest(&self, len: usize) -> Option<usize> {
        let mut word = len / 64;
        let mut bits = *self.0.get(word)? & (u64::MAX << (len % 64));
        while bits == 0 {
            word += 1;
            bits = *self.0.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    fn set(&mut self, room: usize) {
        self.0[room / 64] |= 1 << (room % 64);
    }

    fn clear(&mut self, room: usize) {
        self.0[room / 64] &= !(1 << (room % 64));
    }
}

/// Counts the rows of windows, without saying what is in them: for that, rows of the same room are all one.
pub(crate) struct RowCounter {
    room: usize,
    some: RoomBits,
    /// Rows of each room.
    rows: Vec<usize>,
    rests: Vec<u32>,
}

impl RowCounter {
    /// Make a counter of rows of `room` items.
    pub(crate) fn new(room: usize) -> Self {
        Self { room, some: RoomBits::new(room), rows: vec![0; room + 1], rests: Vec::new() }
    }

    /// Give the number of rows that [`pack`] makes of sequences of these lengths.
    pub(crate) fn count(&mut self, lengths: impl Iterator<Item = u32>) -> u64 {
        let mut opened = 0;
        self.rests.clear();
        for length in lengths {
            opened += (length as usize / self.room) as u64;
            self.rests.push((length as usize % self.room) as u32);
        }
        self.rests.sort_unstable();
        for len in self.rests.iter().rev().map(|&rest| rest as usize).take_while(|&rest| rest > 0) {
            let room = if let Some(room) = self.some.smallest(len) {
                self.rows[room] -= 1;
                if self.rows[room] == 0 {
                    self.some.clear(room);
                }
                room
            } else {
                opened += 1;
                self.room
            };
            self.rows[room - len] += 1;
            self.some.set(room - len);
        }
        while let Some(room) = self.some.smallest(0) {
            self.rows[room] = 0;
            self.some.clear(room);
        }
        opened
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(lengths: &[usize], room: usize) -> Vec<Vec<(usize, usize, usize)>> {
        let packed = pack(lengths, room);
        let triple = |piece: &Piece| (piece.position, piece.start, piece.len);
        (0..packed.len()).map(|row| packed.row(row).iter().map(triple).collect()).collect()
    }

    #[test]
    fn rests_fill_the_fullest_row_that_has_room() {
        // 7 opens a row with room for 3, 6 one with room for 4; 4 fills the second, 3 the first.
        assert_eq!(rows(&[3, 6, 7, 4], 10), [vec![(1, 0, 6), (3, 0, 4)], vec![(0, 0, 3), (2, 0, 7)]]);
    }

    #[test]
    fn a_long_sequence_is_cut_into_whole_rows_and_a_rest() {
        assert_eq!(rows(&[23, 0, 7], 10), [vec![(0, 0, 10)], vec![(0, 10, 10)], vec![(0, 20, 3), (2, 0, 7)]]);
    }

    #[test]
    fn the_first_version_stays_as_it_is() {
        let lengths: Vec<usize> = (0..500_u64).map(|at| (at * 2_654_435_761 % 97) as usize).collect();
        let packed = pack(&lengths, 64);
        let digest = (0..packed.len())
            .flat_map(|row| packed.row(row).iter().map(move |piece| (row, piece)))
            .fold(0xcbf2_9ce4_8422_2325_u64, |digest, (row, piece)| {
                [row, piece.position, piece.start, piece.len]
                    .iter()
                    .fold(digest, |digest, &part| (digest ^ part as u64).wrapping_mul(0x0100_0000_01b3))
            });
        assert_eq!((PACK_VERSION, packed.len(), digest), (1, 375, 12_478_028_365_521_223_226));
    }

    /// The same by the plainest means: a list of rows, searched from end to end.
    fn naive(lengths: &[usize], room: usize) -> Vec<Vec<(usize, usize, usize)>> {
        let mut rests = Vec::new();
        let mut rows: Vec<Vec<(usize, usize, usize)>> = Vec::new();
        for (position, &length) in lengths.iter().enumerate() {
            let mut start = 0;
            while length - start >= room {
                rows.push(vec![(position, start, room)]);
                start += room;
            }
            if start < length {
                rests.push((position, start, length - start));
            }
        }
        rests.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0)));
        let mut filled: Vec<usize> = vec![0; rows.len()];
        for (turn, rest) in rests.into_iter().enumerate() {
            let left =
                |row: &Vec<(usize, usize, usize)>| room - row.iter().map(|piece| piece.2).sum::<usize>();
            let fits = (0..rows.len()).filter(|&row| left(&rows[row]) >= rest.2);
            let best = fits.min_by_key(|&row| (left(&rows[row]), std::cmp::Reverse(filled[row])));
            let row = best.unwrap_or_else(|| {
                rows.push(Vec::new());
                filled.push(0);
                rows.len() - 1
            });
            rows[row].push(rest);
            filled[row] = turn + 1;
        }
        // The opener is the first piece put in.
        rows.sort_by_key(|row| (row[0].0, row[0].1));
        for row in &mut rows {
            row.sort_unstable();
        }
        rows
    }

    proptest! {
        #[test]
        fn rows_are_those_of_the_plain_search(
            lengths in prop::collection::vec(0_usize..90, 0..80), room in 1_usize..100,
        ) {
            prop_assert_eq!(rows(&lengths, room), naive(&lengths, room));
        }

        #[test]
        fn counting_rows_is_packing_them_and_leaves_nothing_behind(
            windows in prop::collection::vec(prop::collection::vec(0_usize..300, 0..200), 1..4), room in 1_usize..150,
        ) {
            let mut counter = RowCounter::new(room);
            for lengths in windows {
                prop_assert_eq!(counter.count(lengths.iter().map(|&length| length as u32)), pack(&lengths, room).len() as u64);
            }
        }

        #[test]
        fn every_item_is_in_one_row_and_no_row_is_too_full(
            lengths in prop::collection::vec(0_usize..300, 0..200), room in 1_usize..150,
        ) {
            let packed = pack(&lengths, room);
            let mut seen: Vec<Vec<(usize, usize)>> = vec![Vec::new(); lengths.len()];
            for row in 0..packed.len() {
                let items: usize = packed.row(row).iter().map(|piece| piece.len).sum();
                prop_assert!(items > 0 && items <= room);
                for piece in packed.row(row) {
                    seen[piece.position].push((piece.start, piece.len));
                }
            }
            for (pieces, &length) in seen.iter_mut().zip(&lengths) {
                pieces.sort_unstable();
                let end = pieces.iter().try_fold(0, |end, &(start, len)| (start == end).then_some(end + len));
                prop_assert_eq!(end, Some(length));
            }
        }
    }
}
