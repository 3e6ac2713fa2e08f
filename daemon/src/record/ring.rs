//! The newest records of one writer, read by anyone without a lock.
//!
//! Every slot is a seqlock: the writer makes its number odd, stores the words, makes it even; a
//! reader that saw the number change throws its copy away. All words are atomics, so a torn copy
//! is a wrong value that gets discarded and never undefined behaviour. Host and path lie in a
//! second, smaller circle of words: when long paths overtake the records, the oldest records
//! outlive their text.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence,
};

use super::codec::{self, Span, WORDS};
use super::{Entry, Record};

/// Records kept per ring.
const SLOTS: u64 = 8192;
/// Words of text kept per ring: 128 bytes per record on average.
const TEXT_WORDS: u64 = SLOTS * 16;
/// Longer hosts and paths are cut.
const MAX_HOST: usize = 256;
const MAX_PATH: usize = 2048;

/// One writer's records. Only one thread may [`Self::push`]: two would mix their words.
#[derive(Debug)]
pub(crate) struct Ring {
    slots: Box<[Slot]>,
    text: Box<[AtomicU64]>,
    pushed: AtomicU64,
    /// Words of text ever claimed; raised before the words are overwritten.
    claimed: AtomicU64,
}

#[derive(Debug)]
struct Slot {
    /// Twice the number of the record (from 1), minus one while it is being written.
    sequence: AtomicU64,
    words: [AtomicU64; WORDS],
}

/// A streaming reader's place in one ring.
#[derive(Debug)]
pub(crate) struct Cursor {
    ring: Arc<Ring>,
    /// Number of the next record, from 0.
    next: u64,
}

impl Ring {
    pub(crate) fn new() -> Self {
        // SAFETY: all-zero bytes are valid `AtomicU64`s, and `Slot` consists of nothing else.
        // Zeroed by the allocator, so memory an idle worker never writes is never resident.
        let (slots, text) = unsafe {
            (
                Box::new_zeroed_slice(SLOTS as usize).assume_init(),
                Box::new_zeroed_slice(TEXT_WORDS as usize).assume_init(),
            )
        };
        Self { slots, text, pushed: AtomicU64::new(0), claimed: AtomicU64::new(0) }
    }

    /// Keeps `record`, overwriting the oldest. For DNS, `host` is the question and `path` the
    /// answer; for [`super::Method::Other`], `path` is "METHOD path".
    pub(crate) fn push(&self, record: &Record, host: &[u8], path: &[u8]) {
        let host = host.get(..MAX_HOST).unwrap_or(host);
        let path = path.get(..MAX_PATH).unwrap_or(path);
        let number = self.pushed.load(Relaxed);
        let Some(slot) = self.slots.get((number % SLOTS) as usize) else { return };
        let position = self.claimed.load(Relaxed);
        let span = Span { position, host: host.len() as u16, path: path.len() as u16 };
        slot.sequence.store(number * 2 + 1, Relaxed);
        self.claimed.store(position + span.words(), Relaxed);
        fence(Release);
        self.write_text(position, host);
        self.write_text(position + words(host.len()), path);
        for (place, word) in slot.words.iter().zip(codec::encode(record, span)) {
            place.store(word, Relaxed);
        }
        slot.sequence.store(number * 2 + 2, Release);
        self.pushed.store(number + 1, Release);
    }

