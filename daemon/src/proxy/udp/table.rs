//! The sessions of one door, found by who talks to what.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};

use super::batch::Flow;
use super::session::Session;

/// See the module. A session keeps its number as long as it lives.
pub(super) struct Table<'w> {
    by_flow: HashMap<Flow, usize, Mixing>,
    sessions: Vec<Option<Box<Session<'w>>>>,
    free: Vec<usize>,
    /// Numbers in the order in which sessions began; some of them are over.
    order: VecDeque<(usize, Flow)>,
}

impl<'w> Table<'w> {
    pub(super) fn new() -> Self {
        Self {
            by_flow: HashMap::with_hasher(Mixing::new()),
            sessions: Vec::new(),
            free: Vec::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_flow.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_flow.is_empty()
    }

    pub(super) fn find(&self, flow: &Flow) -> Option<usize> {
        self.by_flow.get(flow).copied()
    }

    pub(super) fn get(&mut self, number: usize) -> Option<&mut Session<'w>> {
        self.sessions.get_mut(number)?.as_deref_mut()
    }

    pub(super) fn numbers(&self) -> std::ops::Range<usize> {
        0..self.sessions.len()
    }

    pub(super) fn insert(&mut self, session: Session<'w>) -> usize {
        let number = self.free.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            self.sessions.len() - 1
        });
        self.by_flow.insert(session.flow, number);
        self.order.push_back((number, session.flow));
        if let Some(place) = self.sessions.get_mut(number) {
            *place = Some(Box::new(session));
        }
        number
    }

    pub(super) fn remove(&mut self, number: usize) -> Option<Box<Session<'w>>> {
        let session = self.sessions.get_mut(number)?.take()?;
        self.by_flow.remove(&session.flow);
        self.free.push(number);
        Some(session)
    }

    /// Makes room by ending the oldest session that was no more than a question and its answer.
    /// A flood of new ones so pushes out itself and nobody who is talking.
    pub(super) fn evict(&mut self) -> Option<Box<Session<'w>>> {
        while let Some((number, flow)) = self.order.pop_front() {
            if self.find(&flow) == Some(number)
                && self.get(number).is_some_and(|session| session.is_brief())
            {
                return self.remove(number);
            }
        }
        None
    }

    /// Forgets the order of sessions that are over or may not be evicted any more.
    pub(super) fn tidy(&mut self) {
        let (by_flow, sessions) = (&self.by_flow, &self.sessions);
        self.order.retain(|(number, flow)| {
            by_flow.get(flow) == Some(number)
                && sessions.get(*number).and_then(Option::as_deref).is_some_and(Session::is_brief)
        });
    }
}

/// Hashes flows with one multiplication per word, seeded so that nobody can foresee collisions.
#[derive(Clone, Copy)]
struct Mixing(u64);

impl Mixing {
    fn new() -> Self {
        Self(RandomState::new().build_hasher().finish() | 1)
    }
}

impl BuildHasher for Mixing {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64 ^ self.0);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_ne_bytes(*word));
        }
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
        self.mix(u64::from_ne_bytes(last) ^ (rest.len() as u64) << 56);
    }

    fn write_u16(&mut self, word: u16) {
        self.mix(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(word.into());
    }

    fn write_isize(&mut self, word: isize) {
        self.mix(word as u64);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
