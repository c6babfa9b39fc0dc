//! A list of record numbers: what a filter kept, or the records of each class side by side.

/// Record numbers, four bytes each where they fit.
///
/// ```
/// let mut kept = nexa_batch::Selection::below(1000);
/// kept.extend([3, 999]);
/// assert_eq!((kept.len(), kept.get(1)), (2, Some(999)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    numbers: Numbers,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Numbers {
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl Selection {
    /// An empty list of numbers below `bound`.
    pub fn below(bound: u64) -> Self {
        let narrow = bound <= 1 << 32;
        Self { numbers: if narrow { Numbers::Narrow(Vec::new()) } else { Numbers::Wide(Vec::new()) } }
    }

    /// A list of `len` zeros for numbers below `bound`.
    pub(crate) fn zeros(bound: u64, len: usize) -> Self {
        let mut list = Self::below(bound);
        match &mut list.numbers {
            Numbers::Narrow(list) => list.resize(len, 0),
            Numbers::Wide(list) => list.resize(len, 0),
        }
        list
    }

    /// Put `number` at `index`, which must be below [`len`](Self::len).
    pub(crate) fn set(&mut self, index: usize, number: u64) {
        match &mut self.numbers {
            Numbers::Narrow(list) => list[index] = narrow(number),
            Numbers::Wide(list) => list[index] = number,
        }
    }

    /// Append `numbers`; each must be below the bound that the list was made for.
    pub fn extend(&mut self, numbers: impl IntoIterator<Item = u64>) {
        match &mut self.numbers {
            Numbers::Narrow(list) => list.extend(numbers.into_iter().map(narrow)),
            Numbers::Wide(list) => list.extend(numbers),
        }
    }

    /// Numbers in the list.
    pub fn len(&self) -> u64 {
        match &self.numbers {
            Numbers::Narrow(list) => list.len() as u64,
            Numbers::Wide(list) => list.len() as u64,
        }
    }

    /// Whether nothing was selected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number at `index`; `None` beyond the last.
    #[inline]
    pub fn get(&self, index: u64) -> Option<u64> {
        let index = usize::try_from(index).ok()?;
        match &self.numbers {
            Numbers::Narrow(list) => list.get(index).copied().map(u64::from),
            Numbers::Wide(list) => list.get(index).copied(),
        }
    }
}

fn narrow(number: u64) -> u32 {
    debug_assert!(u32::try_from(number).is_ok(), "{number} is beyond the list's bound");
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_and_wide_lists_hold_the_same_numbers() {
        for bound in [1_u64 << 32, (1 << 32) + 1] {
            let mut list = Selection::below(bound);
            list.extend([5, 0, (1 << 32) - 1]);
            assert_eq!(list.len(), 3);
            assert_eq!(
                (0..4).map(|at| list.get(at)).collect::<Vec<_>>(),
                [Some(5), Some(0), Some((1 << 32) - 1), None]
            );
        }
    }
}
