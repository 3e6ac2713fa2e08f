//! A small mesh and its records, for the tests of this module.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::model::{Compat, Forward, InboundPolicy, ServiceName, Transport};
use crate::record::{Flag, Kind, Method, Pick, Protocol, Reason, Record, Source, Steps};
use crate::state::{Endpoint, Interner, Service, Snapshot, Subset};

/// Service `web` with subset `v1` and one endpoint, 127.0.0.1:8080.
pub(crate) fn snapshot(names: &Interner) -> Snapshot {
    let subset =
        |id, name: &str, slot| Subset { id, name: name.to_owned(), endpoints: vec![0], slot };
    let web = Service {
        id: names.id("web"),
        name: ServiceName::new("", "web"),
        vip4: Ipv4Addr::new(240, 0, 0, 7),
        vip6: Ipv6Addr::LOCALHOST,
        compat: Compat::Strict,
        forward: Forward::Proxy,
        inbound: InboundPolicy::default(),
        bypassed: false,
        ports: Vec::new(),
        subsets: vec![subset(0, "", 0), subset(names.id("v1"), "v1", 1)],
    };
    let endpoint = Endpoint {
        id: names.id("web/127.0.0.1:8080"),
        service: 0,
        subset: 1,
        node: "n1".to_owned(),
        address: SocketAddr::from(([127, 0, 0, 1], 8080)),
        transport: Transport::Tcp,
        port: 0,
        weight: 1,
        check: None,
        live: Arc::default(),
    };
    Snapshot {
        services: vec![web],
        endpoints: vec![endpoint],
        by_name: [(ServiceName::new("", "web"), 0)].into(),
        ..Snapshot::default()
    }
}

/// A GET that took `nanos` in all, most of them in the application.
pub(crate) fn answered(status: u16, nanos: u64) -> Record {
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Record {
        kind: Kind::Http,
        protocol: Protocol::Http11,
        method: Method::Get,
        start: 1_709_210_096_789_000_000,
        trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        span: 7,
        request_id: 0,
        source: Source {
            address: local(40_000),
            service: 0,
            run: [0; 16],
            pid: 5120,
            uid: 1000,
            process: *b"curl\0\0\0\0\0\0\0\0\0\0\0\0",
        },
        destination: SocketAddr::from(([240, 0, 0, 7], 80)),
        service: 0,
        route: 0,
        rule: 0,
        rules: 0,
        pick: Some(Pick {
            service: 0,
            subset: 0,
            endpoint: 0,
            address: local(8080),
            reason: Reason::RoundRobin,
            ready: 1,
            of: 2,
            reused: true,
        }),
        status,
        flag: Flag::None,
        tries: 1,
        sent: 1245,
        received: 12,
        steps: Steps { app: nanos, ..Steps::default() },
        generation: 3,
    }
}
