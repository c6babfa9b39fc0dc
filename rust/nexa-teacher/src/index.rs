//! Where each request stands, and what all of them cost: made of the records in their order.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::frame::{Key, Kind, Meta};

/// Where a request stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Nothing is known of it.
    #[default]
    Nothing = 0,
    /// It was about to be sent; whether it was answered isn't known.
    Open = 1,
    /// Its answer is here.
    Answered = 2,
    /// Its last attempt cost nothing.
    Refused = 3,
    /// It was sent, and its answer is lost or broken.
    Lost = 4,
    /// It was answered, and the answer's body was purged.
    Purged = 5,
}

/// What a journal adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests by state: answered.
    pub answered: u64,
    /// Of those answered or purged: taken over from another run.
    pub adopted: u64,
    /// Refused.
    pub refused: u64,
    /// Lost.
    pub lost: u64,
    /// Open.
    pub open: u64,
    /// Purged.
    pub purged: u64,
    /// Requests sent, every attempt counted.
    pub requests: u64,
    /// Prompt tokens of answers.
    pub prompt_tokens: u64,
    /// Answered tokens.
    pub completion_tokens: u64,
    /// The most prompt tokens of attempts whose answer is lost.
    pub unknown_prompt_tokens: u64,
    /// The most answered tokens of such attempts.
    pub unknown_completion_tokens: u64,
}

/// Place of a record in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub offset: u64,
    pub bytes: u32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entry {
    pub state: State,
    pub foreign: bool,
    pub settled: bool,
    pub attempt: u16,
    /// Bounds of the attempt that is open, as an intent packs them.
    open: Option<u64>,
    /// Tokens that are counted for the answer.
    counted: u64,
    /// Bounds of the attempt that was answered.
    pub bounds: u64,
    /// The answer, or the reason why there is none.
    pub place: Place,
}

/// The keys are bits of a sha256: any eight bytes are a hash.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            self.0 = self.0.rotate_left(29) ^ u64::from_le_bytes(word);
        }
    }
}

/// All requests of a journal.
#[derive(Default)]
pub(crate) struct Index {
    pub entries: HashMap<Key, Entry, BuildHasherDefault<KeyHasher>>,
    spent: Spent,
}

#[derive(Clone, Copy, Default)]
struct Spent {
    requests: u64,
    tokens: [u64; 2],
    unknown: [u64; 2],
}

impl Index {
    /// Take in a record, in the order of the file.
    pub(crate) fn apply(&mut self, meta: &Meta, place: Place) {
        let entry = self.entries.entry(meta.key).or_default();
        let spent = &mut self.spent;
        entry.attempt = entry.attempt.max(meta.attempt);
        match meta.kind {
            Kind::Intent => {
                spent.lose(entry.open.take());
                entry.open = Some(meta.value);
                entry.state = State::Open;
                entry.place = Place::default();
                spent.requests += u64::from(!meta.foreign());
            }
            Kind::Answer | Kind::Digest | Kind::Adopted => {
                entry.state = if meta.kind == Kind::Digest { State::Purged } else { State::Answered };
                entry.foreign = meta.foreign();
                entry.bounds = entry.open.take().unwrap_or(0);
                entry.settled = entry.foreign;
                entry.counted = 0;
                if !entry.foreign {
                    entry.counted = entry.bounds;
                    add(&mut spent.tokens, entry.counted);
                }
                entry.place = place;
            }
            Kind::Settled => {
                if !entry.settled && matches!(entry.state, State::Answered | State::Purged) {
                    take(&mut spent.tokens, entry.counted);
                    entry.counted = meta.value;
                    add(&mut spent.tokens, entry.counted);
                    entry.settled = true;
                }
            }
            Kind::Refused => {
                entry.open = None;
                entry.state = State::Refused;
                entry.place = place;
            }
            Kind::Lost => {
                if matches!(entry.state, State::Answered | State::Purged) && !entry.foreign {
                    take(&mut spent.tokens, entry.counted);
                    entry.counted = 0;
                    entry.open = Some(entry.bounds);
                }
                spent.lose(entry.open.take());
                entry.state = State::Lost;
                entry.place = place;
            }
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Entry {
        self.entries.get(key).copied().unwrap_or_default()
    }

    /// Note where a record that is counted already came to lie.
    pub(crate) fn put(&mut self, key: &Key, place: Place) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.place = place;
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals { requests: self.spent.requests, ..Totals::default() };
        let mut unknown = self.spent.unknown;
        for entry in self.entries.values() {
            match entry.state {
                State::Nothing => {}
                State::Open => totals.open += 1,
                State::Answered => totals.answered += 1,
                State::Refused => totals.refused += 1,
                State::Lost => totals.lost += 1,
                State::Purged => totals.purged += 1,
            }
            totals.adopted +=
                u64::from(entry.foreign && matches!(entry.state, State::Answered | State::Purged));
            add(&mut unknown, entry.open.unwrap_or(0));
        }
        [totals.prompt_tokens, totals.completion_tokens] = self.spent.tokens;
        [totals.unknown_prompt_tokens, totals.unknown_completion_tokens] = unknown;
        totals
    }
}

impl Spent {
    fn lose(&mut self, bounds: Option<u64>) {
        add(&mut self.unknown, bounds.unwrap_or(0));
    }
}

fn add(to: &mut [u64; 2], packed: u64) {
    to[0] = to[0].saturating_add(packed >> 32);
    to[1] = to[1].saturating_add(packed & 0xffff_ffff);
}

fn take(from: &mut [u64; 2], packed: u64) {
    from[0] = from[0].saturating_sub(packed >> 32);
    from[1] = from[1].saturating_sub(packed & 0xffff_ffff);
}
