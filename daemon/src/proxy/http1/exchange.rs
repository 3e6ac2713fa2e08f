//! One request and its answer: what was decided for it, and where its bytes are.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use super::flow::Flow;
use super::ids;
use super::reply::Refusal;
use super::request::{Received, Request};
use super::response::Asked;
use crate::proxy::choice::{self, NothingLeft};
use crate::proxy::clock::nanos;
use crate::proxy::journal::Journal;
use crate::proxy::outbound::Captured;
use crate::proxy::scratch::Scratch;
use crate::proxy::worker::{Pinned, Worker};
use crate::record::{Kind, Method, Protocol};
use crate::routing;
use crate::state::{Destination, Endpoint, HttpRule, Target};
use crate::transport::{ConnectError, Connection, Idle, Reuse};

/// Connections tried for one request before it fails.
const MAX_TRIES: usize = 5;
/// A request is kept for a second try up to this size.
const MAX_REPLAY: usize = 64 * 1024;

/// See the module. Dropped at whatever point, it leaves its one decision record.
#[derive(Debug)]
pub(super) struct Exchange<'w> {
    pub(super) worker: &'w Worker,
    captured: &'w Captured,
    pub(super) journal: Journal<'w>,
    pub(super) request: Option<Request>,
    names: Names,
    plan: Option<Plan>,
    pub(super) upstream: Option<Upstream>,
    /// Endpoints that could not be connected to.
    pub(super) failed: Vec<usize>,
    pub(super) upload: Flow,
    pub(super) answer: Flow,
    /// The whole request, while it may have to be sent again.
    pub(super) replay: Vec<u8>,
    /// Retries the route asked for and got.
    pub(super) retries: u32,
    /// The route's timeout, on the worker's clock.
    pub(super) deadline: u64,
    /// The route's timeout for one attempt.
    pub(super) attempt_deadline: u64,
    /// The endpoint takes no more of the body; it may still answer.
    pub(super) upload_broken: bool,
    /// Bytes moved when the stall timer was last set.
    pub(super) progress: u64,
    pub(super) interim: u32,
}

/// The memory of an [`Exchange`], kept by the worker between requests.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Buffers {
    names: Names,
    failed: Vec<usize>,
    upload: Flow,
    answer: Flow,
    replay: Vec<u8>,
}

/// Host, path and the client's own request id, one behind the other.
#[derive(Debug, Default)]
struct Names {
    text: Vec<u8>,
    host: usize,
    path: usize,
}

/// Where the request goes.
#[derive(Debug)]
struct Plan {
    pinned: Pinned,
    destination: Destination,
    /// Index into the port's rules; `None` for an endpoint's own address.
    rule: Option<usize>,
    /// Index into `Snapshot::endpoints`.
    endpoint: usize,
}

/// The connection that carries it.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) connection: Connection,
    /// It came from the pool, so it may be dead without the endpoint being so.
    pub(super) reused: bool,
}

impl<'w> Exchange<'w> {
    /// A request whose first byte came at `started`.
    pub(super) fn begin(worker: &'w Worker, captured: &'w Captured, started: u64) -> Self {
        let Buffers { names, failed, upload, answer, replay } =
            worker.spare.borrow_mut().pop().unwrap_or_default();
        let mut journal = Journal::begin(worker, captured.next_record(), started);
        journal.record.kind = Kind::Http;
        journal.record.protocol = Protocol::Http11;
        captured.may_answer.set(true);
        Self {
            worker,
            captured,
            journal,
            request: None,
            names,
            plan: None,
            upstream: None,
            failed,
            upload,
            answer,
            replay,
            retries: 0,
            deadline: u64::MAX,
            attempt_deadline: u64::MAX,
            upload_broken: false,
            progress: 0,
            interim: 0,
        }
    }

    /// Decides where the request goes, writes its head for there, and sends it at once when an
    /// idle connection is at hand; else it waits in `upload`.
    pub(super) fn dispatch(
        &mut self,
        mut received: Received<'_, '_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let worker = self.worker;
        self.note(&received);
        #[cfg(test)]
        assert_ne!(received.target, crate::proxy::stand::PANIC);
        self.journal.step(worker.clock.now(), |steps| &mut steps.head);
        self.route(&received.head())?;
        self.journal.step(worker.clock.now(), |steps| &mut steps.route);
        self.pick()?;
        self.journal.step(worker.clock.now(), |steps| &mut steps.balance);
        let roll = || worker.dice.roll();
        let trace = received.trace([roll(), roll(), roll()]);
        self.journal.record.trace = trace.id;
        self.journal.record.span = trace.span;
        received.write(
            out,
            &trace,
            self.journal.record.request_id,
            &self.captured.record.destination,
        );
        Ok(())
    }

