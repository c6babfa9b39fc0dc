//! Nothing that was durable is lost, whatever happens to the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use arrow_array::Array;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{Journal, JournalError, Key, Kind, Mode, State};

const ANSWER: &[u8] =
    br#"{"choices":[{"message":{"content":"four"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;

fn key(number: u8) -> Key {
    [number; 16]
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.nexa");
    (folder, path)
}

fn filled(path: &std::path::Path, answers: u8) -> Vec<u64> {
    let journal = Journal::open(path, Mode::Raw).unwrap();
    (0..answers)
        .map(|number| {
            journal.append(Kind::Intent, key(number), 1, 100 << 32 | 10, Vec::new()).unwrap();
            journal.append(Kind::Answer, key(number), 1, 1000, ANSWER.to_vec()).unwrap();
            journal.sync().unwrap();
            journal.sync().unwrap();
            fs::metadata(path).unwrap().len()
        })
        .collect()
}

#[test]
fn what_was_answered_is_there_after_opening_again() {
    let (_folder, path) = place();
    for mode in [Mode::Compress, Mode::Raw] {
        let journal = Journal::open(&path, mode).unwrap();
        let long =
            format!(r#"{{"choices":[{{"message":{{"content":"{}"}}}}]}}"#, "x".repeat(5000)).into_bytes();
        journal.append(Kind::Intent, key(1), 2, 7 << 32 | 5, Vec::new()).unwrap();
        journal.append(Kind::Answer, key(1), 2, 1234, long.clone()).unwrap();
        let settled = journal.sync().unwrap();
        assert_eq!((settled.len(), settled[0].attempt), (1, 2));
        assert_eq!(settled[0].answer.as_ref().unwrap().prompt_tokens, None);
        journal.close().unwrap();
        let again = Journal::open(&path, mode).unwrap();
        assert_eq!(again.body(&key(1)).unwrap(), Some(long));
        assert_eq!((again.state(&key(1)), again.attempt(&key(1))), (State::Answered, 2));
        let totals = again.totals();
        assert_eq!(
            (totals.prompt_tokens, totals.completion_tokens, totals.requests),
            (7, 5, 1),
            "at the bounds"
        );
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_file_cut_at_any_byte_keeps_its_whole_records_and_takes_new_ones() {
    let (_folder, path) = place();
    let ends = filled(&path, 3);
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let journal = Journal::open(&path, Mode::Raw).unwrap();
        for number in 0..3 {
            if ends[number as usize] <= cut as u64 {
                assert_eq!(journal.state(&key(number)), State::Answered, "cut at {cut}");
            }
        }
        assert_eq!(journal.damaged_bytes(), 0);
        journal.append(Kind::Intent, key(9), 1, 0, Vec::new()).unwrap();
        journal.sync().unwrap();
        journal.close().unwrap();
        assert_eq!(Journal::open(&path, Mode::Raw).unwrap().state(&key(9)), State::Open, "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_loses_what_it_hits_and_nothing_else() {
    let (_folder, path) = place();
    let ends = filled(&path, 3);
    let whole = fs::read(&path).unwrap();
    for at in 32..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        fs::write(&path, &flipped).unwrap();
        let journal = Journal::open(&path, Mode::Raw).unwrap();
        let mut begins = 32;
        for (number, end) in ends.iter().enumerate() {
            let hit = (begins..*end).contains(&(at as u64));
            let state = journal.state(&key(number as u8));
            assert!(hit || state == State::Answered, "byte {at}: {number} is {state:?}");
            begins = *end;
        }
    }
}

#[test]
fn an_intent_without_an_end_is_open_and_counts_in_full() {
    let (_folder, path) = place();
    let journal = Journal::open(&path, Mode::Raw).unwrap();
    journal.append(Kind::Intent, key(1), 1, 100 << 32 | 10, Vec::new()).unwrap();
    journal.append(Kind::Intent, key(1), 2, 100 << 32 | 10, Vec::new()).unwrap();
    journal.append(Kind::Intent, key(2), 1, 7 << 32 | 3, Vec::new()).unwrap();
    journal.append(Kind::Refused, key(2), 1, 429, b"status 429".to_vec()).unwrap();
    journal.append(Kind::Intent, key(3), 1, 1 << 32 | 1, Vec::new()).unwrap();
    journal.append(Kind::Lost, key(3), 1, 0, b"reset".to_vec()).unwrap();
    journal.close().unwrap();
    let again = Journal::open(&path, Mode::Read).unwrap();
    let states: Vec<_> = (1..=4).map(|number| again.state(&key(number))).collect();
    assert_eq!(states, [State::Open, State::Refused, State::Lost, State::Nothing]);
    assert_eq!(again.reason(&key(2)).unwrap().as_deref(), Some("status 429"));
    let totals = again.totals();
    assert_eq!((totals.unknown_prompt_tokens, totals.unknown_completion_tokens), (201, 21));
    assert_eq!((totals.open, totals.refused, totals.lost, totals.requests), (1, 1, 1, 4));
    assert!(matches!(
        again.append(Kind::Intent, key(5), 1, 0, Vec::new()),
        Err(JournalError::ReadOnly { .. })
    ));
}

#[test]
fn a_broken_body_is_lost_also_when_a_kill_came_before_it_was_read() {
    let (_folder, path) = place();
    let journal = Journal::open(&path, Mode::Raw).unwrap();
    journal.append(Kind::Intent, key(1), 1, 100 << 32 | 10, Vec::new()).unwrap();
    journal.append(Kind::Answer, key(1), 1, 5, br#"{"choices":[{"mess"#.to_vec()).unwrap();
    let settled = journal.sync().unwrap();
    assert!(settled[0].answer.as_ref().unwrap_err().contains("too early"));
    assert_eq!(journal.state(&key(1)), State::Lost);
    drop(journal); // killed: what it had to say of the body was never written
    let again = Journal::open(&path, Mode::Raw).unwrap();
    assert_eq!(again.state(&key(1)), State::Lost);
    assert_eq!(again.totals().unknown_completion_tokens, 10);
    again.sync().unwrap();
    assert!(again.reason(&key(1)).unwrap().unwrap().starts_with("broken answer"));
}

#[test]
fn purging_lets_bodies_go_and_keeps_digests_states_and_spend() {
    let (_folder, path) = place();
    filled(&path, 3);
    let journal = Journal::open(&path, Mode::Compress).unwrap();
    journal.append(Kind::Intent, key(7), 1, 9 << 32 | 9, Vec::new()).unwrap();
    journal.sync().unwrap();
    let (digest, totals) = (journal.digest().unwrap(), journal.totals());
    assert!(journal.purge().unwrap() > 0);
    assert_eq!(journal.digest().unwrap(), digest);
    let purged = journal.totals();
    assert_eq!((purged.answered, purged.purged), (0, totals.answered));
    assert_eq!((purged.prompt_tokens, purged.open), (totals.prompt_tokens, totals.open));
    assert_eq!(journal.body(&key(0)).unwrap(), None);
    assert!(!fs::read(&path).unwrap().windows(4).any(|bytes| bytes == b"four"));
    journal.append(Kind::Adopted, key(0), 1, 5, ANSWER.to_vec()).unwrap();
    journal.close().unwrap();
    let again = Journal::open(&path, Mode::Raw).unwrap();
    assert_eq!(again.state(&key(0)), State::Answered);
    assert_eq!(again.totals().requests, totals.requests);
}

#[test]
fn another_runs_answers_are_taken_over_and_what_is_open_there_is_open_here() {
    let (_folder, path) = place();
    filled(&path, 2);
    let theirs = Journal::open(&path, Mode::Raw).unwrap();
    theirs.append(Kind::Intent, key(5), 1, 9 << 32 | 9, Vec::new()).unwrap();
    theirs.sync().unwrap();
    let (_other, mine) = place();
    let mine = Journal::open(&mine, Mode::Compress).unwrap();
    let keys: Vec<u8> = [0, 1, 5, 6].into_iter().flat_map(key).collect();
    assert_eq!(mine.adopt(&theirs, &keys).unwrap(), 2);
    assert_eq!(mine.states(&keys), [2, 2, 1, 0]);
    assert_eq!(mine.body(&key(1)).unwrap().unwrap(), ANSWER);
    let totals = mine.totals();
    assert_eq!(
        (totals.adopted, totals.requests, totals.prompt_tokens, totals.unknown_prompt_tokens),
        (2, 0, 0, 0)
    );
    assert_eq!(mine.digest().unwrap(), {
        let (_third, path) = place();
        filled(&path, 2);
        Journal::open(&path, Mode::Raw).unwrap().digest().unwrap()
    });
}

#[test]
fn a_record_inside_a_body_is_never_one_though_the_record_around_it_is_torn() {
    let (_theirs, path) = place();
    filled(&path, 1);
    let forged = fs::read(&path).unwrap()[32..].to_vec();
    let (_folder, path) = place();
    let journal = Journal::open(&path, Mode::Raw).unwrap();
    journal.append(Kind::Intent, key(9), 1, 0, Vec::new()).unwrap();
    journal.append(Kind::Answer, key(9), 1, 0, forged.repeat(3)).unwrap();
    journal.sync().unwrap();
    drop(journal);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let again = Journal::open(&path, Mode::Raw).unwrap();
    assert_eq!(again.state(&key(0)), State::Nothing);
    assert_eq!(again.state(&key(9)), State::Open);
}

#[test]
fn long_records_are_read_whole_and_a_length_that_lies_hides_nothing_behind_it() {
    let (_folder, path) = place();
    let journal = Journal::open(&path, Mode::Raw).unwrap();
    let long =
        format!(r#"{{"choices":[{{"message":{{"content":"{}"}}}}]}}"#, "x".repeat(3 << 20)).into_bytes();
    journal.append(Kind::Intent, key(1), 1, 0, Vec::new()).unwrap();
    for number in 2..4 {
        journal.append(Kind::Intent, key(number), 1, 0, Vec::new()).unwrap();
        journal.append(Kind::Answer, key(number), 1, 0, long.clone()).unwrap();
    }
    journal.close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    assert_eq!(Journal::open(&path, Mode::Raw).unwrap().body(&key(3)).unwrap(), Some(long));
    bytes[32 + 8 + 2] ^= 0x20; // the first record now claims 2 MiB more
    fs::write(&path, bytes).unwrap();
    let again = Journal::open(&path, Mode::Raw).unwrap();
    let states: Vec<_> = (1..4).map(|number| again.state(&key(number))).collect();
    assert_eq!(states, [State::Nothing, State::Answered, State::Answered]);
    assert!(again.damaged_bytes() > 0);
}

#[test]
fn what_is_damaged_while_the_journal_is_open_is_a_row_that_says_so_and_is_not_purged() {
    let (_folder, path) = place();
    let ends = filled(&path, 2);
    let journal = Journal::open(&path, Mode::Raw).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    for byte in &mut bytes[ends[0] as usize + 40..] {
        *byte ^= 1;
    }
    fs::write(&path, &bytes).unwrap();
    let keys = [key(0), key(1)].concat();
    let rows = journal.columns(&keys, false).unwrap();
    let errors = rows.column_by_name("error").unwrap();
    assert_eq!((errors.is_null(0), errors.is_null(1)), (true, false));
    assert!(matches!(journal.purge(), Err(JournalError::Damaged { .. })));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert!(!path.with_extension("purging").exists());
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let (_folder, path) = place();
    for foreign in [&b"years of work"[..], b"something longer than a header of ours"] {
        fs::write(&path, foreign).unwrap();
        assert!(matches!(Journal::open(&path, Mode::Raw), Err(JournalError::Foreign { .. })));
        assert_eq!(fs::read(&path).unwrap(), foreign);
    }
    let mut newer = b"nexa-teacher".to_vec();
    newer.extend(9u32.to_le_bytes());
    newer.extend([0; 16]);
    fs::write(&path, newer).unwrap();
    assert!(matches!(Journal::open(&path, Mode::Raw), Err(JournalError::Newer { version: 9, .. })));
}

#[derive(Clone, Debug)]
enum Step {
    Append(Kind, u8),
    Sync,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![Just(Kind::Intent), Just(Kind::Answer), Just(Kind::Refused), Just(Kind::Lost)];
    let step = prop_oneof![
        6 => (kind, 0..4u8).prop_map(|(kind, number)| Step::Append(kind, number)),
        2 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn a_journal_says_what_a_naive_twin_says(steps in steps()) {
        let (_folder, path) = place();
        let mut journal = Journal::open(&path, Mode::Raw).unwrap();
        let (mut durable, mut pending) = (BTreeMap::new(), Vec::new());
        let mut requests = 0;
        for step in steps {
            match step {
                Step::Append(kind, number) => {
                    let body = if kind == Kind::Answer { ANSWER.to_vec() } else { Vec::new() };
                    journal.append(kind, key(number), 1, 1 << 32 | 1, body).unwrap();
                    pending.push((kind, number));
                }
                Step::Sync => {
                    journal.sync().unwrap();
                    for (kind, number) in pending.drain(..) {
                        requests += u64::from(kind == Kind::Intent);
                        durable.insert(number, match kind {
                            Kind::Intent => State::Open,
                            Kind::Answer => State::Answered,
                            Kind::Refused => State::Refused,
                            _ => State::Lost,
                        });
                    }
                }
                Step::Reopen => {
                    drop(journal);
                    pending.clear();
                    journal = Journal::open(&path, Mode::Raw).unwrap();
                }
            }
            for number in 0..4 {
                let state = durable.get(&number).copied().unwrap_or_default();
                prop_assert_eq!(journal.state(&key(number)), state);
            }
            prop_assert_eq!(journal.totals().requests, requests);
        }
    }

    #[test]
    fn any_bytes_are_a_journal_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400), ours in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let mut file = if ours { crate::header::header(&crate::frame::Seal::of([9; 16])) } else { Vec::new() };
        file.extend(bytes);
        crate::replay::check_journal(&file, folder.path());
    }
}
