//! Which members make a sample, as `WebDataset` has it: neighbours whose names are the same up to the first dot.
//!
//! The key is the path up to the first dot of its last part, the column what follows, in lower case. What is no regular
//! file, has no dot, or is called `__something__` belongs to no sample. A name that comes twice in a sample is an error.
//! <https://github.com/webdataset/webdataset/blob/main/webdataset/tariterators.py>

use std::ops::Range;

use super::header::{BLOCK, Found, Member, member};
use crate::source::framed::{Frame, Step};
use crate::source::rows::{Flaw, lost};

/// One sample's place in a block.
pub(super) struct Sample {
    pub(super) key: Vec<u8>,
    /// Column and data of each member.
    pub(super) members: Vec<(Vec<u8>, Range<usize>)>,
    pub(super) all: Range<usize>,
}

/// Split a member's name into key and column; `None` where it belongs to no sample.
fn split(member: &Member) -> Option<(&[u8], &[u8])> {
    let name = &member.name[..];
    let front = name.split(|byte| *byte == b'/').next().unwrap_or_default();
    let meta = front.len() >= 4 && front.starts_with(b"__") && front.ends_with(b"__");
    if !member.regular || meta {
        return None;
    }
    let slash = name.iter().rposition(|byte| *byte == b'/');
    let base = slash.map_or(0, |slash| slash + 1);
    let dot = base + name[base..].iter().position(|byte| *byte == b'.')?;
    // A last part that begins with its dot: the folder before it is the key, if that has none itself.
    let has_key = dot > base
        || slash.is_some_and(|slash| {
            let folder = name[..slash].rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            !folder.contains(&b'.')
        });
    has_key.then_some((&name[..dot], &name[dot + 1..]))
}

/// Gives the samples of a block of whole ones.
pub(super) struct Samples<'a> {
    pub(super) block: &'a [u8],
    pub(super) at: usize,
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let mut sample: Option<Sample> = None;
        while let Found::Member(member) = member(self.block, self.at) {
            if let Some((key, column)) = split(&member) {
                if sample.as_ref().is_some_and(|sample| sample.key != key) {
                    break;
                }
                let sample = sample.get_or_insert_with(|| Sample {
                    key: key.to_vec(),
                    members: Vec::new(),
                    all: self.at..self.at,
                });
                sample.members.push((column.to_ascii_lowercase(), member.data.clone()));
            }
            self.at = member.end.min(self.block.len());
            if let Some(sample) = &mut sample {
                sample.all.end = self.at;
            }
        }
        sample
    }
}

/// Finds where samples end.
pub(super) struct Grouping {
    record_bytes: usize,
    /// Whether zeros came: what follows is another archive, or nothing.
    zeros: bool,
    /// The key of a sample that is too large, while it is passed over.
    skipping: Option<Vec<u8>>,
}

impl Grouping {
    pub(super) const fn new(record_bytes: usize) -> Self {
        Self { record_bytes, zeros: false, skipping: None }
    }

    fn too_large(&mut self, member: &Member, key: &[u8], offset: u64) -> Step {
        let reason = format!("a sample has more bytes than record_bytes allows ({})", self.record_bytes);
        let bad = Flaw::of(&String::from_utf8_lossy(key), reason).bad(Some(offset), &[]);
        let bad = (self.skipping.as_deref() != Some(key)).then_some(bad);
        self.skipping = Some(key.to_vec());
        Step::Skip(member.end as u64, bad)
    }

    /// Say what a member says that begins `at` bytes into a sample of `sample`'s key; `None` to go on behind it.
    fn member(
        &mut self,
        sample: &mut Option<Vec<u8>>,
        member: &Member,
        at: usize,
        offset: u64,
    ) -> Option<Step> {
        let Some((key, _)) = split(member) else {
            return (at == 0).then_some(Step::Skip(member.end as u64, None));
        };
        if sample.as_ref().is_some_and(|sample| sample != key) {
            return Some(Step::Whole(at));
        }
        if member.end > self.record_bytes || (sample.is_none() && self.skipping.as_deref() == Some(key)) {
            return Some(self.too_large(member, key, offset));
        }
        self.skipping = None;
        sample.get_or_insert_with(|| key.to_vec());
        None
    }
}

impl Frame for Grouping {
    fn step(&mut self, bytes: &[u8], offset: u64, ended: bool) -> Step {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        if zeros == bytes.len() || zeros >= BLOCK {
            if !ended && zeros < BLOCK {
                return Step::More(BLOCK);
            }
            self.zeros = true;
            // Whole blocks, wherever what is held happens to end.
            let whole = if ended && zeros == bytes.len() { zeros } else { zeros / BLOCK * BLOCK };
            return Step::Skip(whole as u64, None);
        }
        let (mut at, mut sample) = (0, None);
        loop {
            if at >= bytes.len() && ended && sample.is_some() {
                return Step::Whole(bytes.len());
            }
            match member(bytes, at) {
                Found::Member(found) => {
                    if let Some(step) = self.member(&mut sample, &found, at, offset) {
                        return step;
                    }
                    // What fills the last member up may be missing.
                    if found.data.end > bytes.len() || (found.end > bytes.len() && !ended) {
                        return Step::More(found.end.max(bytes.len() + 1));
                    }
                    at = found.end;
                }
                // Zeros were passed over above: these follow a header that extends a member's.
                Found::Zeros if at == 0 => {
                    let reason = "the member that a header extends is missing";
                    return Step::End(Some(lost(0, offset, reason.to_owned())));
                }
                Found::Zeros => return Step::Whole(at),
                Found::More(more) => return Step::More(more),
                Found::Odd(_) if at > 0 => return Step::Whole(at),
                Found::Odd(_) if self.zeros => {
                    let reason = "what follows the archive's end is no archive";
                    return Step::End(Some(lost(0, offset, reason.to_owned())));
                }
                Found::Odd(reason) => return Step::End(Some(lost(0, offset, reason))),
            }
        }
    }
}