    /// How many were ever pushed.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed.load(Acquire)
    }

    /// A reader of what comes from now on.
    pub(crate) fn cursor(self: &Arc<Self>) -> Cursor {
        Cursor { ring: Arc::clone(self), next: self.pushed() }
    }

    /// Kept entries, newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = Entry> {
        let pushed = self.pushed();
        (pushed.saturating_sub(SLOTS)..pushed).rev().filter_map(|number| self.read(number))
    }

    /// Record `number`, unless it was overwritten.
    fn read(&self, number: u64) -> Option<Entry> {
        let slot = self.slots.get((number % SLOTS) as usize)?;
        let whole = number * 2 + 2;
        if slot.sequence.load(Acquire) != whole {
            return None;
        }
        let words = slot.words.each_ref().map(|word| word.load(Relaxed));
        let (record, span) = codec::decode(&words);
        let host = self.read_text(span.position, span.host);
        let path = self.read_text(span.path_position(), span.path);
        fence(Acquire);
        if slot.sequence.load(Relaxed) != whole {
            return None;
        }
        if self.claimed.load(Relaxed) - span.position > TEXT_WORDS {
            return Some(Entry { record, host: Vec::new(), path: Vec::new() });
        }
        Some(Entry { record, host, path })
    }

    /// Each text begins at a word of its own, so that whole words are copied.
    fn write_text(&self, position: u64, text: &[u8]) {
        let (whole, rest) = text.as_chunks::<8>();
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
        for (word, at) in whole.iter().chain([&last]).zip(position..) {
            if let Some(place) = self.text.get((at % TEXT_WORDS) as usize) {
                place.store(u64::from_ne_bytes(*word), Relaxed);
            }
        }
    }

    fn read_text(&self, position: u64, length: u16) -> Vec<u8> {
        let places = position..position + words(length.into());
        let places = places.filter_map(|at| self.text.get((at % TEXT_WORDS) as usize));
        let mut text: Vec<u8> =
            places.flat_map(|place| place.load(Relaxed).to_ne_bytes()).collect();
        text.truncate(length.into());
        text
    }
}

/// How many words a text takes; one is always there for what is left of it.
const fn words(length: usize) -> u64 {
    (length / 8 + 1) as u64
}

impl Span {
    fn words(self) -> u64 {
        words(self.host.into()) + words(self.path.into())
    }

    fn path_position(self) -> u64 {
        self.position + words(self.host.into())
    }
}

impl Cursor {
    /// Hands over what came since the last call, oldest first, and returns how many of it were
    /// overwritten before this reader came.
    pub(crate) fn read(&mut self, mut each: impl FnMut(Entry)) -> u64 {
        let pushed = self.ring.pushed();
        let oldest = self.next.max(pushed.saturating_sub(SLOTS));
        let mut missed = oldest - self.next;
        for number in oldest..pushed {
            match self.ring.read(number) {
                Some(entry) => each(entry),
                None => missed += 1,
            }
        }
        self.next = pushed;
        missed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::telemetry::testing;

    /// A record and a path that can be told to belong together.
    fn push(ring: &Ring, number: u64) {
        let record = Record { sent: number, received: !number, ..testing::answered(200, 1) };
        ring.push(&record, b"web.mesh", format!("/{number}/{}", "x".repeat(100)).as_bytes());
    }

    fn belongs_together(entry: &Entry) -> bool {
        let path = format!("/{}/", entry.record.sent);
        let text_kept = entry.path.starts_with(path.as_bytes()) && entry.host == b"web.mesh";
        entry.record.received == !entry.record.sent && (text_kept || entry.path.is_empty())
    }

    #[test]
    fn a_reader_beside_the_writer_sees_no_torn_record() {
        let ring = Arc::new(Ring::new());
        let mut cursor = ring.cursor();
        let done = AtomicBool::new(false);
        let total = SLOTS * 5;
        let (mut seen, mut missed) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..total).for_each(|number| push(&ring, number));
                done.store(true, Release);
            });
            loop {
                let last = done.load(Acquire);
                missed += cursor.read(|entry| {
                    assert!(belongs_together(&entry), "{entry:?}");
                    seen += 1;
                });
                if last {
                    break;
                }
            }
        });
        assert_eq!(seen + missed, total);
    }

    #[test]
    fn newest_come_first_and_the_oldest_are_forgotten() {
        let ring = Ring::new();
        (0..SLOTS + 10).for_each(|number| push(&ring, number));
        let kept: Vec<u64> = ring.newest().map(|entry| entry.record.sent).collect();
        assert_eq!((kept[0], kept.len() as u64), (SLOTS + 9, SLOTS));
        assert!(ring.newest().take(1000).all(|entry| !entry.path.is_empty()));
    }

    #[test]
    fn long_text_is_cut_and_costs_the_oldest_theirs() {
        let ring = Ring::new();
        let record = testing::answered(200, 1);
        (0..SLOTS).for_each(|_| ring.push(&record, &[b'h'; 300], &[b'p'; 5000]));
        let lengths = |entry: Entry| (entry.host.len(), entry.path.len());
        let all: Vec<_> = ring.newest().map(lengths).collect();
        assert_eq!((all[0], all[all.len() - 1]), ((MAX_HOST, MAX_PATH), (0, 0)));
    }
}
