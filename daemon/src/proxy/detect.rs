//! What a captured connection speaks.
//!
//! The declared protocol decides. Where none is declared the client's first bytes do, but nobody
//! waits for them: the endpoint is dialled at once, and if it speaks first (MySQL, SMTP, SSH) the
//! connection is TCP.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use super::outbound::Captured;
use super::scratch::Inbox;
use super::tcp::{self, Dialled};
use super::wheel::Timer;
use super::worker::Worker;
use crate::model::Declared;
use crate::proxy::clock::nanos;
use crate::record::Protocol;
use crate::transport::Socket;

/// A connection accepted just before a drain may still bring its first request so late
/// (nanoseconds).
const LAST_CALL: u64 = 250_000_000;

/// What was found out, with the bytes that were read for it.
pub(super) enum Found<'w> {
    Http1(Inbox),
    /// Carried as TCP.
    Opaque(Box<Opaque<'w>>),
    /// The client left before it said anything.
    Nothing,
}

/// A connection whose bytes are passed on unread.
pub(super) struct Opaque<'w> {
    pub(super) protocol: Protocol,
    pub(super) early: Inbox,
    /// The attempt to reach the endpoint, where one was made already.
    pub(super) dialled: Option<Dialled<'w>>,
    /// The client has already ended its side.
    pub(super) client_ended: bool,
}

/// What first bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Http1,
    /// Carried as TCP for now.
    Http2,
    Tls,
    Other,
    /// Too few to tell.
    Unclear,
}

pub(super) async fn protocol<'w>(
    worker: &'w Worker,
    captured: &Captured,
    socket: &Socket,
) -> Found<'w> {
    let declared = captured.destination(worker).map_or(Declared::Tcp, |(pinned, at)| {
        let port = pinned.services.get(at.service).and_then(|s| s.ports.get(at.port));
        port.map(|port| port.protocol).unwrap_or_default()
    });
    match declared {
        Declared::Tcp | Declared::Udp => opaque(Protocol::Tcp, Inbox::default()),
        Declared::Http | Declared::Grpc => client_first(worker, socket).await,
        Declared::Detect => race(worker, captured, socket).await,
    }
}

fn opaque<'w>(protocol: Protocol, early: Inbox) -> Found<'w> {
    Found::Opaque(Box::new(Opaque { protocol, early, dialled: None, client_ended: false }))
}

/// In a declared HTTP protocol the client speaks first; all that is open is which version.
async fn client_first<'w>(worker: &'w Worker, socket: &Socket) -> Found<'w> {
    let timer = Timer::new(&worker.wheel);
    timer.set(worker.clock.now() + nanos(worker.config.client_idle));
    let mut inbox = Inbox::default();
    let mut last_call = false;
    let looks = poll_fn(|cx| match poll_looks(worker, cx, socket, &mut inbox) {
        Poll::Pending => {
            if worker.is_draining() && !std::mem::replace(&mut last_call, true) {
                timer.set(worker.clock.now() + LAST_CALL);
            }
            timer.poll_expired(cx).map(|()| None)
        }
        ready => ready,
    });
    match looks.await {
        None => Found::Nothing,
        Some(Looks::Http2) => opaque(Protocol::Http2, inbox),
        Some(Looks::Tls) => opaque(Protocol::Tls, inbox),
        Some(Looks::Http1 | Looks::Other | Looks::Unclear) => Found::Http1(inbox),
    }
}

