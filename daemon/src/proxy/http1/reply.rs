//! What meshd answers itself: refusals, failures, and their machine-readable reasons.
//!
//! Every such answer names its `MESHnnnn` code and the response flag of its decision record, so
//! that nobody takes it for the service's own.

use std::io::Write as _;

use mesh_proto::codes::{self, Code};

use super::ids;
use crate::record::Flag;

/// An answer of ours instead of the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) flag: Flag,
    pub(super) why: &'static str,
}

impl Refusal {
    /// The client broke the protocol.
    pub(super) const fn malformed(why: &'static str) -> Self {
        Self::new(400, &codes::BAD_REQUEST, Flag::DownstreamProtocol, why)
    }

    pub(super) const fn head_too_large(why: &'static str) -> Self {
        Self::new(431, &codes::HEAD_TOO_LARGE, Flag::DownstreamProtocol, why)
    }

    pub(super) const fn target_too_long() -> Self {
        let why = "the request target is longer than 60 KiB";
        Self::new(414, &codes::URI_TOO_LONG, Flag::DownstreamProtocol, why)
    }

    pub(super) const fn unmet_expectation() -> Self {
        let why = "only the expectation 100-continue can be met";
        Self::new(417, &codes::BAD_REQUEST, Flag::DownstreamProtocol, why)
    }

    pub(super) const fn version() -> Self {
        let why = "only HTTP/1.0 and HTTP/1.1 are spoken here";
        Self::new(505, &codes::BAD_VERSION, Flag::DownstreamProtocol, why)
    }

    pub(super) const fn no_connect() -> Self {
        let why = "CONNECT is not allowed";
        Self::new(405, &codes::NOT_IMPLEMENTED, Flag::DownstreamProtocol, why)
    }

    pub(super) const fn too_slow(why: &'static str) -> Self {
        Self::new(408, &codes::CLIENT_TOO_SLOW, Flag::StreamIdle, why)
    }

    pub(super) const fn no_route() -> Self {
        Self::new(404, &codes::NO_ROUTE, Flag::NoRoute, "no rule of the route matches")
    }

    pub(super) const fn outside() -> Self {
        let why = "the workload may not reach this host outside the mesh";
        Self::new(403, &codes::EGRESS_REFUSED, Flag::Egress, why)
    }

    pub(super) const fn no_endpoint() -> Self {
        let why = "the service has no endpoint to send to";
        Self::new(503, &codes::NO_ENDPOINT, Flag::NoEndpoint, why)
    }

    pub(super) const fn unreachable() -> Self {
        let why = "no connection to an endpoint could be made";
        Self::new(503, &codes::CONNECT_FAILED, Flag::UpstreamConnect, why)
    }

    pub(super) const fn timed_out(why: &'static str) -> Self {
        Self::new(504, &codes::TIMED_OUT, Flag::UpstreamTimeout, why)
    }

    pub(super) const fn upstream_closed() -> Self {
        let why = "the endpoint closed the connection before it answered";
        Self::new(502, &codes::UPSTREAM_CLOSED, Flag::UpstreamClosed, why)
    }

    /// The endpoint broke the protocol.
    pub(super) const fn bad_answer(why: &'static str) -> Self {
        Self::new(502, &codes::UPSTREAM_PROTOCOL, Flag::UpstreamProtocol, why)
    }

    pub(super) const fn panicked() -> Self {
        let why = "meshd failed while it carried this request";
        Self::new(500, &codes::REQUEST_PANIC, Flag::Panic, why)
    }

    const fn new(status: u16, code: &Code, flag: Flag, why: &'static str) -> Self {
        Self { status, code: code.code, flag, why }
    }

    /// Appends the whole answer; `without_body` for HEAD.
    pub(super) fn write(&self, out: &mut Vec<u8>, reply: &Reply<'_>) {
        let phrase = match self.status {
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            414 => "URI Too Long",
            417 => "Expectation Failed",
            431 => "Request Header Fields Too Large",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            505 => "HTTP Version Not Supported",
            _ => "Internal Server Error",
        };
        let Self { status, code, flag, why } = self;
        let flag = flag.code();
        let length = "meshd: \n".len() + why.len();
        let connection = match (reply.close, reply.old_client) {
            (true, _) => "connection: close\r\n",
            (false, true) => "connection: keep-alive\r\n",
            (false, false) => "",
        };
        // Writing into a vector cannot fail.
        let _written = write!(
            out,
            "HTTP/1.1 {status} {phrase}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\
             x-mesh-error: {code}\r\nx-mesh-flag: {flag}\r\n{connection}"
        );
        if !reply.request_id.is_empty() {
            out.extend_from_slice(b"x-request-id: ");
            out.extend_from_slice(reply.request_id);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if !reply.without_body {
            let _written = writeln!(out, "meshd: {why}");
        }
    }
}

/// How a [`Refusal`] is put to this client.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "three independent facts of one message")]
pub(super) struct Reply<'a> {
    pub(super) close: bool,
    /// It speaks HTTP/1.0 and asked to be kept.
    pub(super) old_client: bool,
    /// The request was HEAD.
    pub(super) without_body: bool,
    pub(super) request_id: &'a [u8],
}

/// The text of the id a request goes by: its own, or the one we made.
pub(super) fn request_id<'a>(own: &'a [u8], made: &'a mut [u8; 36], id: u128) -> &'a [u8] {
    if id == 0 {
        return own;
    }
    *made = ids::request_id_text(id);
    made
}
