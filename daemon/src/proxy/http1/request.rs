//! A request head: read strictly, judged, and written for the endpoint.
//!
//! Whatever two servers could read differently is refused with the reason (RFC 9112 §11.2); what
//! passes is forwarded as the client's own bytes, less what ends at a proxy.

use std::fmt::Display;
use std::io::Write as _;

use httparse::{Error, Status};

use super::body::Body;
use super::field::{self, Field};
use super::head::{Fields, Lines, MAX_HEAD, Slots};
use super::ids::{self, Trace};
use super::reply::Refusal;
use super::seen::Seen;
use super::target::origin_form;
use crate::model::Compat;
use crate::record::Method;
use crate::routing;

/// Empty lines skipped before a request (RFC 9112 §2.2).
const MAX_EMPTY_LINES: usize = 2;

/// What is known of a request once its head is read; no bytes are borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) old_client: bool,
    pub(super) body: Body,
    pub(super) keep_alive: bool,
    /// The client asks to leave HTTP; 101 is a proper answer.
    pub(super) upgrade: bool,
    /// Bytes of the head, with empty lines before it.
    pub(super) head_len: usize,
}

impl Request {
    /// May be sent a second time when nothing is known of the first (RFC 9110 §9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        use Method::{Delete, Get, Head, Options, Put, Trace};
        matches!(self.method, Get | Head | Options | Trace | Put | Delete) && !self.upgrade
    }
}

/// A request head as parsed, still in the buffer it was read into.
pub(super) struct Received<'h, 'b> {
    pub(super) request: Request,
    pub(super) method: &'b str,
    pub(super) host: &'b [u8],
    /// In origin form.
    pub(super) target: &'b [u8],
    /// A valid id the client brought.
    pub(super) request_id: Option<&'b [u8]>,
    traceparent: Option<&'b [u8]>,
    upgrade: &'b [u8],
    fields: Fields<'h, 'b>,
    /// The `Host` to write: the absolute form's, or one the client left out.
    new_host: NewHost,
    /// The request line is forwarded as it came.
    line_stays: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NewHost {
    No,
    /// The target's authority overrules `Host` (RFC 9112 §3.2.2).
    FromTarget,
    /// HTTP/1.0 without one.
    Added,
}

/// Reads the head at the front of `bytes`; `None` while its end has not come.
pub(super) fn parse<'h, 'b>(
    bytes: &'b [u8],
    slots: &'h mut Slots<'b>,
    compat: Compat,
) -> Result<Option<Received<'h, 'b>>, Refusal> {
    let skipped = empty_lines(bytes)?;
    let bytes = bytes.get(skipped..).unwrap_or_default();
    let mut parsed = httparse::Request::new(&mut []);
    let end = match parsed.parse_with_uninit_headers(bytes, slots) {
        Ok(Status::Complete(end)) if end <= MAX_HEAD => end,
        Ok(Status::Partial) if bytes.len() <= MAX_HEAD => return Ok(None),
        Ok(_) | Err(Error::TooManyHeaders) => return Err(too_large(bytes)),
        Err(error) => return Err(malformed(error, bytes)),
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Refusal::malformed("incomplete request line"));
    };
    let lines = match compat {
        Compat::Strict => Lines::Strict,
        Compat::Lenient => Lines::Repaired,
    };
    let first = first_field(bytes, method, target, lines)?;
    let fields = Fields::checked(bytes, parsed.headers, (first, end), lines)
        .map_err(|super::head::BadLine| Refusal::malformed("a line does not end in CRLF"))?;
    let line = Line { method, target, old: minor == 0, head_len: skipped + end };
    judge(&line, fields, compat).map(Some)
}

struct Line<'b> {
    method: &'b str,
    target: &'b str,
    old: bool,
    head_len: usize,
}

