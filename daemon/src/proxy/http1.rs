//! HTTP/1.1 and 1.0 between a captured client and the endpoints, by our own core.
//!
//! hyper's header map and its task hops cost more than the whole rest of the path; forwarding
//! needs neither. Heads are parsed by httparse, checked strictly and forwarded as runs of the
//! original bytes. One connection is one task, one request is [`carry`].

mod answer;
mod body;
mod chunk;
mod client;
mod exchange;
mod field;
mod flow;
mod head;
mod ids;
mod reply;
mod request;
mod response;
mod retry;
mod seen;
mod target;

use std::future::poll_fn;
use std::task::Poll;

use answer::Failure;
use body::Body;
use client::{Client, Next};
pub(super) use exchange::Buffers;
use exchange::Exchange;
use reply::{Refusal, Reply};
use response::Response;

use super::clock::nanos;
use super::outbound::Captured;
use super::relay::{Side, relay};
use super::scratch::Inbox;
use super::worker::Worker;
use crate::record::{Flag, Protocol};
use crate::transport::Socket;

/// What becomes of the client's connection after a request.
enum After {
    Next,
    /// Nothing more is said on it.
    Close,
    /// Closed gently, so that the answer arrives.
    Linger,
    /// Closed with a reset: an end would look like the end of the answer.
    Reset,
}

/// Serves requests on `socket` until either side is done. `early` was read while the protocol was
/// found out.
///
/// Returns whether the connection is to be reset. Dropping the future ends the request it carries,
/// which leaves its record.
pub(super) async fn serve(
    worker: &Worker,
    captured: &Captured,
    socket: &Socket,
    early: Inbox,
) -> bool {
    let mut client = Client::new(worker, captured, socket, early);
    loop {
        let mut next = client.next().await;
        let (exchange, after) = match &mut next {
            Next::Closed => return false,
            Next::Request(exchange) => {
                let after = carry(&client, exchange).await;
                (exchange, after)
            }
            Next::Refused(exchange, refusal) => {
                let after = refuse(&client, exchange, *refusal).await;
                (exchange, after)
            }
        };
        exchange.finish();
        captured.may_answer.set(false);
        match after {
            After::Next => client.finished(exchange),
            After::Close => return false,
            After::Reset => return true,
            After::Linger => {
                drop(next);
                client.linger().await;
                return false;
            }
        }
    }
}

/// Carries one request: connect (unless it left on an idle connection), answer, bodies.
async fn carry(client: &Client<'_>, exchange: &mut Exchange<'_>) -> After {
    let response = loop {
        if exchange.upstream.is_none()
            && let Err(refusal) = exchange.connect().await
        {
            return refuse(client, exchange, refusal).await;
        }
        exchange.arm(&client.timer, exchange.journal.last());
        let answered = poll_fn(|cx| exchange.poll_answer(cx, client.socket, &client.timer)).await;
        match answered {
            Ok(response) => break response,
            Err(Failure::Unanswered) if exchange.revive() => {}
            Err(Failure::Unanswered) if !exchange.may_retry(None) => {
                return refuse(client, exchange, Refusal::upstream_closed()).await;
            }
            Err(Failure::Retry | Failure::Unanswered) => {
                if let Err(refusal) = exchange.retry().await {
                    return refuse(client, exchange, refusal).await;
                }
            }
            Err(Failure::Refuse(refusal)) => return refuse(client, exchange, refusal).await,
            Err(Failure::ClientGone) => return gone(client, exchange),
            Err(Failure::Cut(flag)) => return cut(client, exchange, flag, false),
        }
    };
    let passed = poll_fn(|cx| exchange.poll_bodies(cx, client.socket, &client.timer)).await;
    match passed {
        Ok(()) if response.status == 101 => tunnel(client, exchange).await,
        Ok(()) => complete(client, exchange, &response),
        Err(Failure::Cut(flag)) => {
            let ends_by_close = response.close && matches!(response.body, Body::UntilClose);
            cut(client, exchange, flag, ends_by_close)
        }
        Err(_) => gone(client, exchange),
    }
}

