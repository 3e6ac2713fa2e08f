//! The decision record: what one request, connection or DNS question met.
//!
//! One fixed-size value, filled on the path without formatting or allocating; `trace`, the access
//! log, `/metrics` errors and `top` are views of it. Names are numbers of the
//! [`crate::state::Interner`]; host and path live beside the record in the ring.

mod codec;
mod entry;
mod flag;
mod ring;
mod rings;

use std::net::SocketAddr;

pub(crate) use entry::Entry;
pub(crate) use flag::{ErrorType, Flag};
pub(crate) use ring::{Cursor, Ring};
pub(crate) use rings::Rings;

/// See the module. Times are nanoseconds; `start` is the Unix time at which the first step began,
/// the rest are durations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) protocol: Protocol,
    pub(crate) method: Method,
    pub(crate) start: u64,
    pub(crate) trace: u128,
    pub(crate) span: u64,
    /// The `x-request-id` we made; 0 when the client brought its own.
    pub(crate) request_id: u128,
    pub(crate) source: Source,
    pub(crate) destination: SocketAddr,
    /// Interned; 0 = none.
    pub(crate) service: u32,
    pub(crate) route: u32,
    /// 1-based, 0 = the built-in default.
    pub(crate) rule: u16,
    pub(crate) rules: u16,
    pub(crate) pick: Option<Pick>,
    /// Status sent to the client; 0 = none.
    pub(crate) status: u16,
    pub(crate) flag: Flag,
    /// Connections tried.
    pub(crate) tries: u8,
    /// Body bytes (HTTP) or all bytes (TCP, UDP) towards the client, and from it.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) steps: Steps,
    pub(crate) generation: u64,
}

impl Record {
    /// The beginning of one: a connection that has not met anything yet.
    pub(crate) fn new(source: Source, destination: SocketAddr, generation: u64) -> Self {
        Self {
            kind: Kind::Tcp,
            protocol: Protocol::Tcp,
            method: Method::None,
            start: 0,
            trace: 0,
            span: 0,
            request_id: 0,
            source,
            destination,
            service: 0,
            route: 0,
            rule: 0,
            rules: 0,
            pick: None,
            status: 0,
            flag: Flag::None,
            tries: 0,
            sent: 0,
            received: 0,
            steps: Steps::default(),
            generation,
        }
    }
}

/// Who called, from the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) address: SocketAddr,
    /// Interned service label of the workload ([`crate::model::Workload::id`]); 0 = none.
    pub(crate) service: u32,
    /// Its run ([`padded`]), kept as text because a record outlives the run; all NUL = none.
    pub(crate) run: [u8; 16],
    /// 0 = not known.
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    /// `comm`, NUL-padded.
    pub(crate) process: [u8; 16],
}

/// The first 16 bytes of `name`, NUL-padded.
pub(crate) fn padded(name: &[u8]) -> [u8; 16] {
    let mut padded = [0; 16];
    padded.iter_mut().zip(name).for_each(|(place, byte)| *place = *byte);
    padded
}

/// The text before the padding.
pub(crate) fn unpadded(padded: &[u8; 16]) -> String {
    let text = padded.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// The endpoint chosen and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pick {
    /// Interned service, subset and endpoint; the endpoint's name is `service/address`.
    pub(crate) service: u32,
    pub(crate) subset: u32,
    pub(crate) endpoint: u32,
    pub(crate) address: SocketAddr,
    pub(crate) reason: Reason,
    /// Endpoints that were ready, of how many.
    pub(crate) ready: u16,
    pub(crate) of: u16,
    /// The connection came from the pool.
    pub(crate) reused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    Tcp,
    Dns,
    /// A session of datagrams.
    Udp,
}

impl Kind {
    /// In the order of their numbers.
    const ALL: [Self; 4] = [Self::Http, Self::Tcp, Self::Dns, Self::Udp];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http10,
    Http11,
    /// Recognised by its preface, carried as TCP.
    Http2,
    /// Recognised by its ClientHello, carried as TCP.
    Tls,
    Tcp,
    Udp,
}

impl Protocol {
    /// In the order of their numbers.
    const ALL: [Self; 6] =
        [Self::Http10, Self::Http11, Self::Http2, Self::Tls, Self::Tcp, Self::Udp];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Connect,
    Trace,
    /// Any other token: its name precedes the path in the ring's text.
    Other,
    None,
}

impl Method {
    /// In the order of their numbers.
    const ALL: [Self; 11] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Options,
        Self::Connect,
        Self::Trace,
        Self::Other,
        Self::None,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Smooth weighted round robin over the ready ones.
    RoundRobin,
    /// The client asked for this endpoint's own address.
    OwnAddress,
    /// Nothing was ready, so everything was tried.
    Panic,
    /// The first choice failed before an answer.
    Retry,
}

impl Reason {
    /// In the order of their numbers.
    const ALL: [Self; 4] = [Self::RoundRobin, Self::OwnAddress, Self::Panic, Self::Retry];
}

/// Durations of consecutive steps, nanoseconds; their sum is the record's whole time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steps {
    /// From the application's connect in the kernel to our accept; 0 on a reused connection.
    pub(crate) capture: u64,
    /// Accept (or first byte) to the head parsed.
    pub(crate) head: u64,
    pub(crate) route: u64,
    pub(crate) balance: u64,
    /// Waiting for an upstream connection, retries included.
    pub(crate) connect: u64,
    /// Request sent to first byte of the final answer.
    pub(crate) app: u64,
    /// First to last byte of the answer.
    pub(crate) response: u64,
}

impl Steps {
    pub(crate) fn total(&self) -> u64 {
        self.capture
            + self.head
            + self.route
            + self.balance
            + self.connect
            + self.app
            + self.response
    }
}