/// Everything about the fields that decides framing, routing and what is forwarded.
fn judge<'h, 'b>(
    line: &Line<'b>,
    mut fields: Fields<'h, 'b>,
    compat: Compat,
) -> Result<Received<'h, 'b>, Refusal> {
    let mut seen = Seen::default();
    for (at, field, value) in fields.iter() {
        if seen.note(field, value, line.old, compat)? {
            fields.end_here(at);
        }
    }
    if !seen.named.is_empty() {
        fields.drop_named(&seen.named);
    }
    let body = seen.body(line.old, compat)?;
    if seen.length_overruled {
        fields.end_all(Field::ContentLength);
    }
    let (target, authority) = origin_form(line.method, line.target.as_bytes())?;
    let host = seen.valid_host(authority, line.old)?;
    let new_host = match (authority, seen.host) {
        (Some(authority), host) if host != Some(authority) => NewHost::FromTarget,
        (None, None) => NewHost::Added,
        _ => NewHost::No,
    };
    if new_host == NewHost::FromTarget {
        fields.end_all(Field::Host);
    }
    let upgrade = if seen.named.upgrade && !line.old { seen.upgrade } else { b"" };
    let request = Request {
        method: method(line.method),
        old_client: line.old,
        body,
        keep_alive: !seen.named.close
            && !seen.length_overruled
            && (!line.old || seen.named.keep_alive && seen.codings == 0),
        upgrade: offers(upgrade).next().is_some(),
        head_len: line.head_len,
    };
    Ok(Received {
        request,
        method: line.method,
        host,
        target,
        request_id: seen.request_id,
        traceparent: seen.traceparent,
        upgrade,
        fields,
        new_host,
        line_stays: !line.old && authority.is_none(),
    })
}

