//! What holds for every file and every body, whatever their bytes: run by the fuzz targets, and in tests.

use std::fs;
use std::path::Path;

use arrow_array::Array;

use crate::frame::{Meta, SALT_BYTES, Seal, encode};
use crate::header::{HEADER_BYTES, header};
use crate::{Answer, Journal, Kind, Mode, State, columns, summarize};

/// Bytes of a step of [`check_script`].
const STEP_BYTES: usize = 12;

/// Read `script` as records to write and bytes to damage them with, and hold the file to [`check_journal`]: random bytes
/// would never have the right checksums.
///
/// # Panics
///
/// As [`check_journal`].
pub fn check_script(script: &[u8], folder: &Path) {
    let seal = Seal::of([7; SALT_BYTES]);
    let mut file = header(&seal);
    let mut rest = script;
    while let Some((step, behind)) = rest.split_at_checked(STEP_BYTES) {
        rest = behind;
        let length = usize::from(step[10]).min(rest.len());
        let (body, behind) = rest.split_at(length);
        rest = behind;
        let Ok(kind) = Kind::try_from(step[0] % 8) else {
            file.extend_from_slice(body); // what lies between records
            continue;
        };
        let value = u64::from(step[5]) << 32 | u64::from(step[6]);
        let meta = Meta { kind, flags: step[1], attempt: u16::from(step[2]), key: [step[3] % 4; 16], value };
        let start = file.len();
        encode(&seal, &meta, body, &mut file);
        if step[4] == 1 {
            let hit = start + usize::from(step[7]) % (file.len() - start);
            file[hit] ^= step[8] | 1;
        }
    }
    file.truncate(file.len() - rest.len().min(file.len() - HEADER_BYTES as usize));
    check_journal(&file, folder);
}

/// Open `bytes` as a journal in `folder`, append to it, and open it again.
///
/// # Panics
///
/// Where the journal breaks one of its promises.
pub fn check_journal(bytes: &[u8], folder: &Path) {
    let path = folder.join("journal.nexa");
    fs::write(&path, bytes).expect("the folder can be written");
    let Ok(journal) = Journal::open(&path, Mode::Raw) else {
        assert_eq!(fs::read(&path).expect("it is there"), bytes, "what isn't ours is left as it is");
        return;
    };
    let (before, known) = (journal.totals(), journal.states(&[7; 16]));
    let key = [0xab; 16];
    journal.append(Kind::Intent, key, 1, 5 << 32 | 7, Vec::new()).expect("it is open for writing");
    journal
        .append(Kind::Answer, key, 1, 9, br#"{"choices":[{"message":{"content":"x"}}]}"#.to_vec())
        .expect("as above");
    journal.sync().expect("the disk is writable");
    journal.close().expect("the disk is writable");
    let again = Journal::open(&path, Mode::Raw).expect("what we wrote, we read");
    assert_eq!(again.state(&key), State::Answered, "what was durable is there");
    assert_eq!(again.states(&[7; 16]), known, "and what was there before");
    assert_eq!(again.totals().requests, before.requests + 1, "and nothing more");
    drop(again.digest()); // a body that was never compressed though it says so is an error, not a crash
    again.purge().expect("the disk is writable");
    assert_eq!(again.state(&key), State::Purged, "a purged answer is known");
}

/// Read `bytes` as a body in every way.
///
/// # Panics
///
/// Where the ways disagree, or a reason quotes the body.
pub fn check_body(bytes: &[u8]) {
    let summary = summarize(bytes);
    let read = |bytes: &&[u8]| Answer {
        state: State::Answered,
        attempt: 1,
        latency_us: 1,
        body: Some(Ok(bytes.to_vec())),
    };
    let rows = summary.as_ref().map_or(1, |summary| summary.choices as usize);
    for logprobs in [false, true] {
        let decoded = columns(&[bytes], logprobs, read).expect("one answer needs no pool");
        assert_eq!(decoded.num_rows(), rows, "a row per choice");
        let errors = decoded.column_by_name("error").map_or(0, |column| column.len() - column.null_count());
        assert_eq!(errors > 0, summary.is_err(), "what was taken for an answer can be read as one");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Hold what fuzzing has found to `check`.
    fn each_of(target: &str, mut check: impl FnMut(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let inputs: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|input| input.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "{target} has a corpus");
        inputs.iter().for_each(|input| check(&std::fs::read(input).unwrap()));
    }

    #[test]
    fn what_fuzzing_found_in_journals_stays_right() {
        let folder = tempfile::tempdir().unwrap();
        each_of("teacher_journal", |bytes| super::check_script(bytes, folder.path()));
    }

    #[test]
    fn what_fuzzing_found_in_bodies_stays_right() {
        each_of("teacher_body", super::check_body);
    }
}
