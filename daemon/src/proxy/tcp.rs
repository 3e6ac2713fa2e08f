//! A captured connection carried as it is: TCP, and for now TLS and HTTP/2.

use std::task::{Context, Poll};
use std::time::Instant;

use super::choice;
use super::detect::Opaque;
use super::journal::Journal;
use super::outbound::Captured;
use super::relay::{Side, relay};
use super::scratch::Inbox;
use super::wheel::Timer;
use super::worker::{Pinned, Worker};
use crate::record::Flag;
use crate::telemetry::Limit;
use crate::transport::{ConnectError, Connection, Idle, Socket};

/// Endpoints tried for one connection.
const MAX_TRIES: usize = 5;

/// The end of the attempt to reach an endpoint.
pub(super) struct Dialled<'w> {
    worker: &'w Worker,
    journal: Journal<'w>,
    pinned: Pinned,
    /// Index into the snapshot's endpoints, and the connection.
    reached: Option<(usize, Connection)>,
}

impl Dialled<'_> {
    /// The endpoint has spoken first, or none could be reached.
    pub(super) fn is_decided(&self, cx: &mut Context<'_>) -> bool {
        let Some((_, connection)) = &self.reached else { return true };
        matches!(connection.socket.poll_readable(cx), Poll::Ready(()))
    }

    /// The client turned out to speak HTTP: the connection may serve one of its requests.
    pub(super) fn keep(self, captured: &Captured) {
        let worker = self.worker;
        if let Some((index, connection)) = self.reached
            && let Some(endpoint) = self.pinned.endpoints.get(index)
            && let Some(idle) = captured.keep(Idle { connection, since: Instant::now() })
        {
            worker.pool.put(endpoint, &worker.shard, idle, None);
        }
    }
}

/// The record of a connection carried as it is.
pub(super) fn begin<'w>(worker: &'w Worker, captured: &Captured) -> Journal<'w> {
    Journal::begin(worker, captured.next_record(), captured.accepted)
}

/// Picks an endpoint and connects to it, or to the next ones when that fails.
pub(super) async fn dial<'w>(
    worker: &'w Worker,
    captured: &Captured,
    mut journal: Journal<'w>,
) -> Dialled<'w> {
    let Some((pinned, destination)) = captured.destination(worker) else {
        journal.flag(Flag::NoEndpoint);
        return Dialled { worker, journal, pinned: worker.snapshot(), reached: None };
    };
    journal.record.generation = pinned.generation;
    let service = pinned.services.get(destination.service);
    let port = service.and_then(|service| service.ports.get(destination.port));
    let split = port.map(|port| &port.tcp);
    let mut failed = Vec::new();
    let reached = loop {
        let chosen = choice::choose(worker, &pinned, destination.target, split, &failed);
        let Ok((index, pick)) = chosen else { break None };
        let source = journal.record.source.service;
        journal.count_in(&worker.shard.series(pick.service, pick.subset, source));
        journal.picked(&pinned, index, pick);
        journal.step(worker.clock.now(), |steps| &mut steps.balance);
        journal.record.tries = journal.record.tries.saturating_add(1);
        let Some(endpoint) = pinned.endpoints.get(index) else { break None };
        match worker.pool.connect(endpoint, &worker.shard, None, captured.disguise(worker)).await {
            Ok(connection) => break Some((index, connection)),
            Err(error) => {
                tracing::debug!(%error, "connecting failed");
                if matches!(error, ConnectError::Timeout { .. }) {
                    worker.shard.timed_out(journal.record.route, Limit::Connect);
                }
                failed.push(index);
            }
        }
        journal.step(worker.clock.now(), |steps| &mut steps.connect);
        if failed.len() >= MAX_TRIES {
            break None;
        }
    };
    journal.step(worker.clock.now(), |steps| &mut steps.connect);
    if reached.is_none() {
        let flag = if failed.is_empty() { Flag::NoEndpoint } else { Flag::UpstreamConnect };
        journal.flag(flag);
    }
    Dialled { worker, journal, pinned, reached }
}

/// Carries the connection to its end. Returns whether the client's side is to be reset.
pub(super) async fn serve(
    worker: &Worker,
    captured: &Captured,
    socket: &Socket,
    opaque: Opaque<'_>,
) -> bool {
    let dialled = match opaque.dialled {
        Some(dialled) => dialled,
        None => dial(worker, captured, begin(worker, captured)).await,
    };
    let mut journal = dialled.journal;
    journal.confirm();
    journal.record.protocol = opaque.protocol;
    let Some((_, connection)) = dialled.reached else {
        journal.finish(b"", b"");
        return true;
    };
    let timer = Timer::new(&worker.wheel);
    let nothing = Inbox::default();
    let client = Side { ended: opaque.client_ended, ..Side::new(socket, &opaque.early) };
    let upstream = Side::new(&connection.socket, &nothing);
    let outcome = relay(worker, client, upstream, &timer).await;
    journal.flag(outcome.flag);
    journal.record.sent = outcome.sent;
    journal.record.received = outcome.received;
    journal.step(worker.clock.now(), |steps| &mut steps.response);
    journal.finish(b"", b"");
    false
}