    /// Sends the head in `out` and what of the body lies in `scratch` behind it.
    pub(super) fn send(
        &mut self,
        scratch: &mut Scratch,
        length: usize,
        out: &[u8],
    ) -> Result<(), Refusal> {
        let Some(request) = self.request else { return Ok(()) };
        self.upload.body = request.body;
        let part = self
            .upload
            .start(scratch, (length, request.head_len))
            .map_err(|bad| Refusal::malformed(bad.0))?;
        let can_replay =
            request.is_idempotent() && self.upload.body.is_done() && part.1 < MAX_REPLAY;
        let reuse = if can_replay { Reuse::Any } else { Reuse::Fresh };
        let kept = self.captured.kept(reuse);
        let pooled = kept.or_else(|| match self.captured.shares_connections() {
            true => self.worker.pool.take(self.endpoint()?, reuse),
            false => None,
        });
        let wants_retries = self.rule().is_some_and(|rule| rule.retries > 0);
        if can_replay && (pooled.is_some() || wants_retries) {
            self.replay.extend_from_slice(out);
            self.replay.extend_from_slice(body_part(scratch, part));
        }
        if let Some(connection) = pooled {
            if self.upload.send_body(scratch, part, out, &connection.socket).is_ok() {
                self.carried_by(connection, true);
                return Ok(());
            }
            // It was dead and took nothing, so a new connection may have it all.
            self.upload.forget_unsent();
        }
        self.upload.queue(out);
        self.upload.queue(body_part(scratch, part));
        Ok(())
    }

    /// What the record needs to know of the request.
    fn note(&mut self, received: &Received<'_, '_>) {
        let request = received.request;
        let record = &mut self.journal.record;
        record.method = request.method;
        record.protocol = if request.old_client { Protocol::Http10 } else { Protocol::Http11 };
        record.request_id = match received.request_id {
            Some(_) => 0,
            None => ids::new_request_id([self.worker.dice.roll(), self.worker.dice.roll()]),
        };
        self.names.text.extend_from_slice(received.host);
        self.names.host = self.names.text.len();
        if request.method == Method::Other {
            self.names.text.extend_from_slice(received.method.as_bytes());
            self.names.text.push(b' ');
        }
        let path = received.target.get(..MAX_PATH).unwrap_or(received.target);
        self.names.text.extend_from_slice(path);
        self.names.path = self.names.text.len();
        self.names.text.extend_from_slice(received.request_id.unwrap_or_default());
        self.request = Some(request);
    }

    fn route(&mut self, head: &routing::Head<'_>) -> Result<(), Refusal> {
        let Some((pinned, destination)) = self.captured.destination(self.worker) else {
            return Err(Refusal::no_endpoint());
        };
        if !self.captured.allows_host(head.host) {
            return Err(Refusal::outside());
        }
        let record = &mut self.journal.record;
        record.generation = pinned.generation;
        let service = pinned.services.get(destination.service);
        record.service = service.map_or(0, |service| service.id);
        let rule = match destination.target {
            Target::Endpoint(_) => None,
            Target::Vip => {
                let port = service.and_then(|service| service.ports.get(destination.port));
                let route = port.map(|port| &port.http).ok_or(Refusal::no_route())?;
                let (index, rule) = routing::choose(route, head).ok_or(Refusal::no_route())?;
                record.route = rule.route;
                record.rule = rule.number;
                record.rules = rule.of;
                self.deadline =
                    rule.timeout.map_or(u64::MAX, |limit| self.journal.started() + nanos(limit));
                Some(index)
            }
        };
        self.plan = Some(Plan { pinned, destination, rule, endpoint: usize::MAX });
        Ok(())
    }

    /// Chooses the endpoint: the next of the rotation, none that has failed.
    pub(super) fn pick(&mut self) -> Result<(), Refusal> {
        let Some(plan) = &mut self.plan else { return Err(Refusal::no_route()) };
        let split = plan.rule().map(|rule| &rule.split);
        let target = plan.destination.target;
        let chosen = choice::choose(self.worker, &plan.pinned, target, split, &self.failed);
        let (endpoint, pick) = chosen.map_err(|NothingLeft| {
            if self.failed.is_empty() { Refusal::no_endpoint() } else { Refusal::unreachable() }
        })?;
        plan.endpoint = endpoint;
        let source = self.journal.record.source.service;
        self.journal.count_in(&self.worker.shard.series(pick.service, pick.subset, source));
        self.journal.picked(&plan.pinned, endpoint, pick);
        Ok(())
    }

    /// Connects to the chosen endpoint, or to the next ones when that fails.
    pub(super) async fn connect(&mut self) -> Result<(), Refusal> {
        loop {
            let now = self.worker.clock.now();
            if now >= self.deadline {
                return Err(Refusal::timed_out("the route's timeout was reached while connecting"));
            }
            let limit = (self.deadline != u64::MAX)
                .then(|| Duration::from_nanos(self.deadline.saturating_sub(now)));
            let Some((pinned, index)) = self.chosen() else { return Err(Refusal::no_endpoint()) };
            let Some(endpoint) = pinned.endpoints.get(index) else {
                return Err(Refusal::no_endpoint());
            };
            let disguise = self.captured.disguise(self.worker);
            let connected =
                self.worker.pool.connect(endpoint, &self.worker.shard, limit, disguise).await;
            match connected {
                Ok(connection) => {
                    self.carried_by(connection, false);
                    return Ok(());
                }
                Err(error) => self.give_up_on(index, &error)?,
            }
        }
    }

