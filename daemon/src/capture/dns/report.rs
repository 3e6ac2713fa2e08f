//! One decision record per question.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::capture::Origin;
use crate::record::{Flag, Kind, Method, Protocol, Record, Ring, Source, Steps, padded};
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
        let record = Record {
            kind: Kind::Dns,
            protocol: asked.protocol,
            method: Method::None,
            start: nanos(began),
            trace: 0,
            span: 0,
            request_id: 0,
            source: source(snapshot, asked),
            destination: asked.origin.destination,
            service: outcome.service,
            route: 0,
            rule: 0,
            rules: 0,
            pick: None,
            status: 0,
            flag: outcome.flag,
            tries: u8::from(outcome.upstream > Duration::ZERO),
            sent: outcome.bytes as u64,
            received: asked.bytes as u64,
            steps,
            generation: snapshot.generation,
        };
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.push(&record, outcome.name.as_bytes(), outcome.text.as_bytes());
    }
}

fn source(snapshot: &Snapshot, asked: &Asked) -> Source {
    let origin = &asked.origin;
    let workload = origin.workload.and_then(|key| snapshot.workloads.get(&key));
    Source {
        address: asked.client,
        service: workload.map_or(0, |workload| workload.id),
        run: padded(workload.map_or(&[], |workload| workload.run.as_bytes())),
        pid: origin.pid,
        uid: origin.uid,
        process: origin.process,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
