//! Several sources in one epoch: how many records it has, and which of a source comes at which slot.
//!
//! ```text
//! slots are dealt to the sources by their weights (shares.rs), from slot 0 on;
//! a source that has given its most is left out from there on: a new phase, with the others' weights;
//! other weights from some slot on (a run that was resumed with another config): a new phase as well;
//! the epoch ends where its rule says: before a record would come again, when all have come, or after a number
//! ```
//!
//! 1. A phase keeps what each source has given before it, so that a source's items are numbered without gaps from phase
//!    to phase.
//! 2. Where a phase ends is computed by the inverse of dealing, not by walking: a mixture of a million million records
//!    is planned as fast as one of ten.

use crate::BatchError;
use crate::shares::Shares;

/// When an epoch of a mixture ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Before the first source would begin again.
    First,
    /// When every source has been gone through (or has given its most); the others begin again meanwhile.
    All,
    /// After this many records.
    Records(u64),
}

/// How sources are mixed from some slot on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixing {
    /// First slot that is dealt so; the first mixing of an epoch begins at 0.
    pub from: u64,
    /// Weight of each source, positive.
    pub weights: Vec<u64>,
    /// Most records that each source gives in an epoch.
    pub most: Vec<Option<u64>>,
    /// When the epoch ends.
    pub stop: Stop,
}

/// The plan of an epoch of several sources: which slots are whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixture {
    records: Vec<u64>,
    phases: Vec<Phase>,
    len: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Phase {
    start: u64,
    /// Records that each source has given before.
    given: Vec<u64>,
    /// The sources that take part.
    active: Vec<usize>,
    shares: Shares,
}

impl Mixture {
    /// Plan an epoch of sources of `records` records each, mixed as the mixings say, one after the other.
    ///
    /// # Errors
    /// [`BatchError::Mixture`]: a source without a record or weight, weights whose sum is 2⁶³ or more, mixings out of order,
    /// an epoch of more than 2⁶³ records, or one that asks for more than the sources may give.
    ///
    /// ```
    /// use nexa_batch::{Mixing, Mixture, Stop};
    /// let uneven = Mixing { from: 0, weights: vec![3, 1], most: vec![None, None], stop: Stop::Records(20) };
    /// let mixture = Mixture::plan(&[10, 1000], &[uneven])?;
    /// assert_eq!((mixture.len(), mixture.counts(20)), (20, vec![15, 5]));
    /// # Ok::<(), nexa_batch::BatchError>(())
    /// ```
    pub fn plan(records: &[u64], mixings: &[Mixing]) -> Result<Self, BatchError> {
        check(records, mixings)?;
        let mut plan = Self { records: records.to_vec(), phases: Vec::new(), len: 0 };
        let mut given = vec![0; records.len()];
        for (number, mixing) in mixings.iter().enumerate() {
            let until = mixings.get(number + 1).map(|next| next.from);
            if !plan.deal(mixing, until, &mut given)? {
                break;
            }
        }
        Ok(plan)
    }