/// Whoever speaks first decides: the client by its bytes, the endpoint by speaking at all.
async fn race<'w>(worker: &'w Worker, captured: &Captured, socket: &Socket) -> Found<'w> {
    let mut inbox = Inbox::default();
    // Not a word of it in the records should the client turn out to speak HTTP.
    let journal = tcp::begin(worker, captured).tentative();
    let mut dialling = pin!(tcp::dial(worker, captured, journal));
    let mut dialled: Option<Dialled<'w>> = None;
    let timer = Timer::new(&worker.wheel);
    timer.set(worker.clock.now() + nanos(worker.config.tcp_idle));
    let looks = poll_fn(|cx| {
        if let Poll::Ready(looks) = poll_looks(worker, cx, socket, &mut inbox) {
            return Poll::Ready(looks);
        }
        if dialled.is_none()
            && let Poll::Ready(done) = dialling.as_mut().poll(cx)
        {
            dialled = Some(done);
        }
        match &dialled {
            Some(dialled) if dialled.is_decided(cx) => Poll::Ready(Some(Looks::Other)),
            _ => timer.poll_expired(cx).map(|()| Some(Looks::Other)),
        }
    });
    let looks = looks.await;
    let protocol = match looks {
        Some(Looks::Http1) => {
            if let Some(dialled) = dialled {
                dialled.keep(captured);
            }
            return Found::Http1(inbox);
        }
        Some(Looks::Http2) => Protocol::Http2,
        Some(Looks::Tls) => Protocol::Tls,
        Some(Looks::Other | Looks::Unclear) | None => Protocol::Tcp,
    };
    let dialled = match dialled {
        None => Some(dialling.await),
        dialled => dialled,
    };
    let client_ended = looks.is_none();
    Found::Opaque(Box::new(Opaque { protocol, early: inbox, dialled, client_ended }))
}

/// Reads until it is clear what the client speaks; `None` when it ends before that.
fn poll_looks(
    worker: &Worker,
    cx: &mut Context<'_>,
    socket: &Socket,
    inbox: &mut Inbox,
) -> Poll<Option<Looks>> {
    let mut scratch = worker.scratch.borrow_mut();
    loop {
        match inbox.poll_fill(cx, socket, &mut scratch) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(length)) if length > 0 => {
                let bytes = scratch.filled(length);
                let looks = look(bytes);
                if looks == Looks::Unclear {
                    inbox.keep_partial(bytes);
                } else {
                    inbox.keep_unseen(bytes);
                    return Poll::Ready(Some(looks));
                }
            }
            Poll::Ready(_) => {
                inbox.look_again();
                return Poll::Ready(None);
            }
        }
    }
}

fn look(bytes: &[u8]) -> Looks {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const METHODS: [&[u8]; 9] = [
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"PUT ",
        b"PATCH ",
        b"DELETE ",
        b"OPTIONS ",
        b"CONNECT ",
        b"TRACE ",
    ];
    let starts = |whole: &[u8]| bytes.len() >= whole.len() && bytes.starts_with(whole);
    let may_become = |whole: &[u8]| bytes.len() < whole.len() && whole.starts_with(bytes);
    match bytes {
        [0x16, 0x03, ..] => return Looks::Tls,
        [0x16] => return Looks::Unclear,
        _ if starts(PREFACE) => return Looks::Http2,
        _ if METHODS.iter().any(|method| starts(method)) => return Looks::Http1,
        _ if may_become(PREFACE) || METHODS.iter().any(|method| may_become(method)) => {
            return Looks::Unclear;
        }
        _ => {}
    }
    // Any other method, when the line ends as a request line does.
    let bytes = bytes.trim_ascii_start();
    let end = memchr::memchr(b'\n', bytes).unwrap_or(0);
    let line = bytes.get(..end).unwrap_or_default().trim_ascii_end();
    let version = line.len().checked_sub(" HTTP/1.1".len()).and_then(|at| line.get(at..));
    match version {
        Some(version) if version.starts_with(b" HTTP/1.") => Looks::Http1,
        _ => Looks::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: HTTP-18
    #[test]
    fn one_packet_is_enough_to_tell() {
        for (bytes, looks) in [
            (&b"GET / HTTP/1.1\r\n"[..], Looks::Http1),
            (b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", Looks::Http1),
            (b"\r\nGET / HTTP/1.1\r\n", Looks::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Looks::Http2),
            (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", Looks::Tls),
            (b"EHLO example.test\r\n", Looks::Other),
            (b"*1\r\n$4\r\nPING\r\n", Looks::Other),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", Looks::Other),
            (b"P", Looks::Unclear),
            (b"PRI * HT", Looks::Unclear),
            (b"\x16", Looks::Unclear),
            (b"PING\r\n", Looks::Other),
        ] {
            assert_eq!(look(bytes), looks, "{:?}", bytes.escape_ascii().to_string());
        }
    }
}
