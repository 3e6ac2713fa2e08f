//! One decision record per question.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::capture::Origin;
use crate::record::{Flag, Kind, Protocol, Record, Ring, Steps};
use crate::state::Snapshot;

/// Where records go. A ring has one writer, and questions are answered side by side.
#[derive(Debug)]
pub(super) struct Report {
    ring: Mutex<Arc<Ring>>,
}

/// A question being answered.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) client: SocketAddr,
    pub(super) origin: Origin,
    pub(super) protocol: Protocol,
    pub(super) at: Instant,
    pub(super) bytes: usize,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Outcome<'a> {
    pub(super) name: &'a str,
    /// The addresses, or what kept them away.
    pub(super) text: &'a str,
    pub(super) service: u32,
    pub(super) flag: Flag,
    pub(super) bytes: usize,
    /// Time the other resolver took.
    pub(super) upstream: Duration,
}

impl Report {
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        Self { ring: Mutex::new(ring) }
    }

    pub(super) fn push(&self, snapshot: &Snapshot, asked: &Asked, outcome: &Outcome<'_>) {
        let whole = asked.at.elapsed();
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = began.saturating_sub(whole + asked.origin.connecting);
        let steps = Steps {
            capture: nanos(asked.origin.connecting),
            head: nanos(whole.saturating_sub(outcome.upstream)),
            app: nanos(outcome.upstream),
            ..Steps::default()
        };
        let source = asked.origin.source(snapshot, asked.client);
        let record = Record {
            kind: Kind::Dns,
            protocol: asked.protocol,
            start: nanos(began),
            service: outcome.service,
            flag: outcome.flag,
            tries: u8::from(outcome.upstream > Duration::ZERO),
            sent: outcome.bytes as u64,
            received: asked.bytes as u64,
            steps,
            ..Record::new(source, asked.origin.destination, snapshot.generation)
        };
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.push(&record, outcome.name.as_bytes(), outcome.text.as_bytes());
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