    /// Another endpoint gets the request, unless too many were tried.
    fn give_up_on(&mut self, index: usize, error: &ConnectError) -> Result<(), Refusal> {
        tracing::debug!(%error, "connecting failed");
        let record = &mut self.journal.record;
        record.tries = record.tries.saturating_add(1);
        if matches!(error, ConnectError::Timeout { .. }) {
            self.worker.shard.timed_out(record.route, crate::telemetry::Limit::Connect);
        }
        self.failed.push(index);
        if self.failed.len() >= MAX_TRIES {
            return Err(Refusal::unreachable());
        }
        self.pick()
    }

    fn carried_by(&mut self, connection: Connection, reused: bool) {
        let record = &mut self.journal.record;
        record.tries = record.tries.saturating_add(1);
        if let Some(pick) = &mut record.pick {
            pick.reused = reused;
        }
        self.upstream = Some(Upstream { connection, reused });
        let now = self.worker.clock.now();
        self.journal.step(now, |steps| &mut steps.connect);
        self.attempt_begins(now);
    }

    /// Puts the endpoint's connection back for the next request.
    pub(super) fn give_back(&mut self, idle_limit: Option<Duration>) {
        if let Some(upstream) = self.upstream.take()
            && let Some(endpoint) = self.endpoint()
        {
            let worker = self.worker;
            let since = worker.clock.instant(self.journal.last());
            let idle = Idle { connection: upstream.connection, since };
            if let Some(idle) = self.captured.keep(idle) {
                worker.pool.put(endpoint, &worker.shard, idle, idle_limit);
            }
        }
    }

    /// What the answer has to fit.
    pub(super) fn asked<'a>(&self, request_id: &'a [u8]) -> Asked<'a> {
        let request = self.request;
        Asked {
            head_only: self.journal.record.method == Method::Head,
            old_client: self.journal.record.protocol == Protocol::Http10,
            upgrade: request.is_some_and(|request| request.upgrade),
            keep_alive: request.is_some_and(|request| request.keep_alive)
                && self.upload.is_done()
                && !self.upload_broken
                && !self.worker.is_draining(),
            request_id,
        }
    }

    /// Takes the body's part of a request that is refused, so that the next one can be found.
    pub(super) fn skip_body(&mut self, scratch: &mut Scratch, length: usize) {
        let Some(request) = self.request else { return };
        self.upload.body = request.body;
        if self.upload.start(scratch, (length, request.head_len)).is_err() {
            self.upload_broken = true;
        }
    }

    /// Bytes of an answer are on their way to the client.
    pub(super) fn answer_begins(&self) {
        self.captured.may_answer.set(false);
    }

    /// The id the client sent, empty when we made one.
    pub(super) fn own_request_id(&self) -> &[u8] {
        self.names.slice(self.names.path..self.names.text.len())
    }

    pub(super) fn rule(&self) -> Option<&HttpRule> {
        self.plan.as_ref().and_then(Plan::rule)
    }

    /// The endpoint of this attempt is not picked for the next.
    pub(super) fn exclude_current(&mut self) {
        self.failed.extend(self.plan.as_ref().map(|plan| plan.endpoint));
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        let plan = self.plan.as_ref()?;
        plan.pinned.endpoints.get(plan.endpoint)
    }

    fn chosen(&self) -> Option<(Pinned, usize)> {
        self.plan.as_ref().map(|plan| (Rc::clone(&plan.pinned), plan.endpoint))
    }

    /// Writes the record.
    pub(super) fn finish(&mut self) {
        self.journal.record.sent = self.answer.moved;
        self.journal.record.received = self.upload.moved;
        let host = self.names.slice(0..self.names.host);
        let path = self.names.slice(self.names.host..self.names.path);
        self.journal.finish(host, path);
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if self.journal.is_open() {
            self.journal.interrupted();
            self.finish();
        }
        let mut buffers = Buffers {
            names: std::mem::take(&mut self.names),
            failed: std::mem::take(&mut self.failed),
            upload: std::mem::take(&mut self.upload),
            answer: std::mem::take(&mut self.answer),
            replay: std::mem::take(&mut self.replay),
        };
        buffers.names.text.clear();
        buffers.failed.clear();
        buffers.upload.reset();
        buffers.answer.reset();
        buffers.replay.clear();
        self.worker.spare.borrow_mut().push(buffers);
    }
}

impl Plan {
    fn rule(&self) -> Option<&HttpRule> {
        let service = self.pinned.services.get(self.destination.service)?;
        service.ports.get(self.destination.port)?.http.rules.get(self.rule?)
    }
}

impl Names {
    fn slice(&self, range: Range<usize>) -> &[u8] {
        self.text.get(range).unwrap_or_default()
    }
}

/// Path bytes a record keeps.
const MAX_PATH: usize = 2048;

fn body_part(scratch: &mut Scratch, (at, length): (usize, usize)) -> &[u8] {
    scratch.filled(at + length).get(at..).unwrap_or_default()
}