/// The answer is whole.
fn complete(client: &Client<'_>, exchange: &mut Exchange<'_>, response: &Response) -> After {
    exchange.journal.step(client.worker.clock.now(), |steps| &mut steps.response);
    let request_done = exchange.upload.is_done() && !exchange.upload_broken;
    // Bytes behind the answer belong to nobody: such a connection is not used again.
    if response.reusable && request_done && exchange.answer.inbox.is_empty() {
        exchange.give_back(response.idle_limit);
    }
    if request_done && !response.close { After::Next } else { After::Linger }
}

/// The client went away: nobody is left to answer, and the endpoint did nothing wrong.
fn gone(client: &Client<'_>, exchange: &mut Exchange<'_>) -> After {
    exchange.journal.flag(Flag::DownstreamClosed);
    exchange.journal.step(client.worker.clock.now(), |steps| &mut steps.response);
    After::Close
}

/// The answer cannot be completed: the client must not take it for whole, which it would where a
/// close is all that ends it.
fn cut(client: &Client<'_>, exchange: &mut Exchange<'_>, flag: Flag, ends_by_close: bool) -> After {
    exchange.journal.flag(flag);
    exchange.journal.step(client.worker.clock.now(), |steps| &mut steps.response);
    if ends_by_close { After::Reset } else { After::Close }
}

/// Answers in the endpoint's place.
async fn refuse(client: &Client<'_>, exchange: &mut Exchange<'_>, refusal: Refusal) -> After {
    exchange.upstream = None;
    exchange.upload.forget_unsent();
    exchange.answer_begins();
    exchange.journal.flag(refusal.flag);
    exchange.journal.record.status = refusal.status;
    let old_client = exchange.journal.record.protocol == Protocol::Http10;
    let mut made = [0; 36];
    let asked = exchange.asked(b"");
    // An endpoint that breaks the protocol may have been made to: nothing more is read here.
    let close = !asked.keep_alive || refusal.flag == Flag::UpstreamProtocol;
    let id = exchange.journal.record.request_id;
    let reply = Reply {
        close,
        old_client,
        without_body: asked.head_only,
        request_id: reply::request_id(exchange.own_request_id(), &mut made, id),
    };
    let mut answer = Vec::new();
    refusal.write(&mut answer, &reply);
    exchange.answer.queue(&answer);
    client.timer.set(client.worker.clock.now() + nanos(client.worker.config.body_stall));
    let flushed = poll_fn(|cx| match exchange.answer.poll_flush(cx, client.socket) {
        Poll::Pending => client.timer.poll_expired(cx).map(|()| false),
        Poll::Ready(flushed) => Poll::Ready(flushed.is_ok()),
    });
    let flushed = flushed.await;
    exchange.journal.step(client.worker.clock.now(), |steps| &mut steps.response);
    match (flushed, close) {
        (false, _) => After::Close,
        (true, true) => After::Linger,
        (true, false) => After::Next,
    }
}

/// The client and the endpoint have left HTTP: bytes pass both ways from now on.
async fn tunnel(client: &Client<'_>, exchange: &mut Exchange<'_>) -> After {
    let Some(upstream) = exchange.upstream.take() else { return After::Close };
    let outcome = relay(
        client.worker,
        Side::new(client.socket, &exchange.upload.inbox),
        Side::new(&upstream.connection.socket, &exchange.answer.inbox),
        &client.timer,
    )
    .await;
    exchange.journal.flag(outcome.flag);
    (exchange.answer.moved, exchange.upload.moved) = (outcome.sent, outcome.received);
    exchange.journal.step(client.worker.clock.now(), |steps| &mut steps.response);
    After::Close
}

/// What the client gets when its request made us panic before anything was answered.
pub(super) fn answer_panic(socket: &Socket) {
    let mut answer = Vec::new();
    Refusal::panicked().write(&mut answer, &Reply { close: true, ..Reply::default() });
    // A client that takes no more sees the close.
    let _sent = socket.write_now(&answer);
}
