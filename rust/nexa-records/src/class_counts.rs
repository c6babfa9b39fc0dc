//! How many records there are of each class.

use std::collections::BTreeMap;

/// Class ids below this are counted in an array.
const COUNTED: usize = 1 << 20;

/// Records by class id.
///
/// ```
/// let mut counts = nexa_records::ClassCounts::default();
/// counts.add_rows(&[3, 1, 3, -7], &[0, 2, 3]);
/// assert_eq!(counts.iter().collect::<Vec<_>>(), [(-7, 1), (3, 2)]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClassCounts {
    /// Of small ids, by id.
    counted: Vec<u64>,
    /// Of all others.
    rare: BTreeMap<i64, u64>,
}

impl ClassCounts {
    /// Count the labels of the rows of these numbers.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn add_rows(&mut self, labels: &[i64], numbers: &[u64]) {
        for &row in numbers {
            #[expect(clippy::cast_possible_truncation, reason = "rows in memory")]
            let label = labels[row as usize];
            match usize::try_from(label) {
                Ok(id) if id < COUNTED => {
                    if id >= self.counted.len() {
                        self.counted.resize((id + 1).next_power_of_two(), 0);
                    }
                    self.counted[id] += 1;
                }
                _ => *self.rare.entry(label).or_default() += 1,
            }
        }
    }

    /// Return each class that has records, and how many, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i64, u64)> {
        let below = self.rare.range(..0).map(|(&id, &count)| (id, count));
        let counted = (0..).zip(&self.counted).map(|(id, &count)| (id, count));
        let above = self.rare.range(0..).map(|(&id, &count)| (id, count));
        below.chain(counted.filter(|(_, count)| *count > 0)).chain(above)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn each_class_has_its_records_however_they_came(
            labels in prop::collection::vec(prop_oneof![-3_i64..9, (1_i64 << 20) - 2..(1 << 20) + 2, any::<i64>()], 1..80),
            numbers in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        ) {
            let numbers: Vec<u64> = numbers.iter().map(|at| at.index(labels.len()) as u64).collect();
            let mut naive = BTreeMap::<i64, u64>::new();
            for row in &numbers {
                *naive.entry(labels[*row as usize]).or_default() += 1;
            }
            let mut counts = ClassCounts::default();
            let (first, rest) = numbers.split_at(numbers.len() / 2);
            counts.add_rows(&labels, first);
            counts.add_rows(&labels, rest);
            prop_assert!(counts.iter().eq(naive));
        }
    }
}