    /// Deal slots by one mixing, up to `until` or to the epoch's end; returns whether `until` was reached.
    fn deal(&mut self, mixing: &Mixing, until: Option<u64>, given: &mut [u64]) -> Result<bool, BatchError> {
        let most = |source: usize| mixing.most[source].unwrap_or(u64::MAX);
        loop {
            let active: Vec<usize> =
                (0..given.len()).filter(|&source| given[source] < most(source)).collect();
            let shares = Shares::new(active.iter().map(|&source| mixing.weights[source]));
            // Slots from here to the item of a source after those that it has given.
            let slot_of = |place: usize, item: u64| {
                item.checked_sub(given[active[place]]).map_or(0, |more| shares.slot_of(place, more))
            };
            let places = 0..active.len();
            let used_up = places.clone().filter_map(|place| {
                mixing.most[active[place]].map(|most| slot_of(place, most - 1).saturating_add(1))
            });
            let used_up = used_up.min().unwrap_or(u64::MAX);
            let stop = match mixing.stop {
                Stop::First => {
                    places.map(|place| slot_of(place, self.records[active[place]])).min().unwrap_or(0)
                }
                Stop::All => {
                    let goal = |source: usize| self.records[source].min(most(source));
                    let behind = places.filter(|&place| given[active[place]] < goal(active[place]));
                    let slots = behind.map(|place| slot_of(place, goal(active[place]) - 1).saturating_add(1));
                    slots.max().unwrap_or(0)
                }
                Stop::Records(wanted) if active.is_empty() && wanted > self.len => {
                    let detail =
                        format!("stop asks for {wanted} records, but max_epochs allows {}", self.len);
                    return Err(BatchError::Mixture { detail });
                }
                Stop::Records(wanted) => wanted.saturating_sub(self.len),
            };
            let bound = until.map_or(u64::MAX, |until| until - self.len);
            let slots = stop.min(used_up).min(bound);
            let len = self.len.checked_add(slots).filter(|&len| len <= 1 << 63).ok_or_else(|| {
                BatchError::Mixture {
                    detail: "an epoch has more than 2^63 records; weights differ too much".into(),
                }
            })?;
            let more = shares.counts(slots);
            if slots > 0 {
                let phase = Phase { start: self.len, given: given.to_owned(), active, shares };
                for (&source, more) in phase.active.iter().zip(more) {
                    given[source] += more;
                }
                self.phases.push(phase);
                self.len = len;
            }
            if slots == stop {
                return Ok(false);
            }
            if slots == bound {
                return Ok(true);
            }
        }
    }

    /// Records in the epoch.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the epoch has no record.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Records of each source.
    pub fn records(&self) -> &[u64] {
        &self.records
    }

    /// How many records each source gives in the first `slots` slots.
    pub fn counts(&self, slots: u64) -> Vec<u64> {
        let Some(phase) = self.phases[..self.phases.partition_point(|phase| phase.start < slots)].last()
        else {
            return vec![0; self.records.len()];
        };
        let mut counts = phase.given.clone();
        for (&source, more) in phase.active.iter().zip(phase.shares.counts(slots - phase.start)) {
            counts[source] += more;
        }
        counts
    }

    /// The source whose turn slot `slot` is, and how many it has given in this epoch before.
    #[inline]
    pub(crate) fn locate(&self, slot: u64) -> (usize, u64) {
        let phase = match &self.phases[..] {
            [only] => only,
            phases => &phases[phases.partition_point(|phase| phase.start <= slot) - 1],
        };
        let (place, item) = phase.shares.locate(slot - phase.start);
        let source = phase.active[place];
        (source, phase.given[source] + item)
    }
}

fn check(records: &[u64], mixings: &[Mixing]) -> Result<(), BatchError> {
    let refuse = |detail: &str| Err(BatchError::Mixture { detail: detail.to_owned() });
    if mixings.first().is_none_or(|first| first.from != 0)
        || mixings.windows(2).any(|pair| pair[0].from > pair[1].from)
    {
        return refuse("its mixings don't follow each other from 0 on");
    }
    let too_many =
        records.iter().try_fold(0_u64, |sum, &n| sum.checked_add(n)).is_none_or(|sum| sum > 1 << 63);
    if records.is_empty() || records.contains(&0) || too_many {
        return refuse("each source wants a record, and all together at most 2^63");
    }
    for mixing in mixings {
        if mixing.weights.len() != records.len() || mixing.most.len() != records.len() {
            return refuse("each source wants a weight and a bound");
        }
        if mixing.weights.contains(&0) || mixing.most.contains(&Some(0)) {
            return refuse("a weight or bound of 0; leave the source out");
        }
        let sum = mixing.weights.iter().try_fold(0_u64, |sum, &weight| sum.checked_add(weight));
        if sum.is_none_or(|sum| sum >= 1 << 63) {
            return refuse("the weights differ too much: as whole numbers they sum to 2^63 or more");
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "mixture_tests.rs"]
mod tests;