impl Received<'_, '_> {
    pub(super) fn head(&self) -> routing::Head<'_> {
        routing::Head {
            method: self.method,
            host: self.host,
            target: self.target,
            fields: self.fields.all(),
        }
    }

    /// The trace the request belongs to; drops `tracestate` when it is a new one.
    pub(super) fn trace(&mut self, dice: [u64; 3]) -> Trace {
        let (trace, is_new) = Trace::continued(self.traceparent, dice);
        if is_new {
            self.fields.end_all(Field::Tracestate);
        }
        trace
    }

    /// Appends the head for the endpoint. `made` is our request id, 0 when the client brought one;
    /// `destination` is the `Host` of a client too old to send one.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        trace: &Trace,
        made: u128,
        destination: &impl Display,
    ) {
        if !self.line_stays {
            out.extend_from_slice(self.method.as_bytes());
            out.push(b' ');
            out.extend_from_slice(self.target);
            out.extend_from_slice(b" HTTP/1.1\r\n");
        }
        self.fields.copy_to(out, self.line_stays);
        match self.new_host {
            NewHost::No => {}
            NewHost::FromTarget => {
                out.extend_from_slice(b"Host: ");
                out.extend_from_slice(self.host);
                out.extend_from_slice(b"\r\n");
            }
            // Writing into a vector cannot fail.
            NewHost::Added => drop(write!(out, "Host: {destination}\r\n")),
        }
        if self.request.upgrade {
            out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
            for (at, offer) in offers(self.upgrade).enumerate() {
                out.extend_from_slice(if at == 0 { b"" } else { b", " });
                out.extend_from_slice(offer);
            }
            out.extend_from_slice(b"\r\n");
        }
        trace.write(out);
        if made != 0 {
            out.extend_from_slice(b"x-request-id: ");
            out.extend_from_slice(&ids::request_id_text(made));
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Bytes of the empty lines before the request line.
fn empty_lines(bytes: &[u8]) -> Result<usize, Refusal> {
    let mut rest = bytes;
    for _ in 0..MAX_EMPTY_LINES {
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
    }
    match rest {
        [b'\r'] => Ok(bytes.len() - rest.len()),
        [b'\r' | b'\n', ..] => Err(Refusal::malformed("empty lines before the request")),
        _ => Ok(bytes.len() - rest.len()),
    }
}

fn too_large(bytes: &[u8]) -> Refusal {
    match memchr::memchr(b'\n', bytes.get(..MAX_HEAD).unwrap_or(bytes)) {
        None => Refusal::target_too_long(),
        Some(_) if bytes.len() > MAX_HEAD => Refusal::head_too_large("the head exceeds 60 KiB"),
        Some(_) => Refusal::head_too_large("the head has more than 256 fields"),
    }
}

fn malformed(error: Error, bytes: &[u8]) -> Refusal {
    let why = match error {
        Error::HeaderName => "invalid field name",
        Error::HeaderValue => "invalid field value",
        Error::NewLine => "invalid line end",
        Error::Version => {
            let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
            let version = line.trim_ascii_end().rsplit(|&b| b == b' ').next().unwrap_or_default();
            return match version {
                [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                    Refusal::version()
                }
                _ => Refusal::malformed("invalid HTTP version"),
            };
        }
        Error::Status | Error::Token | Error::TooManyHeaders => "invalid request line",
    };
    Refusal::malformed(why)
}

/// Where the fields start: right behind "METHOD target HTTP/1.x" and its line end.
fn first_field(bytes: &[u8], method: &str, target: &str, lines: Lines) -> Result<usize, Refusal> {
    let line = method.len() + 1 + target.len() + " HTTP/1.1".len();
    match bytes.get(line..) {
        Some([b'\r', b'\n', ..]) => Ok(line + 2),
        Some([b'\n', ..]) if lines == Lines::Repaired => Ok(line + 1),
        _ => Err(Refusal::malformed("the request line does not end in CRLF")),
    }
}

/// The protocols an `Upgrade` offers, less those that would tunnel past us unseen.
fn offers(upgrade: &[u8]) -> impl Iterator<Item = &[u8]> {
    field::members(upgrade).filter(|offer| {
        !offer.eq_ignore_ascii_case(b"h2c")
            && !offer.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"TLS/"))
    })
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "CONNECT" => Method::Connect,
        "TRACE" => Method::Trace,
        _ => Method::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::slots;
    use super::*;

    #[test]
    fn what_is_for_one_hop_or_claims_an_identity_ends_here() {
        let sent = "GET /t HTTP/1.1\r\nHost: web.mesh\r\nConnection: x-secret, keep-alive\r\n\
                    X-Secret: 1\r\nTE: gzip\r\nX-Mesh-Source: root\r\nAccept: */*\r\n\
                    Upgrade: h2c\r\nTransfer_Encoding: chunked\r\nX_Custom: 1\r\n\r\n";
        let wanted = "GET /t HTTP/1.1\r\nHost: web.mesh\r\nAccept: */*\r\nX_Custom: 1\r\n";
        assert_eq!(forwarded(sent, Compat::Strict), wanted);
    }

    #[test]
    fn an_upgrade_is_passed_on_without_what_would_tunnel_past_us() {
        let sent = "GET /t HTTP/1.1\r\nHost: w\r\nConnection: Upgrade\r\n\
                    Upgrade: h2c, WebSocket, TLS/1.0\r\n\r\n";
        let wanted = "GET /t HTTP/1.1\r\nHost: w\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n";
        assert_eq!(forwarded(sent, Compat::Strict), wanted);
    }

    #[test]
    fn the_targets_authority_replaces_host_and_1_0_becomes_1_1() {
        let absolute = "GET http://web.mesh/t HTTP/1.1\r\nHost: evil\r\nA: b\r\n\r\n";
        let wanted = "GET /t HTTP/1.1\r\nA: b\r\nHost: web.mesh\r\n";
        assert_eq!(forwarded(absolute, Compat::Strict), wanted);
        let old = "GET /t HTTP/1.0\r\nExpect: x\r\n\r\n";
        assert_eq!(forwarded(old, Compat::Strict), "GET /t HTTP/1.1\r\nHost: 240.0.0.1:80\r\n");
    }

    #[test]
    fn two_framings_are_refused_or_made_one() {
        let sent = "POST /t HTTP/1.1\r\nHost: w\r\nContent-Length: 6\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        assert!(forwarded(sent, Compat::Strict).starts_with("400"));
        let wanted = "POST /t HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(forwarded(sent, Compat::Lenient), wanted);
    }

    /// The head for the endpoint up to our own fields, or the refusal.
    fn forwarded(sent: &str, compat: Compat) -> String {
        let mut slots = slots();
        let mut received = match parse(sent.as_bytes(), &mut slots, compat) {
            Ok(Some(received)) => received,
            Ok(None) => return "incomplete".into(),
            Err(refusal) => return format!("{} {}", refusal.status, refusal.why),
        };
        let trace = received.trace([1, 2, 3]);
        let mut out = Vec::new();
        received.write(&mut out, &trace, 1, &"240.0.0.1:80");
        let out = String::from_utf8(out).unwrap();
        out.split("traceparent:").next().unwrap().to_owned()
    }
}
