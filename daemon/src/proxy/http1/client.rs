//! The client's side of a connection: waiting for requests, reading their heads, and ending it
//! so that the last answer arrives.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use super::exchange::Exchange;
use super::head::{MAX_HEAD, slots};
use super::reply::Refusal;
use super::request;
use crate::proxy::clock::nanos;
use crate::proxy::outbound::Captured;
use crate::proxy::scratch::{Inbox, Scratch};
use crate::proxy::wheel::Timer;
use crate::proxy::worker::Worker;
use crate::transport::Socket;

/// After the last answer: how much and how long is read and dropped before the close, so that a
/// client still sending gets the answer and not a reset.
const LINGER_BYTES: usize = 64 * 1024;
const LINGER_NANOS: u64 = 1_000_000_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Client<'w> {
    pub(super) worker: &'w Worker,
    pub(super) captured: &'w Captured,
    pub(super) socket: &'w Socket,
    pub(super) timer: Timer,
    /// Bytes behind the last request.
    pub(super) inbox: Inbox,
    /// First byte of the head being read.
    started: Option<u64>,
    /// Bytes of it already judged incomplete.
    judged: usize,
    pub(super) served: bool,
}

/// What comes next on the connection.
pub(super) enum Next<'w> {
    /// The client is done, or was idle for too long.
    Closed,
    Request(Exchange<'w>),
    Refused(Exchange<'w>, Refusal),
}

impl<'w> Client<'w> {
    pub(super) fn new(
        worker: &'w Worker,
        captured: &'w Captured,
        socket: &'w Socket,
        inbox: Inbox,
    ) -> Self {
        let timer = Timer::new(&worker.wheel);
        timer.set(captured.accepted + nanos(worker.config.client_idle));
        Self { worker, captured, socket, timer, inbox, started: None, judged: 0, served: false }
    }

    /// Waits for the next request until the connection was idle for too long.
    pub(super) async fn next(&mut self) -> Next<'w> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<'w>> {
        let worker = self.worker;
        let mut scratch = worker.scratch.borrow_mut();
        loop {
            if worker.is_draining() && self.served && self.inbox.is_empty() {
                return Poll::Ready(Next::Closed);
            }
            match self.inbox.poll_fill(cx, self.socket, &mut scratch) {
                Poll::Ready(Ok(length)) if length > 0 => {
                    if let Some(next) = self.receive(&mut scratch, length) {
                        return Poll::Ready(next);
                    }
                }
                Poll::Ready(_) => return Poll::Ready(Next::Closed),
                Poll::Pending => {
                    ready!(self.timer.poll_expired(cx));
                    let Some(started) = self.started.take() else {
                        return Poll::Ready(Next::Closed);
                    };
                    let exchange = Exchange::begin(worker, self.captured, started);
                    let refusal = Refusal::too_slow("the request's head did not arrive in time");
                    return Poll::Ready(Next::Refused(exchange, refusal));
                }
            }
        }
    }

    /// Looks at `length` bytes at the start of a request; `None` while its head is incomplete.
    fn receive(&mut self, scratch: &mut Scratch, length: usize) -> Option<Next<'w>> {
        let worker = self.worker;
        let started = self.started.get_or_insert_with(|| worker.clock.now());
        let started = *started;
        let bytes: &[u8] = scratch.filled(length);
        // A head that comes byte by byte is parsed per line and not per byte.
        let news = bytes.get(self.judged..).unwrap_or_default();
        if self.judged > 0 && length <= MAX_HEAD && memchr::memchr(b'\n', news).is_none() {
            return self.incomplete(bytes, started);
        }
        let mut slots = slots();
        let compat = self.captured.compat(worker);
        let received = match request::parse(bytes, &mut slots, compat) {
            Ok(None) => return self.incomplete(bytes, started),
            Ok(Some(received)) => received,
            Err(refusal) => {
                let exchange = Exchange::begin(worker, self.captured, started);
                return Some(Next::Refused(exchange, refusal));
            }
        };
        (self.started, self.judged) = (None, 0);
        let mut exchange = Exchange::begin(worker, self.captured, started);
        let mut out = worker.out.borrow_mut();
        out.clear();
        let sent = exchange
            .dispatch(received, &mut out)
            .and_then(|()| exchange.send(scratch, length, &out));
        if let Err(refusal) = sent {
            exchange.skip_body(scratch, length);
            return Some(Next::Refused(exchange, refusal));
        }
        Some(Next::Request(exchange))
    }

    fn incomplete(&mut self, bytes: &[u8], started: u64) -> Option<Next<'w>> {
        if self.judged == 0 {
            self.timer.set(started + nanos(self.worker.config.header_timeout));
        }
        self.judged = bytes.len();
        self.inbox.keep_partial(bytes);
        None
    }

    /// The exchange is over and another may follow.
    pub(super) fn finished(&mut self, exchange: &mut Exchange<'w>) {
        self.served = true;
        std::mem::swap(&mut self.inbox, &mut exchange.upload.inbox);
        self.timer.set(exchange.journal.last() + nanos(self.worker.config.client_idle));
    }

    /// Closes in the order that lets the last answer arrive: end of ours, rest of theirs, close.
    pub(super) async fn linger(&self) {
        self.socket.finish();
        self.timer.set(self.worker.clock.now() + LINGER_NANOS);
        let mut dropped = 0;
        poll_fn(|cx| {
            let mut scratch = self.worker.scratch.borrow_mut();
            let mut none = Inbox::default();
            while dropped < LINGER_BYTES {
                match none.poll_fill(cx, self.socket, &mut scratch) {
                    Poll::Ready(Ok(read)) if read > 0 => dropped += read,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return self.timer.poll_expired(cx),
                }
                none.clear();
            }
            Poll::Ready(())
        })
        .await;
    }
}
