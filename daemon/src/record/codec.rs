//! A [`Record`] as a fixed number of 64-bit words, so that a ring can hold it in atomics.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Flag, Kind, Method, Pick, Protocol, Reason, Record, Source, Steps};

/// Words of one encoded record; 304 bytes.
pub(super) const WORDS: usize = 38;

/// Where a record's host and path lie in the ring's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// In words since the ring was made.
    pub(super) position: u64,
    /// Bytes; the path follows the host.
    pub(super) host: u16,
    pub(super) path: u16,
}

const PICKED: u8 = 1;
const REUSED: u8 = 2;

pub(super) fn encode(record: &Record, text: Span) -> [u64; WORDS] {
    let mut out = Writer { words: [0; WORDS], at: 0 };
    out.word(record.start);
    out.wide(record.trace);
    out.word(record.span);
    out.wide(record.request_id);
    out.small([
        record.kind as u8,
        record.protocol as u8,
        record.method as u8,
        record.flag as u8,
        record.tries,
    ]);
    out.source(&record.source, record.status);
    out.address(record.destination);
    out.pair(record.service, record.route);
    out.quarters([record.rule, record.rules, text.host, text.path]);
    out.pick(record.pick.as_ref());
    out.word(record.sent);
    out.word(record.received);
    out.steps(&record.steps);
    out.word(record.generation);
    out.word(text.position);
    out.words
}

pub(super) fn decode(words: &[u64; WORDS]) -> (Record, Span) {
    let mut from = Reader(words.iter());
    let (start, trace, span, request_id) = (from.word(), from.wide(), from.word(), from.wide());
    let [kind, protocol, method, flag, tries] = from.small();
    let ((source, status), destination) = (from.source(), from.address());
    let (service, route) = from.pair();
    let [rule, rules, host, path] = from.quarters();
    let pick = from.pick();
    let (sent, received, steps) = (from.word(), from.word(), from.steps());
    let (generation, position) = (from.word(), from.word());
    let record = Record {
        kind: numbered(&Kind::ALL, kind, Kind::Tcp),
        protocol: numbered(&Protocol::ALL, protocol, Protocol::Tcp),
        method: numbered(&Method::ALL, method, Method::None),
        start,
        trace,
        span,
        request_id,
        source,
        destination,
        service,
        route,
        rule,
        rules,
        pick,
        status,
        flag: numbered(&Flag::ALL, flag, Flag::None),
        tries,
        sent,
        received,
        steps,
        generation,
    };
    (record, Span { position, host, path })
}

/// The enum's value with this number; `other` cannot happen for words we encoded.
fn numbered<T: Copy>(all: &[T], number: u8, other: T) -> T {
    all.get(usize::from(number)).copied().unwrap_or(other)
}

/// Writes the parts in the order in which [`Reader`] reads them.
struct Writer {
    words: [u64; WORDS],
    at: usize,
}

impl Writer {
    fn word(&mut self, word: u64) {
        if let Some(place) = self.words.get_mut(self.at) {
            *place = word;
            self.at += 1;
        }
    }

    fn wide(&mut self, wide: u128) {
        self.word((wide >> 64) as u64);
        self.word(wide as u64);
    }

    fn pair(&mut self, hi: u32, lo: u32) {
        self.word(u64::from(hi) << 32 | u64::from(lo));
    }

    fn quarters(&mut self, [a, b, c, d]: [u16; 4]) {
        self.pair(u32::from(a) << 16 | u32::from(b), u32::from(c) << 16 | u32::from(d));
    }

    fn small(&mut self, [a, b, c, d, e]: [u8; 5]) {
        self.word(u64::from_be_bytes([a, b, c, d, e, 0, 0, 0]));
    }

    /// Always as IPv6; a bit beside the port says whether it was IPv4.
    fn address(&mut self, address: SocketAddr) {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        self.wide(ip.to_bits());
        self.pair(address.port().into(), address.is_ipv4().into());
    }

    fn source(&mut self, source: &Source, status: u16) {
        self.address(source.address);
        self.pair(source.service, status.into());
        self.wide(u128::from_be_bytes(source.run));
        self.pair(source.pid, source.uid);
        self.wide(u128::from_be_bytes(source.process));
    }

