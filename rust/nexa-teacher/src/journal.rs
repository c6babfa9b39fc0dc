//! The journal's file: opened, appended to in groups, read back.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use sha2::{Digest as _, Sha256};
use zstd::bulk::Compressor;

use crate::columns::{Answer, columns};
use crate::error::JournalError;
use crate::frame::{FOREIGN, KEY_BYTES, Key, Kind, Meta, ZSTD, encode};
use crate::header::{HEADER_BYTES, open_header};
use crate::index::{Entry, Index, Place, State, Totals};
use crate::packing::{LEVEL, compressed};
use crate::reader::Reader;
use crate::scan::scan;
use crate::summary::{Summary, summarize};

/// Bytes of adopted answers that are held before they are written.
const ADOPTED_BYTES: usize = 16 << 20;

/// What a journal is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Appending, bodies compressed.
    Compress,
    /// Appending, bodies as they are.
    Raw,
    /// Looking into another run's journal, also while its owner writes.
    Read,
}

/// What an answer is, told once it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The request.
    pub key: Key,
    /// Its attempt.
    pub attempt: u16,
    /// The answer, or why its body is none.
    pub answer: Result<Summary, String>,
}

struct Pending {
    meta: Meta,
    body: Vec<u8>,
    /// The index knows it already.
    counted: bool,
}

/// The file and what is known of it; see the [crate's page](crate).
pub struct Journal {
    path: PathBuf,
    mode: Mode,
    queue: Mutex<Vec<Pending>>,
    /// Held by the one who writes, also while the disk is waited for; `kept` isn't, so that nobody who asks waits for a disk.
    writing: Mutex<Compressor<'static>>,
    kept: Mutex<Kept>,
    failed: AtomicBool,
}

pub(crate) struct Kept {
    pub reader: Option<Reader>,
    pub index: Index,
    pub end: u64,
    pub damaged: u64,
}

