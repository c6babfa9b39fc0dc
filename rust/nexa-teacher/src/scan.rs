//! Reads a journal's records once, in order; passes over what is damaged, and says where the sound part ends.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memchr::memmem;

use crate::frame::{Found, MARKER_BYTES, Meta, Seal, decode, extent, finished, u32_at};
use crate::index::Place;

/// How much is read at once.
const WINDOW_BYTES: usize = 1 << 20;
/// Damaged files are searched for sound records up to so many times their size: hostile ones would take for ever.
const PATIENCE: u64 = 4;

/// How a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Where the last sound record ends.
    pub end: u64,
    /// Bytes before it that belong to no sound record.
    pub damaged: u64,
    /// The search for sound records was given up: where they end isn't known.
    pub given_up: bool,
}

/// Hand every sound record from `start` on to `each`, with its body and its place.
pub(crate) fn scan(
    file: &File,
    seal: &Seal,
    start: u64,
    mut each: impl FnMut(&Meta, &[u8], Place),
) -> io::Result<Scanned> {
    let size = file.metadata()?.len();
    let mut window = Window { file, seal, size, start, bytes: Vec::new(), read: 0 };
    let mut scanned = Scanned { end: start, damaged: 0, given_up: false };
    let mut at = start;
    let mut searched = 0;
    while at < size {
        let before = window.read;
        match window.record_at(at)? {
            Some((meta, body, bytes)) => {
                let place = Place { offset: at, bytes: u32::try_from(bytes).expect("records are bounded") };
                each(&meta, body, place);
                scanned.damaged += at - scanned.end;
                at += bytes as u64;
                scanned.end = at;
            }
            None => match window.next_marker(at + 1)? {
                Some(next) => at = next,
                None => break,
            },
        }
        searched += if at == scanned.end { 0 } else { window.read - before };
        if searched > size.saturating_mul(PATIENCE) {
            scanned.given_up = true;
            break;
        }
    }
    Ok(scanned)
}

/// The part of the file that is in memory.
struct Window<'a> {
    file: &'a File,
    seal: &'a Seal,
    size: u64,
    start: u64,
    bytes: Vec<u8>,
    read: u64,
}

impl Window<'_> {
    /// Return the sound record at `at`: its fields, its body, its size.
    fn record_at(&mut self, at: u64) -> io::Result<Option<(Meta, &[u8], usize)>> {
        let mut wanted = WINDOW_BYTES;
        loop {
            let held = self.from(at).len() as u64;
            let rest = self.size - at;
            match extent(self.seal, self.from(at)) {
                Some(bytes) if bytes as u64 <= held => break,
                // A damaged length may claim much: it is believed once the checksum of all that is right.
                Some(bytes) if bytes > WINDOW_BYTES && !self.is_sound(at, bytes)? => return Ok(None),
                Some(bytes) if bytes as u64 <= rest => {
                    wanted = wanted.max(bytes);
                    self.load(at, wanted)?;
                }
                // Fewer bytes than a head may be all that is held.
                None if held < MARKER_BYTES as u64 && held < rest => self.load(at, wanted)?,
                Some(_) | None => return Ok(None),
            }
        }
        match decode(self.seal, self.from(at)) {
            Found::Record(meta, body, bytes) => Ok(Some((meta, body, bytes))),
            Found::Part(_) | Found::Nothing => Ok(None),
        }
    }

    /// Return whether the record of `bytes` bytes at `at` has the right checksum, reading it a window at a time.
    fn is_sound(&mut self, at: u64, bytes: usize) -> io::Result<bool> {
        let end = at + bytes as u64;
        if end > self.size {
            return Ok(false);
        }
        let mut head = [0; 8];
        self.file.read_exact_at(&mut head, at)?;
        let (mut digest, mut place) = (self.seal.digest(), at + head.len() as u64);
        let mut piece = vec![0; WINDOW_BYTES];
        while place < end {
            let taken = usize::try_from(end - place).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
            self.file.read_exact_at(&mut piece[..taken], place)?;
            digest.update(&piece[..taken]);
            place += taken as u64;
        }
        self.read += bytes as u64;
        Ok(finished(&digest) == u32_at(&head, 4))
    }

    /// Return where the next marker stands, from `at` on.
    fn next_marker(&mut self, mut at: u64) -> io::Result<Option<u64>> {
        while at + MARKER_BYTES as u64 <= self.size {
            if self.from(at).len() < MARKER_BYTES {
                self.load(at, WINDOW_BYTES)?;
            }
            let held = self.from(at);
            if let Some(place) = memmem::find(held, &self.seal.marker) {
                return Ok(Some(at + place as u64));
            }
            at += (held.len() + 1).saturating_sub(MARKER_BYTES).max(1) as u64;
        }
        Ok(None)
    }

    fn from(&self, at: u64) -> &[u8] {
        let skipped = usize::try_from(at.saturating_sub(self.start)).unwrap_or(usize::MAX);
        if at < self.start { &[] } else { self.bytes.get(skipped..).unwrap_or(&[]) }
    }

    fn load(&mut self, at: u64, wanted: usize) -> io::Result<()> {
        let bytes = usize::try_from(self.size - at).unwrap_or(usize::MAX).min(wanted);
        self.bytes.resize(bytes, 0);
        self.start = at;
        self.file.read_exact_at(&mut self.bytes, at)?;
        self.read += bytes as u64;
        Ok(())
    }
}
