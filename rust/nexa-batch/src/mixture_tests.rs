//! The plan of a mixture does what its words promise, beside a naive walk.

use proptest::prelude::*;

use super::*;

fn mixing(from: u64, weights: &[u64], most: &[Option<u64>], stop: Stop) -> Mixing {
    Mixing { from, weights: weights.to_vec(), most: most.to_vec(), stop }
}

fn plan(records: &[u64], weights: &[u64], stop: Stop) -> Mixture {
    Mixture::plan(records, &[mixing(0, weights, &vec![None; records.len()], stop)]).unwrap()
}

fn sources() -> impl Strategy<Value = Vec<(u64, u64, Option<u64>)>> {
    prop::collection::vec((1_u64..40, 1_u64..12, prop::option::of(1_u64..60)), 1..6)
}

fn stops() -> impl Strategy<Value = Stop> {
    prop_oneof![Just(Stop::First), Just(Stop::All), (1_u64..200).prop_map(Stop::Records)]
}

proptest! {
    #[test]
    fn slots_are_dealt_once_and_items_in_order(sources in sources(), stop in stops(), from in 0_u64..80, second in stops()) {
        let records: Vec<u64> = sources.iter().map(|source| source.0).collect();
        let weights: Vec<u64> = sources.iter().map(|source| source.1).collect();
        let most: Vec<Option<u64>> = sources.iter().map(|source| source.2).collect();
        let backwards: Vec<u64> = weights.iter().rev().copied().collect();
        let mixings = [mixing(0, &weights, &most, stop), mixing(from, &backwards, &vec![None; records.len()], second)];
        for mixings in [&mixings[..1], &mixings[..]] {
            let Ok(mixture) = Mixture::plan(&records, mixings) else {
                prop_assert!(matches!(stop, Stop::Records(n) if most.iter().all(Option::is_some)
                    && n > most.iter().flatten().sum()));
                continue;
            };
            let mut seen = vec![0; records.len()];
            for slot in 0..mixture.len() {
                prop_assert_eq!(&mixture.counts(slot), &seen);
                let (source, item) = mixture.locate(slot);
                prop_assert_eq!(item, seen[source]);
                seen[source] += 1;
            }
            prop_assert_eq!(mixture.counts(mixture.len()), seen);
        }
    }

    #[test]
    fn the_first_stop_is_just_before_a_record_comes_again(sources in sources()) {
        let records: Vec<u64> = sources.iter().map(|source| source.0).collect();
        let weights: Vec<u64> = sources.iter().map(|source| source.1).collect();
        let mixture = plan(&records, &weights, Stop::First);
        let counts = mixture.counts(mixture.len());
        prop_assert!(counts.iter().zip(&records).all(|(count, n)| count <= n));
        let longer = plan(&records, &weights, Stop::Records(mixture.len() + 1));
        let (source, item) = longer.locate(mixture.len());
        prop_assert_eq!(item, records[source]);
    }

    #[test]
    fn the_last_stop_is_with_the_last_missing_record(sources in sources(), bounded: bool) {
        let records: Vec<u64> = sources.iter().map(|source| source.0).collect();
        let weights: Vec<u64> = sources.iter().map(|source| source.1).collect();
        let most: Vec<_> = sources.iter().map(|source| source.2.filter(|_| bounded)).collect();
        let mixture = Mixture::plan(&records, &[mixing(0, &weights, &most, Stop::All)]).unwrap();
        let goal = |at: usize| records[at].min(most[at].unwrap_or(u64::MAX));
        let done = |slots: u64| (0..records.len()).all(|at| mixture.counts(slots)[at] >= goal(at));
        prop_assert!(done(mixture.len()) && !done(mixture.len() - 1));
        let counts = mixture.counts(mixture.len());
        prop_assert!(counts.iter().zip(&most).all(|(&count, most)| most.is_none_or(|most| count <= most)));
    }

    #[test]
    fn what_was_dealt_before_other_weights_stays(sources in sources(), from in 0_u64..60, stop in stops()) {
        let records: Vec<u64> = sources.iter().map(|source| source.0).collect();
        let weights: Vec<u64> = sources.iter().map(|source| source.1).collect();
        let ones = vec![1; records.len()];
        let none = vec![None; records.len()];
        let before = plan(&records, &weights, Stop::Records(100));
        let mixings = [mixing(0, &weights, &none, Stop::Records(100)), mixing(from, &ones, &none, stop)];
        let after = Mixture::plan(&records, &mixings).unwrap();
        prop_assert!(after.len() >= from);
        for slot in 0..from {
            prop_assert_eq!(before.locate(slot), after.locate(slot));
        }
        let rest = Shares::new(ones.iter().copied());
        for slot in from..after.len() {
            prop_assert_eq!(after.locate(slot).0, rest.locate(slot - from).0);
        }
    }
}

#[test]
fn weights_are_shares_of_the_records() {
    let mixture = plan(&[1_000_000, 1_000_000, 1_000_000], &[7, 2, 1], Stop::Records(100_000));
    assert_eq!(mixture.counts(100_000), [70_000, 20_000, 10_000]);
    for slots in [10, 1234, 54_321] {
        let counts = mixture.counts(slots);
        assert_eq!(counts.iter().sum::<u64>(), slots);
        assert!(counts[0].abs_diff(slots * 7 / 10) <= 2 && counts[2].abs_diff(slots / 10) <= 2, "{counts:?}");
    }
}

#[test]
fn a_source_that_gave_its_most_leaves_its_weight_to_the_others() {
    let most = [Some(20), None, None];
    let mixture =
        Mixture::plan(&[10, 100, 1000], &[mixing(0, &[2, 1, 1], &most, Stop::Records(240))]).unwrap();
    assert_eq!(mixture.counts(40), [20, 10, 10]);
    assert_eq!(mixture.counts(240), [20, 110, 110]);
}

#[test]
fn an_epoch_that_the_sources_may_not_fill_is_refused() {
    let mixings = [mixing(0, &[1, 1], &[Some(5), Some(6)], Stop::Records(12))];
    let error = Mixture::plan(&[10, 10], &mixings).unwrap_err().to_string();
    assert!(error.contains("asks for 12") && error.contains("allows 11"), "{error}");
    assert_eq!(
        Mixture::plan(&[10, 10], &[mixing(0, &[1, 1], &[Some(5), Some(6)], Stop::Records(11))])
            .unwrap()
            .len(),
        11
    );
}

#[test]
fn impossible_mixtures_are_refused_by_name() {
    let none = [None, None];
    let cases: [(&[u64], Vec<Mixing>, &str); 8] = [
        (&[1, 2], vec![], "follow each other"),
        (&[1, 2], vec![mixing(1, &[1, 1], &none, Stop::All)], "follow each other"),
        (&[1, 0], vec![mixing(0, &[1, 1], &none, Stop::All)], "wants a record"),
        (&[1, 2], vec![mixing(0, &[1], &none, Stop::All)], "wants a weight"),
        (&[1, 2], vec![mixing(0, &[1, 0], &none, Stop::All)], "of 0"),
        (&[1, 2], vec![mixing(0, &[1, 1], &[None, Some(0)], Stop::All)], "of 0"),
        (&[1, 2], vec![mixing(0, &[1 << 62, 1 << 62], &none, Stop::All)], "differ too much"),
        (&[1 << 40, 1 << 40], vec![mixing(0, &[1, 1 << 61], &none, Stop::All)], "more than 2^63"),
    ];
    for (records, mixings, expected) in cases {
        let error = Mixture::plan(records, &mixings).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
