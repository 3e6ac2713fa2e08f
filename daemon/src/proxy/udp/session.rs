//! One client's datagrams to one destination: which endpoint carries them, and what is said of it.

use std::io;
use std::net::UdpSocket;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::admit::Route;
use super::batch::{Batch, Flow};
use super::door::Way;
use crate::capture::Worn;
use crate::proxy::choice;
use crate::proxy::journal::Journal;
use crate::proxy::listener::is_exhausted;
use crate::proxy::worker::{Pinned, Worker};
use crate::record::{Flag, Pick, Record};
use crate::state::{Destination, Endpoint, EndpointLive};
use crate::telemetry::{Datagrams, EndpointSeries, Open, Series};
use crate::transport::{Source, connect_datagram};

/// Endpoints tried in a row.
const MAX_TRIES: usize = 5;
/// The first datagram is sent again when its endpoint refuses it; a larger one is not kept for
/// that.
const LARGEST_KEPT: usize = 2048;
/// After nobody could be reached it is not tried again for so long (nanoseconds).
const PAUSE: u64 = 250_000_000;

/// See the module.
pub(super) struct Session<'w> {
    worker: &'w Worker,
    pub(super) flow: Flow,
    pub(super) way: Way,
    /// What the record of each endpoint's part begins with.
    record: Record,
    route: Route,
    journal: Journal<'w>,
    upstream: Option<Upstream>,
    /// Ids of endpoints that refused since the last answer.
    pub(super) refused: Vec<u32>,
    /// The first datagram, until something is answered.
    unanswered: Option<Box<[u8]>>,
    /// Datagrams from the client so far, and from endpoints.
    asked: u64,
    answered: u64,
    /// When the last datagram passed, and when the next attempt to reach somebody is due.
    pub(super) last: u64,
    retry: u64,
    _open: Open,
}

/// The endpoint that carries the session now.
struct Upstream {
    socket: UdpSocket,
    _worn: Worn,
    endpoint: u32,
    live: Arc<EndpointLive>,
    /// It was ready when it was picked: once it is not, another one is.
    was_ready: bool,
    service: Rc<Series>,
    series: Rc<EndpointSeries>,
    /// What passed since it was last handed to the counters.
    moved: Datagrams,
    _open: Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectFailure {
    /// The record says why.
    Unreachable,
    /// No descriptor is left.
    Exhausted,
}

impl<'w> Session<'w> {
    /// A session that no endpoint carries yet.
    pub(super) fn new(
        worker: &'w Worker,
        flow: Flow,
        way: Way,
        (record, route): (Record, Route),
        now: u64,
    ) -> Self {
        let series = worker.shard.series(record.service, 0, record.source.service);
        Self {
            worker,
            flow,
            way,
            record,
            journal: Journal::begin(worker, record, now),
            route,
            upstream: None,
            refused: Vec::new(),
            unanswered: None,
            asked: 0,
            answered: 0,
            last: now,
            retry: 0,
            _open: series.connection(),
        }
    }

    /// The socket that leads to the endpoint.
    pub(super) fn socket(&self) -> Option<&UdpSocket> {
        self.upstream.as_ref().map(|upstream| &upstream.socket)
    }

    /// Another endpoint has to be looked for: this one became unready or left.
    pub(super) fn is_adrift(&self, now: u64) -> bool {
        self.retry <= now
            && self.upstream.as_ref().is_none_or(|upstream| {
                let Upstream { live, was_ready, .. } = upstream;
                let gone = live.gone.load(Relaxed) && !matches!(self.route, Route::Outside(_));
                gone || (*was_ready && !live.is_ready())
            })
    }

    /// No more than a question, perhaps with its answer.
    pub(super) fn is_brief(&self) -> bool {
        self.asked <= 1
    }

    /// Opens a socket to an endpoint that has not refused. One that carried the session so far is
    /// left with a record of its own; it stays when there is no other.
    pub(super) fn connect(&mut self, now: u64) -> Result<(), ConnectFailure> {
        let worker = self.worker;
        if let Route::Refused(why) = self.route {
            self.retry = u64::MAX;
            self.journal.flag(why);
            return Err(ConnectFailure::Unreachable);
        }
        let pinned = self.route.snapshot(worker);
        let mut next = self.upstream.as_ref().map(|_| {
            self.record.steps.capture = 0;
            Journal::begin(worker, self.record, now).tentative()
        });
        let journal = next.as_mut().unwrap_or(&mut self.journal);
        journal.record.generation = pinned.generation;
        let mut reached = None;
        for _ in 0..MAX_TRIES {
            let Some(destination) = self.route.destination(&pinned, &self.record) else { break };
            let Some((index, pick)) = pick(worker, &pinned, destination, &self.refused) else {
                break;
            };
            let Some(endpoint) = pinned.endpoints.get(index) else { break };
            journal.picked(&pinned, index, pick);
            journal.record.tries = journal.record.tries.saturating_add(1);
            let source = Source::to(endpoint, self.route.disguise(worker, self.flow));
            match connect_datagram(endpoint.address, worker.config.mark, &source) {
                Ok(socket) => {
                    let service =
                        worker.shard.series(pick.service, pick.subset, self.record.source.service);
                    journal.count_in(&service);
                    reached = Some(Upstream::new(worker, endpoint, socket, service));
                    break;
                }
                Err(error) if is_exhausted(&error) => return Err(ConnectFailure::Exhausted),
                Err(error) => {
                    tracing::debug!(%error, address = %endpoint.address, "no socket to it");
                    self.refused.push(endpoint.id);
                }
            }
        }
        journal.step(worker.clock.now(), |steps| &mut steps.connect);
        let Some(reached) = reached else {
            self.retry = now + PAUSE;
            let nobody = self.refused.is_empty();
            self.journal.flag(if nobody { Flag::NoEndpoint } else { Flag::UpstreamConnect });
            return Err(ConnectFailure::Unreachable);
        };
        self.count();
        if let Some(mut next) = next {
            next.confirm();
            self.finish();
            self.journal = next;
        }
        self.upstream = Some(reached);
        Ok(())
    }

