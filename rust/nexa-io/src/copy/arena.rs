//! One aligned block of memory, lent out in spans: what blocks of all sizes are read into and written from.
//!
//! 1. One allocation can be registered with the kernel as one buffer, and any span of it used.
//! 2. A span is a token that is neither copied nor made elsewhere, so no two hold the same bytes, and a span that the
//!    kernel works on is in nobody's hands.
//! 3. First fit over a sorted list of free ranges: there are some hundred at most, and spans come back within
//!    milliseconds.

use crate::align::Alignment;
use crate::buffer::AlignedBuf;
use crate::error::IoError;

/// Memory that spans are taken from.
#[derive(Debug)]
pub(crate) struct Arena {
    memory: AlignedBuf,
    unit: Alignment,
    /// Free ranges as (start, length), sorted, never touching one another.
    free: Vec<(usize, usize)>,
}

/// A part of an arena, lent to its holder until it is given back.
#[derive(Debug)]
pub(crate) struct Span {
    start: usize,
    len: usize,
}

impl Span {
    /// Return where the span begins in the arena, in bytes.
    pub(crate) const fn start(&self) -> usize {
        self.start
    }

    /// Return the span's length in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}

impl Arena {
    /// Allocate memory, in huge pages where there are some, whose spans are multiples of `unit`.
    pub(crate) fn new(bytes: usize, unit: Alignment) -> Result<Self, IoError> {
        let memory = memory_for_blocks(bytes, unit)?;
        let free = vec![(0, memory.len())];
        Ok(Self { memory, unit, free })
    }

    /// Lend `len` bytes, rounded up to the unit; `None` while no free range is that long.
    pub(crate) fn take(&mut self, len: usize) -> Option<Span> {
        let len = self.unit.round_up_len(len.max(1))?;
        let at = self.free.iter().position(|(_, room)| *room >= len)?;
        let (start, room) = self.free[at];
        if room == len {
            self.free.remove(at);
        } else {
            self.free[at] = (start + len, room - len);
        }
        Some(Span { start, len })
    }

    /// Take a span back.
    #[expect(clippy::needless_pass_by_value, reason = "the token ends here")]
    pub(crate) fn give_back(&mut self, span: Span) {
        let at = self.free.partition_point(|(start, _)| *start < span.start);
        self.free.insert(at, (span.start, span.len));
        self.join(at);
        if let Some(before) = at.checked_sub(1) {
            self.join(before);
        }
    }

    /// Join a free range with the next one if they touch.
    fn join(&mut self, at: usize) {
        if let (Some(&(start, len)), Some(&(next, more))) = (self.free.get(at), self.free.get(at + 1))
            && start + len == next
        {
            self.free[at].1 = len + more;
            self.free.remove(at + 1);
        }
    }

    /// Return a lent span's bytes.
    pub(crate) fn bytes(&mut self, span: &Span) -> &mut [u8] {
        &mut self.memory.as_mut_slice()[span.start..span.start + span.len]
    }

    /// Return the address of the arena's first byte, for the kernel.
    pub(crate) fn address(&mut self) -> *mut u8 {
        self.memory.as_mut_ptr()
    }

    /// Return the arena's length in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.memory.len()
    }
}

/// Allocate at least `bytes`, a multiple of `unit`; large ones in huge pages, since a digest that reads what a disk has
/// just written to memory spends a tenth of its time on address translation otherwise.
pub(crate) fn memory_for_blocks(bytes: usize, unit: Alignment) -> Result<AlignedBuf, IoError> {
    let bytes = unit.round_up_len(bytes.max(1)).unwrap_or(bytes);
    let huge = bytes >= Alignment::HUGE_PAGE.bytes();
    AlignedBuf::zeroed(bytes, if huge { unit.max(Alignment::HUGE_PAGE) } else { unit })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: usize = 4096;

    #[test]
    fn an_arena_lends_all_of_itself_and_joins_what_comes_back() {
        let mut arena = Arena::new(4 * PAGE, Alignment::PAGE).unwrap();
        let spans: Vec<_> = (0..4).map(|_| arena.take(1).unwrap()).collect();
        assert!(arena.take(1).is_none());
        let [a, b, c, d] = <[Span; 4]>::try_from(spans).unwrap();
        arena.give_back(b);
        arena.give_back(d);
        assert!(arena.take(2 * PAGE).is_none(), "two pages are free, but apart");
        arena.give_back(c);
        let three = arena.take(3 * PAGE).unwrap();
        assert_eq!((three.start(), three.len()), (PAGE, 3 * PAGE));
        arena.give_back(three);
        arena.give_back(a);
        assert_eq!(arena.take(4 * PAGE).unwrap().len(), 4 * PAGE);
    }

    proptest! {
        #[test]
        fn spans_never_overlap_and_are_aligned(steps in prop::collection::vec((any::<bool>(), 1usize..40_000), 1..60)) {
            let mut arena = Arena::new(32 * PAGE, Alignment::PAGE).unwrap();
            let mut lent: Vec<Span> = Vec::new();
            for (give, n) in steps {
                if give && !lent.is_empty() {
                    let span = lent.swap_remove(n % lent.len());
                    arena.give_back(span);
                } else if let Some(span) = arena.take(n) {
                    prop_assert!(span.start() % PAGE == 0 && span.len() % PAGE == 0 && span.len() >= n);
                    prop_assert!(span.start() + span.len() <= arena.len());
                    for other in &lent {
                        prop_assert!(span.start() + span.len() <= other.start() || other.start() + other.len() <= span.start());
                    }
                    prop_assert_eq!(arena.bytes(&span).as_ptr().addr() % PAGE, 0);
                    lent.push(span);
                }
            }
            for span in lent {
                arena.give_back(span);
            }
            prop_assert_eq!(arena.take(32 * PAGE).map(|span| span.len()), Some(32 * PAGE));
        }
    }
}
