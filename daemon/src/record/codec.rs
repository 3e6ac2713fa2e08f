//! A [`Record`] as a fixed number of 64-bit words, so that a ring can hold it in atomics.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Flag, Kind, Method, Pick, Protocol, Reason, Record, Source, Steps};

/// Words of one encoded record; 280 bytes.
pub(super) const WORDS: usize = 35;

/// Where a record's host and path lie in the ring's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// In words since the ring was made.
    pub(super) position: u64,
    /// Bytes; the path follows the host directly.
    pub(super) host: u16,
    pub(super) path: u16,
}

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
const PICKED: u8 = 1;
const REUSED: u8 = 2;

pub(super) fn encode(record: &Record, text: Span) -> [u64; WORDS] {
    let (source, steps) = (&record.source, &record.steps);
    let pick = record.pick.unwrap_or(Pick::NONE);
    let choice = u8::from(record.pick.is_some()) * PICKED + u8::from(pick.reused) * REUSED;
    let [client_hi, client_lo] = ip(source.address);
    let [wanted_hi, wanted_lo] = ip(record.destination);
    let [chosen_hi, chosen_lo] = ip(pick.address);
    let v4 = u8::from(source.address.is_ipv4())
        + u8::from(record.destination.is_ipv4()) * 2
        + u8::from(pick.address.is_ipv4()) * 4;
    let [process_hi, process_lo] = halves(u128::from_be_bytes(source.process));
    let [run_hi, run_lo] = halves(u128::from_be_bytes(source.run));
    let [trace_hi, trace_lo] = halves(record.trace);
    let [request_hi, request_lo] = halves(record.request_id);
    let small = [
        record.kind as u8,
        record.protocol as u8,
        record.method as u8,
        record.flag as u8,
        pick.reason as u8,
        record.tries,
        choice,
        v4,
    ];
    let ports = [source.address.port(), record.destination.port(), pick.address.port()];
    [
        record.start,
        trace_hi,
        trace_lo,
        record.span,
        request_hi,
        request_lo,
        u64::from_be_bytes(small),
        client_hi,
        client_lo,
        wanted_hi,
        wanted_lo,
        chosen_hi,
        chosen_lo,
        quarters([ports[0], ports[1], ports[2], record.status]),
        pair(source.service, record.service),
        pair(source.pid, source.uid),
        run_hi,
        run_lo,
        process_hi,
        process_lo,
        pair(record.route, pick.service),
        quarters([record.rule, record.rules, pick.ready, pick.of]),
        pair(pick.subset, pick.endpoint),
        quarters([text.host, text.path, 0, 0]),
        record.sent,
        record.received,
        steps.capture,
        steps.head,
        steps.route,
        steps.balance,
        steps.connect,
        steps.app,
        steps.response,
        record.generation,
        text.position,
    ]
}

pub(super) fn decode(words: &[u64; WORDS]) -> (Record, Span) {
    let [
        start,
        trace_hi,
        trace_lo,
        span,
        request_hi,
        request_lo,
        small,
        client_hi,
        client_lo,
        wanted_hi,
        wanted_lo,
        chosen_hi,
        chosen_lo,
        ports,
        services,
        process_ids,
        run_hi,
        run_lo,
        process_hi,
        process_lo,
        route_pick,
        counts,
        chosen,
        lengths,
        sent,
        received,
        capture,
        head,
        route_time,
        balance,
        connect,
        app,
        response,
        generation,
        position,
    ] = *words;
    let [kind, protocol, method, flag, reason, tries, choice, v4] = small.to_be_bytes();
    let [client_port, wanted_port, chosen_port, status] = split_quarters(ports);
    let [rule, rules, ready, of] = split_quarters(counts);
    let [host, path, _, _] = split_quarters(lengths);
    let (source_service, service) = split(services);
    let (pid, uid) = split(process_ids);
    let (route, pick_service) = split(route_pick);
    let (subset, endpoint) = split(chosen);
    let source = Source {
        address: address([client_hi, client_lo], client_port, v4 & 1 != 0),
        service: source_service,
        run: join([run_hi, run_lo]).to_be_bytes(),
        pid,
        uid,
        process: join([process_hi, process_lo]).to_be_bytes(),
    };
    let pick = Pick {
        service: pick_service,
        subset,
        endpoint,
        address: address([chosen_hi, chosen_lo], chosen_port, v4 & 4 != 0),
        reason: numbered(&Reason::ALL, reason, Reason::RoundRobin),
        ready,
        of,
        reused: choice & REUSED != 0,
    };
    let record = Record {
        kind: numbered(&Kind::ALL, kind, Kind::Tcp),
        protocol: numbered(&Protocol::ALL, protocol, Protocol::Tcp),
        method: numbered(&Method::ALL, method, Method::None),
        start,
        trace: join([trace_hi, trace_lo]),
        span,
        request_id: join([request_hi, request_lo]),
        source,
        destination: address([wanted_hi, wanted_lo], wanted_port, v4 & 2 != 0),
        service,
        route,
        rule,
        rules,
        pick: (choice & PICKED != 0).then_some(pick),
        status,
        flag: numbered(&Flag::ALL, flag, Flag::None),
        tries,
        sent,
        received,
        steps: Steps { capture, head, route: route_time, balance, connect, app, response },
        generation,
    };
    (record, Span { position, host, path })
}

impl Pick {
    const NONE: Self = Self {
        service: 0,
        subset: 0,
        endpoint: 0,
        address: NOWHERE,
        reason: Reason::RoundRobin,
        ready: 0,
        of: 0,
        reused: false,
    };
}

/// The enum's value with this number; `other` cannot happen for words we encoded.
fn numbered<T: Copy>(all: &[T], number: u8, other: T) -> T {
    all.get(usize::from(number)).copied().unwrap_or(other)
}

/// Always as IPv6; a bit beside it says whether it was IPv4.
fn ip(address: SocketAddr) -> [u64; 2] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    halves(ip.to_bits())
}

fn address(ip: [u64; 2], port: u16, is_v4: bool) -> SocketAddr {
    let ip = Ipv6Addr::from_bits(join(ip));
    let ip = if is_v4 { ip.to_canonical() } else { IpAddr::V6(ip) };
    SocketAddr::new(ip, port)
}

const fn halves(value: u128) -> [u64; 2] {
    [(value >> 64) as u64, value as u64]
}

const fn join([hi, lo]: [u64; 2]) -> u128 {
    (hi as u128) << 64 | lo as u128
}

const fn pair(hi: u32, lo: u32) -> u64 {
    (hi as u64) << 32 | lo as u64
}

const fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

const fn quarters([a, b, c, d]: [u16; 4]) -> u64 {
    (a as u64) << 48 | (b as u64) << 32 | (c as u64) << 16 | d as u64
}

const fn split_quarters(word: u64) -> [u16; 4] {
    [(word >> 48) as u16, (word >> 32) as u16, (word >> 16) as u16, word as u16]
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
