//! Datagrams: sessions of one worker at one gate.
//!
//! Everything happens in one task and one turn: datagrams of many sessions are received with one
//! call, answers of many sessions are sent with one call. The sockets to endpoints are watched by
//! an epoll of our own, which says *which* have something; the runtime only hears *that* one has.

mod admit;
mod batch;
mod door;
mod session;
mod table;
mod upstreams;
mod words;

use std::io;
use std::net::UdpSocket;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use self::batch::{Batch, Flow, SLOTS};
use self::door::{Door, Way};
use self::session::{ConnectFailure, Session};
use self::table::Table;
use self::upstreams::Upstreams;
use super::clock::nanos;
use super::listener::Way as Origin;
use super::wheel::Timer;
use super::worker::{Open, Worker};
use crate::capture::Raw;
use crate::telemetry::{Datagrams, Refusal};

/// Turns before others of the worker get theirs.
const TURNS: usize = 8;
/// Batches of answers of one session in one turn.
const BATCHES: usize = 8;
/// How often sessions are looked through (nanoseconds).
const SWEEP: u64 = 1_000_000_000;
/// While meshd stops, a session this long without a datagram is over.
const QUIET: u64 = 1_000_000_000;
/// New sessions avoid an endpoint so long after it refused another.
const AVOIDED: u64 = 1_000_000_000;

/// One gate's sessions in one worker.
pub(super) struct Server<'w> {
    worker: &'w Worker,
    origin: Origin,
    door: Door,
    table: Table<'w>,
    upstreams: Upstreams,
    batch: Box<Batch>,
    /// The way of each answer in the batch.
    ways: [Way; SLOTS],
    timer: Timer,
    next_sweep: u64,
    /// Endpoints that refused lately, by id, and until when they are avoided.
    avoided: Vec<(u32, u64)>,
    /// While there are sessions the worker waits for them when it stops.
    busy: Option<Open>,
    /// Sessions whose endpoints had more to say than one turn takes.
    unfinished: Vec<usize>,
    now: u64,
}

/// Carries everything that comes in through these sockets until the worker stops.
///
/// Dropping the future ends its sessions.
pub(super) async fn serve(
    worker: &Rc<Worker>,
    origin: Origin,
    sockets: Vec<UdpSocket>,
    raw: Arc<Raw>,
) -> io::Result<()> {
    let mut server = Server {
        worker,
        origin,
        door: Door::open(sockets, raw)?,
        table: Table::new(),
        upstreams: Upstreams::new()?,
        batch: Batch::new(),
        ways: [Way::Own(0); SLOTS],
        timer: Timer::new(&worker.wheel),
        next_sweep: 0,
        avoided: Vec::new(),
        busy: None,
        unfinished: Vec::new(),
        now: 0,
    };
    std::future::poll_fn(|cx| server.poll(cx, worker)).await;
    Ok(())
}