    fn pick(&mut self, pick: Option<&Pick>) {
        let nowhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        self.address(pick.map_or(nowhere, |pick| pick.address));
        let Some(pick) = pick else {
            self.at += 3;
            return;
        };
        let choice = PICKED + u8::from(pick.reused) * REUSED;
        self.pair(pick.service, pick.subset);
        self.pair(pick.endpoint, u32::from(pick.ready) << 16 | u32::from(pick.of));
        self.small([choice, pick.reason as u8, 0, 0, 0]);
    }

    fn steps(&mut self, steps: &Steps) {
        let Steps { capture, head, route, balance, connect, app, response } = *steps;
        for time in [capture, head, route, balance, connect, app, response] {
            self.word(time);
        }
    }
}

struct Reader<'a>(std::slice::Iter<'a, u64>);

impl Reader<'_> {
    fn word(&mut self) -> u64 {
        self.0.next().copied().unwrap_or_default()
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.word()) << 64 | u128::from(self.word())
    }

    fn pair(&mut self) -> (u32, u32) {
        let word = self.word();
        ((word >> 32) as u32, word as u32)
    }

    fn quarters(&mut self) -> [u16; 4] {
        let word = self.word();
        [(word >> 48) as u16, (word >> 32) as u16, (word >> 16) as u16, word as u16]
    }

    fn small(&mut self) -> [u8; 5] {
        let [a, b, c, d, e, ..] = self.word().to_be_bytes();
        [a, b, c, d, e]
    }

    fn address(&mut self) -> SocketAddr {
        let ip = Ipv6Addr::from_bits(self.wide());
        let (port, is_v4) = self.pair();
        let ip = if is_v4 == 1 { ip.to_canonical() } else { IpAddr::V6(ip) };
        SocketAddr::new(ip, port as u16)
    }

    fn source(&mut self) -> (Source, u16) {
        let address = self.address();
        let (service, status) = self.pair();
        let run = self.wide().to_be_bytes();
        let (pid, uid) = self.pair();
        let process = self.wide().to_be_bytes();
        (Source { address, service, run, pid, uid, process }, status as u16)
    }

    fn pick(&mut self) -> Option<Pick> {
        let address = self.address();
        let (service, subset) = self.pair();
        let (endpoint, counts) = self.pair();
        let [choice, reason, ..] = self.small();
        let pick = Pick {
            service,
            subset,
            endpoint,
            address,
            reason: numbered(&Reason::ALL, reason, Reason::RoundRobin),
            ready: (counts >> 16) as u16,
            of: counts as u16,
            reused: choice & REUSED != 0,
        };
        (choice & PICKED != 0).then_some(pick)
    }

    fn steps(&mut self) -> Steps {
        Steps {
            capture: self.word(),
            head: self.word(),
            route: self.word(),
            balance: self.word(),
            connect: self.word(),
            app: self.word(),
            response: self.word(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Flag;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let v6 = SocketAddr::from(([0xfd6d, 1, 2, 3, 4, 5, 6, 7], 65_535));
        let v4 = SocketAddr::from(([240, 0, 0, 7], 80));
        let record = Record {
            kind: Kind::Tcp,
            protocol: Protocol::Tls,
            method: Method::Other,
            start: u64::MAX,
            trace: 1 << 127 | 5,
            span: 6,
            request_id: 7 << 64 | 8,
            source: Source {
                address: v6,
                service: 9,
                run: *b"run-7f3a\0\0\0\0\0\0\0\0",
                pid: 10,
                uid: 11,
                process: *b"sixteen-letters!",
            },
            destination: v4,
            service: 12,
            route: 13,
            rule: 14,
            rules: 15,
            pick: Some(Pick {
                service: 16,
                subset: 17,
                endpoint: 18,
                address: v4,
                reason: Reason::Retry,
                ready: 19,
                of: 20,
                reused: true,
            }),
            status: 503,
            flag: Flag::Loop,
            tries: 21,
            sent: 22,
            received: 23,
            steps: Steps {
                capture: 24,
                head: 25,
                route: 26,
                balance: 27,
                connect: 28,
                app: 29,
                response: 30,
            },
            generation: 31,
        };
        let text = Span { position: 32, host: 33, path: 34 };
        for record in [record, Record { pick: None, ..record }] {
            let (back, span) = decode(&encode(&record, text));
            assert_eq!((format!("{back:?}"), span), (format!("{record:?}"), text));
        }
    }
}
