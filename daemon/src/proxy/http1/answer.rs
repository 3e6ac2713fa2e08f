//! From the request's last byte to the answer's: both directions are live at once, so that an
//! early answer reaches a client that is still sending.

use std::task::{Context, Poll, ready};

use super::exchange::Exchange;
use super::flow::{Broken, Way};
use super::reply::{self, Refusal};
use super::response::{self, Response};
use crate::proxy::clock::nanos;
use crate::proxy::scratch::Scratch;
use crate::proxy::wheel::Timer;
use crate::record::Flag;
use crate::telemetry::Limit;
use crate::transport::Socket;

/// Interim answers passed on for one request.
const MAX_INTERIM: u32 = 64;

/// Why an exchange did not end as it should.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing of an answer was sent: the client gets ours.
    Refuse(Refusal),
    /// The connection ended before it answered anything.
    Unanswered,
    /// The route wants another attempt.
    Retry,
    ClientGone,
    /// The answer has begun and cannot be completed.
    Cut(Flag),
}

impl Exchange<'_> {
    /// Sends the request's body and waits for the final answer's head, which it passes on.
    pub(super) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        client: &Socket,
        timer: &Timer,
    ) -> Poll<Result<Response, Failure>> {
        let worker = self.worker;
        let mut scratch = worker.scratch.borrow_mut();
        loop {
            self.upload_some(cx, &mut scratch, client)?;
            let filled = match &self.upstream {
                Some(upstream) => {
                    let socket = &upstream.connection.socket;
                    self.answer.inbox.poll_fill(cx, socket, &mut scratch)
                }
                None => return Poll::Ready(Err(Failure::Refuse(Refusal::upstream_closed()))),
            };
            match filled {
                Poll::Ready(Ok(length)) if length > 0 => {
                    if let Some(response) = self.read_head(&mut scratch, length, client)? {
                        return Poll::Ready(Ok(response));
                    }
                }
                Poll::Ready(_) => {
                    let silent = self.answer.inbox.is_empty() && self.interim == 0;
                    return Poll::Ready(Err(if silent { Failure::Unanswered } else { closed() }));
                }
                Poll::Pending => {
                    let limit = ready!(self.poll_deadline(cx, timer));
                    let refusal = self.too_late(limit);
                    let total = self.worker.clock.now() >= self.deadline;
                    let again = limit == Limit::Request && !total && self.may_retry(None);
                    let failure = if again { Failure::Retry } else { Failure::Refuse(refusal) };
                    return Poll::Ready(Err(failure));
                }
            }
        }
    }

    /// Passes both bodies on until the answer's is whole.
    pub(super) fn poll_bodies(
        &mut self,
        cx: &mut Context<'_>,
        client: &Socket,
        timer: &Timer,
    ) -> Poll<Result<(), Failure>> {
        // A short answer left whole with its head.
        if self.answer.is_done() && self.upload.is_done() {
            return Poll::Ready(Ok(()));
        }
        let worker = self.worker;
        let mut scratch = worker.scratch.borrow_mut();
        match self.upload_some(cx, &mut scratch, client) {
            Err(Failure::ClientGone) if self.upload.body.is_done() => {
                return Poll::Ready(Err(Failure::ClientGone));
            }
            // The answer is on its way and may still be whole; the connection ends with it.
            Err(_) => self.upload_broken = true,
            Ok(()) => {}
        }
        let Some(upstream) = &self.upstream else { return Poll::Ready(Err(Failure::ClientGone)) };
        let from = &upstream.connection.socket;
        let way = Way { from, to: client, pipes: &worker.pipes };
        match self.answer.poll(cx, &mut scratch, &way) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(Broken::Source)) => {
                Poll::Ready(Err(Failure::Cut(Flag::UpstreamClosed)))
            }
            Poll::Ready(Err(Broken::Framing(why))) => {
                tracing::debug!(why, "the answer's body is malformed");
                Poll::Ready(Err(Failure::Cut(Flag::UpstreamProtocol)))
            }
            Poll::Ready(Err(Broken::Sink)) => Poll::Ready(Err(Failure::ClientGone)),
            Poll::Pending => {
                let limit = ready!(self.poll_deadline(cx, timer));
                let flag = self.too_late(limit).flag;
                Poll::Ready(Err(Failure::Cut(flag)))
            }
        }
    }

    /// Moves the request's body on; without one, notices when the client goes away.
    fn upload_some(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        client: &Socket,
    ) -> Result<(), Failure> {
        let Some(upstream) = &self.upstream else { return Ok(()) };
        if self.upload_broken || self.upload.is_done() {
            return match client.poll_gone(cx) {
                Poll::Ready(()) => Err(Failure::ClientGone),
                Poll::Pending => Ok(()),
            };
        }
        let to = &upstream.connection.socket;
        let way = Way { from: client, to, pipes: &self.worker.pipes };
        match self.upload.poll(cx, scratch, &way) {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            // It may have answered before it closed.
            Poll::Ready(Err(Broken::Sink)) => {
                self.upload_broken = true;
                Ok(())
            }
            Poll::Ready(Err(Broken::Source)) => Err(Failure::ClientGone),
            Poll::Ready(Err(Broken::Framing(why))) => Err(Failure::Refuse(Refusal::malformed(why))),
        }
    }

    /// Deals with `length` bytes of the endpoint; `None` while the final head has not come.
    fn read_head(
        &mut self,
        scratch: &mut Scratch,
        length: usize,
        client: &Socket,
    ) -> Result<Option<Response>, Failure> {
        let worker = self.worker;
        let mut out = worker.out.borrow_mut();
        out.clear();
        let bytes = scratch.filled(length);
        let mut made = [0; 36];
        let id = self.journal.record.request_id;
        let asked = self.asked(reply::request_id(self.own_request_id(), &mut made, id));
        let (old_client, may_upgrade) = (asked.old_client, asked.upgrade);
        let parsed = response::parse(bytes, &asked, &mut out);
        let Some(response) = parsed.map_err(bad_answer)? else {
            self.answer.inbox.keep_partial(bytes);
            return Ok(None);
        };
        if response.is_interim() {
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(bad_answer("too many interim answers"));
            }
            self.answer.inbox.keep_unseen(bytes.get(response.head_len..).unwrap_or_default());
            if !old_client {
                self.answer_begins();
                self.answer.send(client, &out).map_err(|_gone| Failure::ClientGone)?;
            }
            return Ok(None);
        }
        if response.status == 101 && !may_upgrade {
            return Err(bad_answer("101 to a request that asked for no upgrade"));
        }
        if self.may_retry(Some(response.status)) {
            return Err(Failure::Retry);
        }
        self.journal.step(worker.clock.now(), |steps| &mut steps.app);
        self.answer.body = response.body;
        self.answer.reframe = response.reframe;
        let part = self.answer.start(scratch, (length, response.head_len));
        let part = part.map_err(|bad| bad_answer(bad.0))?;
        self.journal.record.status = response.status;
        self.answer_begins();
        let sent = self.answer.send_body(scratch, part, &out, client);
        sent.map_err(|_gone| Failure::ClientGone)?;
        Ok(Some(response))
    }

    /// Ready when the route's timeout or a stall limit has passed without progress.
    fn poll_deadline(&mut self, cx: &Context<'_>, timer: &Timer) -> Poll<Limit> {
        let moved = self.upload.moved + self.answer.moved;
        if moved != self.progress {
            self.progress = moved;
            self.arm(timer, self.worker.clock.now());
        }
        ready!(timer.poll_expired(cx));
        let reached = self.worker.clock.now() >= self.deadline.min(self.attempt_deadline);
        Poll::Ready(if reached { Limit::Request } else { Limit::Idle })
    }

    /// Sets the timer for what may take longest from `now` on without progress.
    pub(super) fn arm(&self, timer: &Timer, now: u64) {
        let config = &self.worker.config;
        let stall =
            if self.upload.body.is_done() { config.response_stall } else { config.body_stall };
        timer.set(self.deadline.min(self.attempt_deadline).min(now + nanos(stall)));
    }

    fn too_late(&self, limit: Limit) -> Refusal {
        self.worker.shard.timed_out(self.journal.record.route, limit);
        match limit {
            Limit::Request | Limit::Connect => {
                Refusal::timed_out("the route's timeout was reached")
            }
            Limit::Idle if self.upload.body.is_done() => {
                Refusal { flag: Flag::StreamIdle, ..Refusal::timed_out("the endpoint was silent") }
            }
            Limit::Idle => Refusal::too_slow("the request's body stalled"),
        }
    }
}

fn closed() -> Failure {
    Failure::Refuse(Refusal::upstream_closed())
}

fn bad_answer(why: &'static str) -> Failure {
    Failure::Refuse(Refusal::bad_answer(why))
}