impl Journal {
    /// Open the journal at `path`; one that isn't there is made, unless it is only to be read.
    ///
    /// A torn tail is cut. Damaged records before it are passed over, as if they had never been written.
    ///
    /// # Errors
    /// [`JournalError::Read`], [`JournalError::Write`], [`JournalError::Foreign`], [`JournalError::Newer`],
    /// [`JournalError::Ruined`].
    pub fn open(path: &Path, mode: Mode) -> Result<Self, JournalError> {
        let unreadable = |source| JournalError::Read { path: path.to_owned(), source };
        let unwritable = |source| JournalError::Write { path: path.to_owned(), source };
        let writes = mode != Mode::Read;
        let file = OpenOptions::new()
            .read(true)
            .write(writes)
            .create(writes)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|source| if writes { unwritable(source) } else { unreadable(source) })?;
        let seal = open_header(&file, path, writes)?;
        let mut index = Index::default();
        let scanned = scan(&file, &seal, HEADER_BYTES, |meta, _, place| index.apply(meta, place))
            .map_err(unreadable)?;
        if scanned.given_up {
            return Err(JournalError::Ruined { path: path.to_owned(), end: scanned.end });
        }
        if writes && file.metadata().map_err(unreadable)?.len() > scanned.end {
            file.set_len(scanned.end).and_then(|()| file.sync_all()).map_err(unwritable)?;
        }
        let reader = Reader { path: path.to_owned(), file: Arc::new(file), seal };
        let kept = Kept { reader: Some(reader), index, end: scanned.end, damaged: scanned.damaged };
        let journal = Self {
            path: path.to_owned(),
            mode,
            queue: Mutex::default(),
            writing: Mutex::new(Compressor::new(LEVEL).map_err(unwritable)?),
            kept: Mutex::new(kept),
            failed: AtomicBool::new(false),
        };
        journal.settle_rest()?;
        Ok(journal)
    }

    /// Where the journal is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that belong to no sound record.
    #[must_use]
    pub fn damaged_bytes(&self) -> u64 {
        self.kept().damaged
    }

    /// Take a record in; it is durable once a later [`Journal::sync`] has returned.
    ///
    /// # Errors
    /// [`JournalError::ReadOnly`]; [`JournalError::Failed`] after a write that failed.
    pub fn append(
        &self,
        kind: Kind,
        key: Key,
        attempt: u16,
        value: u64,
        body: Vec<u8>,
    ) -> Result<(), JournalError> {
        if self.mode == Mode::Read {
            return Err(JournalError::ReadOnly { path: self.path.clone() });
        }
        self.check_writable()?;
        let meta = Meta { kind, flags: 0, attempt, key, value };
        self.queue().push(Pending { meta, body, counted: false });
        Ok(())
    }

    /// Make all that was appended before durable; returns what the answers among it are.
    ///
    /// A body that is no answer counts as lost from then on.
    ///
    /// # Errors
    /// [`JournalError::Write`]: what was durable before stays, the rest is gone, and nothing is taken in any more.
    pub fn sync(&self) -> Result<Vec<Settled>, JournalError> {
        let mut packer = self.writing();
        // Asked while nobody writes: what another one wrote for us may have failed.
        self.check_writable()?;
        let group = std::mem::take(&mut *self.queue());
        if group.is_empty() {
            return Ok(Vec::new());
        }
        self.write(&mut packer, &group)?;
        let mut settled = Vec::new();
        for pending in group.iter().filter(|pending| pending.meta.kind == Kind::Answer) {
            let answer = summarize(&pending.body);
            self.settle(&mut self.kept(), &pending.meta, &answer);
            settled.push(Settled { key: pending.meta.key, attempt: pending.meta.attempt, answer });
        }
        Ok(settled)
    }

    /// Where a request stands.
    #[must_use]
    pub fn state(&self, key: &Key) -> State {
        self.kept().index.get(key).state
    }

    /// Where many requests stand: one byte for each key of `keys`, which lie side by side.
    #[must_use]
    pub fn states(&self, keys: &[u8]) -> Vec<u8> {
        let kept = self.kept();
        each_key(keys).map(|key| kept.index.get(&key).state as u8).collect()
    }

    /// The last attempt at a request, 0 if there was none.
    #[must_use]
    pub fn attempt(&self, key: &Key) -> u16 {
        self.kept().index.get(key).attempt
    }

    /// What the journal adds up to.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.kept().index.totals()
    }

    /// The raw body of an answer, if it is here.
    ///
    /// # Errors
    /// [`JournalError::Read`], [`JournalError::Damaged`].
    pub fn body(&self, key: &Key) -> Result<Option<Vec<u8>>, JournalError> {
        match self.found(key)? {
            (Entry { state: State::Answered, place, .. }, reader) => Ok(Some(reader.read(place)?.1)),
            _ => Ok(None),
        }
    }

    /// Why a request that was refused or lost has no answer, if that was said.
    ///
    /// # Errors
    /// [`JournalError::Read`], [`JournalError::Damaged`].
    pub fn reason(&self, key: &Key) -> Result<Option<String>, JournalError> {
        match self.found(key)? {
            (Entry { state: State::Refused | State::Lost, place, .. }, reader) if place.bytes > 0 => {
                let (_, body) = reader.read(place)?;
                Ok(Some(String::from_utf8_lossy(&body).into_owned()).filter(|text| !text.is_empty()))
            }
            _ => Ok(None),
        }
    }

    /// The answers to `keys`, which lie side by side, as columns; see [`columns`](crate::columns()).
    ///
    /// # Errors
    /// [`JournalError::ReadOnly`] after [`Journal::close`], [`JournalError::Threads`]. A record that can't be read is
    /// a row that says so.
    pub fn columns(&self, keys: &[u8], logprobs: bool) -> Result<RecordBatch, JournalError> {
        let (entries, reader) = {
            let kept = self.kept();
            let entries: Vec<Entry> = each_key(keys).map(|key| kept.index.get(&key)).collect();
            (entries, self.reader(&kept)?)
        };
        columns(&entries, logprobs, |entry| {
            let known = Answer { state: entry.state, ..Answer::default() };
            if entry.state != State::Answered {
                return known;
            }
            match reader.read(entry.place) {
                Ok((meta, body)) => {
                    Answer { attempt: meta.attempt, latency_us: meta.value, body: Some(Ok(body)), ..known }
                }
                Err(error) => Answer { body: Some(Err(error.to_string())), ..known },
            }
        })
    }

    /// Take over what `other` knows of those of `keys` of which nothing is known here; returns how many answers.
    ///
    /// What is open, lost or purged there is open here, so that it isn't sent again unasked; nobody paid for it here.
    /// To be called while no answer waits to be told by [`Journal::sync`], as are [`Journal::purge`] and [`Journal::close`].
    ///
    /// # Errors
    /// As [`Journal::sync`], and what reading `other` says.
    pub fn adopt(&self, other: &Self, keys: &[u8]) -> Result<u64, JournalError> {
        let (mut taken, mut seen, mut held) = (0, HashSet::new(), 0);
        for key in each_key(keys) {
            if self.state(&key) != State::Nothing || !seen.insert(key) {
                continue;
            }
            let (entry, reader) = other.found(&key)?;
            let meta = Meta { kind: Kind::Adopted, flags: FOREIGN, attempt: entry.attempt, key, value: 0 };
            match entry.state {
                State::Answered => {
                    let (theirs, body) = reader.read(entry.place)?;
                    held += body.len();
                    let meta = Meta { attempt: theirs.attempt, value: theirs.value, ..meta };
                    self.queue().push(Pending { meta, body, counted: false });
                    taken += 1;
                }
                State::Open | State::Lost | State::Purged => {
                    let meta = Meta { kind: Kind::Intent, ..meta };
                    self.queue().push(Pending { meta, body: Vec::new(), counted: false });
                }
                State::Nothing | State::Refused => {}
            }
            if held > ADOPTED_BYTES {
                self.sync()?;
                held = 0;
            }
        }
        self.sync()?;
        Ok(taken)
    }

    /// sha256 over the answers, by key: which there are, and their bodies' digests, purged or not.
    ///
    /// # Errors
    /// [`JournalError::Read`], [`JournalError::Damaged`].
    pub fn digest(&self) -> Result<String, JournalError> {
        use std::fmt::Write as _;

        let (mut answered, reader) = {
            let kept = self.kept();
            let answered: Vec<(Key, Place)> = kept
                .index
                .entries
                .iter()
                .filter(|(_, entry)| matches!(entry.state, State::Answered | State::Purged))
                .map(|(key, entry)| (*key, entry.place))
                .collect();
            (answered, self.reader(&kept)?)
        };
        answered.sort_unstable_by_key(|(key, _)| *key);
        let mut whole = Sha256::new();
        for (key, place) in answered {
            let (meta, body) = reader.read(place)?;
            whole.update(key);
            if meta.kind == Kind::Digest { whole.update(&body) } else { whole.update(Sha256::digest(&body)) }
        }
        Ok(whole.finalize().iter().fold(String::from("sha256:"), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }

    /// Sync and close the file; what is asked of the journal from then on, it knows from memory or not at all.
    ///
    /// # Errors
    /// As [`Journal::sync`].
    pub fn close(&self) -> Result<(), JournalError> {
        let idle = self.mode == Mode::Read || self.check_writable().is_err();
        let synced = if idle { Ok(()) } else { self.sync().and_then(|_| self.sync()).map(drop) };
        let _alone = self.writing();
        self.kept().reader = None;
        synced
    }

    pub(crate) fn check_writable(&self) -> Result<(), JournalError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(JournalError::Failed { path: self.path.clone() });
        }
        Ok(())
    }

    pub(crate) fn writes(&self) -> bool {
        self.mode != Mode::Read
    }

    pub(crate) fn reader(&self, kept: &Kept) -> Result<Reader, JournalError> {
        kept.reader.clone().ok_or_else(|| JournalError::ReadOnly { path: self.path.clone() })
    }

    fn found(&self, key: &Key) -> Result<(Entry, Reader), JournalError> {
        let kept = self.kept();
        Ok((kept.index.get(key), self.reader(&kept)?))
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait until nobody writes; to be taken before `kept`.
    pub(crate) fn writing(&self) -> MutexGuard<'_, Compressor<'static>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settle what was answered before a kill came between the answer and its being read.
    fn settle_rest(&self) -> Result<(), JournalError> {
        let mut kept = self.kept();
        let rest: Vec<(Key, Place)> = kept
            .index
            .entries
            .iter()
            .filter(|(_, entry)| entry.state == State::Answered && !entry.settled)
            .map(|(key, entry)| (*key, entry.place))
            .collect();
        let reader = self.reader(&kept)?;
        for (key, place) in rest {
            match reader.read(place) {
                Ok((meta, body)) => self.settle(&mut kept, &meta, &summarize(&body)),
                Err(JournalError::Damaged { .. }) => {
                    let attempt = kept.index.get(&key).attempt;
                    let meta = Meta { kind: Kind::Answer, flags: 0, attempt, key, value: 0 };
                    self.settle(&mut kept, &meta, &Err("its record can't be decompressed".to_owned()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Count what an answer used, or that it is none, and have that written with the next group.
    fn settle(&self, kept: &mut Kept, meta: &Meta, answer: &Result<Summary, String>) {
        let (meta, body) = match answer {
            Ok(summary) => {
                let bounds = kept.index.get(&meta.key).bounds;
                let value = u64::from(summary.prompt_tokens.unwrap_or((bounds >> 32) as u32)) << 32
                    | u64::from(summary.completion_tokens.unwrap_or(bounds as u32));
                (Meta { kind: Kind::Settled, flags: 0, value, ..*meta }, Vec::new())
            }
            Err(reason) => {
                let meta = Meta { kind: Kind::Lost, flags: 0, value: 0, ..*meta };
                (meta, format!("broken answer: {reason}").into_bytes())
            }
        };
        kept.index.apply(&meta, Place::default());
        if self.writes() {
            self.queue().push(Pending { meta, body, counted: true });
        }
    }

    fn write(&self, packer: &mut Compressor<'_>, group: &[Pending]) -> Result<(), JournalError> {
        let (Reader { file, seal, .. }, end) = {
            let kept = self.kept();
            (self.reader(&kept)?, kept.end)
        };
        let mut bytes = Vec::with_capacity(group.iter().map(|pending| pending.body.len() + 64).sum());
        let mut places = Vec::with_capacity(group.len());
        for pending in group {
            let start = bytes.len();
            let packed = match self.mode {
                Mode::Compress => compressed(packer, &pending.meta, &pending.body),
                Mode::Raw | Mode::Read => None,
            };
            match &packed {
                Some(body) => {
                    let meta = Meta { flags: pending.meta.flags | ZSTD, ..pending.meta };
                    encode(&seal, &meta, body, &mut bytes);
                }
                None => encode(&seal, &pending.meta, &pending.body, &mut bytes),
            }
            let size = u32::try_from(bytes.len() - start).expect("records are bounded");
            places.push(Place { offset: end + start as u64, bytes: size });
        }
        let written = file.write_all_at(&bytes, end).and_then(|()| file.sync_data());
        let mut kept = self.kept();
        if let Err(source) = written {
            // Half a group would be a torn tail; if even that can't be cut, opening cuts it.
            let _ = file.set_len(end);
            self.failed.store(true, Ordering::Release);
            return Err(JournalError::Write { path: self.path.clone(), source });
        }
        kept.end = end + bytes.len() as u64;
        for (pending, place) in group.iter().zip(places) {
            match (pending.counted, pending.meta.kind) {
                (false, _) => kept.index.apply(&pending.meta, place),
                (true, Kind::Lost) => kept.index.put(&pending.meta.key, place),
                (true, _) => {}
            }
        }
        Ok(())
    }
}

pub(crate) fn each_key(keys: &[u8]) -> impl Iterator<Item = Key> + '_ {
    keys.chunks_exact(KEY_BYTES).map(|key| key.try_into().expect("a chunk is a key long"))
}
