//! Split names are free, but `val` beside `validation` loses a split in silence; this notices.

/// The names that training code looks for.
const KNOWN: [&str; 3] = ["train", "validation", "test"];

/// What other tools call them.
const ALIASES: [(&str, &str); 10] = [
    ("tr", "train"),
    ("training", "train"),
    ("val", "validation"),
    ("valid", "validation"),
    ("validate", "validation"),
    ("dev", "validation"),
    ("eval", "validation"),
    ("evaluation", "validation"),
    ("testing", "test"),
    ("tst", "test"),
];

/// Say whether a name can be a split's: letters, digits, `_`, `.` and `-`, at least one.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Give the known split that a name was likely meant to be, or `None` where it is one or resembles none.
pub(crate) fn meant(name: &str) -> Option<&'static str> {
    if KNOWN.contains(&name) || name.len() > 16 {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == lower).map(|(_, known)| *known);
    alias.or_else(|| KNOWN.into_iter().find(|known| distance(&lower, known) <= 1))
}

/// Count the insertions, deletions and replacements between two short words (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right = right.as_bytes();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_splits_are_recognised_and_own_names_are_left_alone() {
        for (name, known) in [
            ("val", Some("validation")),
            ("Train", Some("train")),
            ("trian", None),
            ("tain", Some("train")),
            ("tests", Some("test")),
            ("validaton", Some("validation")),
            ("train", None),
            ("test_unseen", None),
            ("calibration", None),
            ("text", Some("test")),
        ] {
            assert_eq!(meant(name), known, "{name}");
        }
    }

    #[test]
    fn distances_are_those_of_the_textbook() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