impl<'w> Server<'w> {
    fn poll(&mut self, cx: &mut Context<'_>, worker: &Rc<Worker>) -> Poll<()> {
        self.now = self.worker.clock.now();
        let mut idle = false;
        for _ in 0..TURNS {
            let asked = self.take_captured(cx);
            let answered = self.take_answers(cx);
            idle = !asked && !answered;
            if idle {
                break;
            }
        }
        if !idle {
            cx.waker().wake_by_ref();
        }
        self.worker.nap.note(self.batch.take_followers(), self.now);
        self.look_after(cx, worker);
        if self.worker.is_draining() && self.table.is_empty() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Carries captured datagrams on; `false` when there were none.
    fn take_captured(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        for number in 0..self.door.sockets.len() {
            let Some(socket) = self.door.sockets.get(number) else { continue };
            let Poll::Ready(Ok(mut guard)) = socket.poll_read_ready(cx) else { continue };
            let received = self.batch.receive_captured(socket.get_ref().as_fd(), SLOTS);
            let count = *received.as_ref().unwrap_or(&0);
            if count < SLOTS {
                guard.clear_ready();
            }
            if let Err(error) = received
                && error.kind() != io::ErrorKind::WouldBlock
            {
                tracing::debug!(%error, "no datagram received");
            }
            any |= count > 0;
            self.carry(number, count);
        }
        any
    }

    /// Carries the first `count` datagrams of the batch, those of one session together.
    fn carry(&mut self, socket: usize, count: usize) {
        let mut start = 0;
        while start < count {
            let mut end = start + 1;
            while end < count && self.batch.is_same_flow(start, end) {
                end += 1;
            }
            if let Some(flow) = self.batch.flow(start) {
                let known = self.table.find(&flow).or_else(|| self.open(flow, socket));
                if let Some(number) = known {
                    self.forward(number, start..end);
                }
            }
            start = end;
        }
    }

    fn forward(&mut self, number: usize, mut slots: Range<usize>) {
        let now = self.now;
        if self.table.get(number).is_some_and(|session| session.is_adrift(now)) {
            self.connect(number);
        }
        // A second time for what a failing endpoint would not take.
        for _ in 0..2 {
            let Some(session) = self.table.get(number) else { return };
            let Some(rest) = session.forward(&mut self.batch, slots.clone(), now) else { return };
            slots.start = rest;
            self.refused(number);
        }
    }

    /// Begins the session of `flow`, unless it was not captured, may not be, or has no place.
    fn open(&mut self, flow: Flow, socket: usize) -> Option<usize> {
        if self.worker.is_draining() || !self.has_place() {
            self.worker.shard.refused(0, Refusal::Overload);
            return None;
        }
        let admitted = admit::admit(self.worker, self.origin, flow)?;
        let way = self.door.way(flow, socket);
        let mut session = Session::new(self.worker, flow, way, admitted, self.now);
        let now = self.now;
        self.avoided.retain(|(_, until)| *until > now);
        session.refused = self.avoided.iter().map(|(endpoint, _)| *endpoint).collect();
        let number = self.table.insert(session);
        self.worker.sessions.set(self.worker.sessions.get() + 1);
        if !self.connect(number) && self.table.get(number).is_some_and(Session::forgives) {
            self.connect(number);
        }
        Some(number)
    }

    /// A session more may begin, perhaps because an old and short one ends for it.
    fn has_place(&mut self) -> bool {
        let most = (self.worker.config.max_sessions / self.worker.config.workers).max(1);
        self.worker.sessions.get() < most || self.evict()
    }

    fn evict(&mut self) -> bool {
        let evicted = self.table.evict();
        let any = evicted.is_some();
        if let Some(session) = evicted {
            self.end(session);
        }
        any
    }

    /// Finds the session an endpoint; `false` when there is none.
    fn connect(&mut self, number: usize) -> bool {
        let now = self.now;
        let Some(session) = self.table.get(number) else { return false };
        let connected = match session.connect(now) {
            Err(ConnectFailure::Exhausted) if self.evict() => {
                self.table.get(number).map(|session| session.connect(now))
            }
            connected => Some(connected),
        };
        match connected {
            Some(Ok(())) => {}
            Some(Err(ConnectFailure::Exhausted)) => {
                self.worker.shard.refused(0, Refusal::Overload);
                return false;
            }
            Some(Err(ConnectFailure::Unreachable)) | None => return false,
        }
        let watched = self.table.get(number).and_then(|session| session.socket());
        let watched = watched.map(|socket| self.upstreams.watch(socket, number));
        if let Some(Err(error)) = watched {
            tracing::warn!(%error, "an endpoint's answers cannot be waited for");
        }
        true
    }

    /// The endpoint does not listen: another one gets the session, if there is one.
    fn refused(&mut self, number: usize) {
        let Some(session) = self.table.get(number) else { return };
        if let Some(endpoint) = session.refuse() {
            self.avoided.push((endpoint, self.now + AVOIDED));
        }
        if self.connect(number)
            && let Some(session) = self.table.get(number)
        {
            session.repeat();
        }
    }

    /// Passes on what endpoints have sent; `false` when that was nothing.
    fn take_answers(&mut self, cx: &mut Context<'_>) -> bool {
        let events = self.upstreams.poll(cx);
        let mut waiting = std::mem::take(&mut self.unfinished);
        waiting.extend((0..events).map(|event| self.upstreams.number(event)));
        let any = !waiting.is_empty();
        let mut filled = 0;
        for number in waiting.drain(..) {
            let mut batches = 0;
            while self.fill(number, &mut filled) {
                self.flush(&mut filled);
                batches += 1;
                if batches == BATCHES {
                    self.unfinished.push(number);
                    break;
                }
            }
        }
        if self.unfinished.is_empty() {
            // The same memory again.
            self.unfinished = waiting;
        }
        self.flush(&mut filled);
        any
    }

    /// Takes what the session's endpoint has sent into the batch; `true` when more is to come.
    fn fill(&mut self, number: usize, filled: &mut usize) -> bool {
        loop {
            let Some(session) = self.table.get(number) else { return false };
            let Some(socket) = session.socket() else { return false };
            let slots = *filled..SLOTS;
            if slots.is_empty() {
                return true;
            }
            match self.batch.receive_answers(socket.as_fd(), slots.clone()) {
                Ok(count) => {
                    let taken = slots.start..slots.start + count;
                    session.answered(count, self.batch.bytes(taken.clone()), self.now);
                    for slot in taken {
                        Door::address(&mut self.batch, slot, session.flow, session.way);
                        if let Some(way) = self.ways.get_mut(slot) {
                            *way = session.way;
                        }
                    }
                    *filled += count;
                    if count < slots.len() {
                        return false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_refused) => {
                    self.refused(number);
                    return false;
                }
            }
        }
    }

    /// Sends the answers in the batch.
    fn flush(&mut self, filled: &mut usize) {
        let mut start = 0;
        while start < *filled {
            let way = self.ways.get(start).copied().unwrap_or(Way::Own(0));
            let same =
                self.ways.iter().take(*filled).skip(start).take_while(|other| **other == way);
            let end = start + same.count();
            let lost = self.door.answer(&mut self.batch, start..end, way);
            if lost > 0 {
                let series = self.worker.shard.series(0, 0, 0);
                series.moved(&Datagrams { dropped: lost, ..Datagrams::default() });
            }
            start = end;
        }
        *filled = 0;
    }

    /// Ends sessions that fell silent, and hands what passed to the counters.
    fn look_after(&mut self, cx: &mut Context<'_>, worker: &Rc<Worker>) {
        let is_draining = self.worker.is_draining();
        if self.now >= self.next_sweep {
            self.next_sweep = self.now + SWEEP;
            let limit = nanos(self.worker.config.udp_idle);
            let limit = if is_draining { limit.min(QUIET) } else { limit };
            for number in self.table.numbers() {
                let Some(session) = self.table.get(number) else { continue };
                session.count();
                if self.now.saturating_sub(session.last) >= limit
                    && let Some(session) = self.table.remove(number)
                {
                    self.end(session);
                }
            }
            self.table.tidy();
        }
        if self.table.is_empty() {
            self.busy = None;
            self.timer.set(u64::MAX);
        } else {
            self.busy.get_or_insert_with(|| Open::new(Rc::clone(worker)));
            self.timer.set(self.next_sweep);
        }
        if self.timer.poll_expired(cx).is_ready() {
            // The sweep is due by a clock that moved on since this turn began.
            cx.waker().wake_by_ref();
        }
    }

    fn end(&self, session: Box<Session<'w>>) {
        self.worker.sessions.set(self.worker.sessions.get().saturating_sub(1));
        session.end();
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let left = self.worker.sessions.get().saturating_sub(self.table.len());
        self.worker.sessions.set(left);
    }
}

#[cfg(test)]
mod tests;