    /// Sends the client's datagrams on. Returns the first that could not be sent because nobody
    /// listens at the endpoint.
    pub(super) fn forward(
        &mut self,
        batch: &mut Batch,
        mut slots: Range<usize>,
        now: u64,
    ) -> Option<usize> {
        self.last = now;
        let Some(upstream) = &mut self.upstream else {
            let series =
                self.worker.shard.series(self.record.service, 0, self.record.source.service);
            series.moved(&Datagrams { dropped: slots.len() as u64, ..Datagrams::default() });
            return None;
        };
        if self.asked == 0 {
            let first = batch.payload(slots.start);
            self.unanswered = (first.len() <= LARGEST_KEPT).then(|| first.into());
        }
        while !slots.is_empty() {
            match batch.send(upstream.socket.as_fd(), slots.clone()) {
                Ok(sent) => {
                    let bytes = batch.bytes(slots.start..slots.start + sent);
                    upstream.moved.received += sent as u64;
                    upstream.moved.received_bytes += bytes;
                    self.journal.record.received += bytes;
                    self.asked += sent as u64;
                    slots.start += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_full(&error) => {
                    upstream.moved.dropped += slots.len() as u64;
                    break;
                }
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    upstream.moved.dropped += 1;
                    slots.start += 1;
                }
                Err(_refused) => return Some(slots.start),
            }
        }
        None
    }

    /// The endpoints it was told to avoid may be tried after all; `false` when there are none.
    pub(super) fn forgives(&mut self) -> bool {
        !std::mem::take(&mut self.refused).is_empty()
    }

    /// The endpoint answered; `datagrams` are on their way to the client.
    pub(super) fn answered(&mut self, datagrams: usize, bytes: u64, now: u64) {
        self.last = now;
        if self.answered == 0 {
            self.journal.step(self.worker.clock.now(), |steps| &mut steps.app);
            self.unanswered = None;
        }
        self.refused.clear();
        self.answered += datagrams as u64;
        self.journal.record.sent += bytes;
        if let Some(upstream) = &mut self.upstream {
            upstream.moved.sent += datagrams as u64;
            upstream.moved.sent_bytes += bytes;
        }
    }

    /// Nobody listens at the endpoint: it is not picked again, and no other session needs to find
    /// out for itself. Returns its id.
    pub(super) fn refuse(&mut self) -> Option<u32> {
        let id = self.upstream.as_ref()?.endpoint;
        self.journal.flag(Flag::UpstreamConnect);
        if !self.refused.contains(&id) {
            self.refused.push(id);
        }
        Some(id)
    }

    /// Sends the first datagram once more, to an endpoint that has not seen it.
    pub(super) fn repeat(&mut self) {
        if let (Some(first), Some(upstream)) = (&self.unanswered, &mut self.upstream)
            && upstream.socket.send(first).is_ok()
        {
            upstream.moved.received += 1;
            upstream.moved.received_bytes += first.len() as u64;
            self.journal.record.received += first.len() as u64;
        }
    }

    /// Hands what passed to the counters.
    pub(super) fn count(&mut self) {
        if let Some(upstream) = &mut self.upstream {
            let moved = std::mem::take(&mut upstream.moved);
            upstream.service.moved(&moved);
            upstream.series.moved(&moved);
        }
    }

    fn finish(&mut self) {
        // The silence at its end is no part of it.
        self.journal.step(self.last, |steps| &mut steps.response);
        self.journal.finish(b"", b"");
    }

    /// It ended because nothing passed for long, or to make room.
    pub(super) fn end(mut self: Box<Self>) {
        self.count();
        self.finish();
    }
}

impl Upstream {
    fn new(
        worker: &Worker,
        endpoint: &Endpoint,
        (socket, worn): (UdpSocket, Worn),
        service: Rc<Series>,
    ) -> Self {
        let series = worker.pool.series(endpoint, &worker.shard);
        Self {
            socket,
            _worn: worn,
            endpoint: endpoint.id,
            live: Arc::clone(&endpoint.live),
            was_ready: endpoint.live.is_ready(),
            service,
            moved: Datagrams::default(),
            _open: series.connection(),
            series,
        }
    }
}

/// The next endpoint for `destination`, none of `refused`.
fn pick(
    worker: &Worker,
    pinned: &Pinned,
    destination: Destination,
    refused: &[u32],
) -> Option<(usize, Pick)> {
    let position = |id: &u32| pinned.endpoints.iter().position(|endpoint| endpoint.id == *id);
    let failed: Vec<usize> = refused.iter().filter_map(position).collect();
    let service = pinned.services.get(destination.service)?;
    let split = service.ports.get(destination.port).map(|port| &port.tcp);
    choice::choose(worker, pinned, destination.target, split, &failed).ok()
}

/// The endpoint's or our own buffers are full: datagrams may get lost, and nobody waits.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}
