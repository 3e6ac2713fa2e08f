//! A mesh of one service in front of given endpoints, for tests: workers that take every
//! connection for a captured one to that service.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::{Parts, Workers, bind};
use crate::capture::{Origin, Origins};
use crate::config;
use crate::config::MetricsCompat;
use crate::model::{Compat, Declared, ServiceName};
use crate::record::Rings;
use crate::state::{
    Backend, Destination, Endpoint, HttpRoute, HttpRule, Matches, Port, Published, Service,
    Snapshot, Split, Subset, Target,
};
use crate::telemetry::Telemetry;

pub(super) const VIP: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1)), 80);

/// Running workers and what they write to.
pub(super) struct Stand {
    pub(super) workers: Workers,
    pub(super) rings: Rings,
    pub(super) address: SocketAddr,
}

/// How the one service is declared.
pub(super) struct Declaration {
    pub(super) endpoints: Vec<SocketAddr>,
    pub(super) protocol: Declared,
    pub(super) compat: Compat,
    pub(super) timeout: Option<Duration>,
}

impl Declaration {
    pub(super) fn of(protocol: Declared, endpoints: &[SocketAddr]) -> Self {
        let endpoints = endpoints.to_vec();
        Self { endpoints, protocol, compat: Compat::Strict, timeout: None }
    }
}

pub(super) fn start(port: u16, declaration: &Declaration) -> Stand {
    let one = NonZeroUsize::MIN;
    let published = Arc::new(Published::of(snapshot(declaration)));
    let origin = Origin {
        destination: VIP,
        cgroup: None,
        pid: 1,
        uid: 0,
        process: *b"curl\0\0\0\0\0\0\0\0\0\0\0\0",
        connecting: Duration::ZERO,
    };
    let rings = Rings::new(1);
    let parts = Parts {
        config: settings(),
        published,
        origins: Origins::fixed(origin),
        telemetry: Telemetry::new(MetricsCompat::None),
        rings: rings.clone(),
    };
    let listeners = bind(port, one).unwrap();
    let workers = Workers::start(listeners, &parts).unwrap();
    Stand { workers, rings, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
}

fn settings() -> config::Proxy {
    let seconds = Duration::from_secs;
    config::Proxy {
        workers: NonZeroUsize::MIN,
        connect_timeout: seconds(1),
        tcp_idle: seconds(3600),
        client_idle: seconds(600),
        upstream_idle: seconds(30),
        header_timeout: seconds(10),
        body_stall: seconds(60),
        response_stall: seconds(300),
        max_connections: 100_000,
        mark: 0,
    }
}

fn snapshot(declaration: &Declaration) -> Snapshot {
    let split =
        Split { slot: 0, backends: vec![Backend { service: 0, subset: 0, port: 0, weight: 1 }] };
    let rule = HttpRule {
        route: 0,
        number: 0,
        of: 0,
        hostnames: Vec::new(),
        matches: Matches::default(),
        split: split.clone(),
        timeout: declaration.timeout,
        retries: 0,
        retry_codes: Vec::new(),
        attempt_timeout: None,
        retry_backoff: None,
    };
    let port = Port {
        port: 80,
        protocol: declaration.protocol,
        http: HttpRoute { rules: vec![rule] },
        tcp: split,
    };
    let endpoints = declaration.endpoints.iter().enumerate().map(|(at, &address)| Endpoint {
        id: u32::try_from(at).unwrap() + 2,
        service: 0,
        subset: 0,
        node: "n1".into(),
        address,
        port: 0,
        weight: 1,
        check: None,
        live: Arc::default(),
    });
    let endpoints: Vec<Endpoint> = endpoints.collect();
    let any =
        Subset { id: 0, name: String::new(), endpoints: (0..endpoints.len()).collect(), slot: 0 };
    let name = ServiceName::new("", "web");
    let service = Service {
        id: 1,
        name: name.clone(),
        vip4: Ipv4Addr::new(240, 0, 0, 1),
        vip6: Ipv6Addr::LOCALHOST,
        compat: declaration.compat,
        ports: vec![port],
        subsets: vec![any],
    };
    let destination = Destination { service: 0, port: 0, target: Target::Vip };
    Snapshot {
        revision: 1,
        generation: 1,
        services: vec![service],
        endpoints,
        destinations: HashMap::from([(VIP, destination)]),
        by_name: HashMap::from([(name, 0)]),
        ..Snapshot::default()
    }
}

#[test]
#[ignore = "a proxy to try by hand: LISTEN, BACKEND, PROTOCOL"]
fn by_hand() {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let backends: Vec<SocketAddr> =
        var("BACKEND").split(',').map(|address| address.parse().unwrap()).collect();
    let protocol = match var("PROTOCOL").as_str() {
        "tcp" => Declared::Tcp,
        "detect" => Declared::Detect,
        _ => Declared::Http,
    };
    let mut declaration = Declaration::of(protocol, &backends);
    if !var("LENIENT").is_empty() {
        declaration.compat = Compat::Lenient;
    }
    declaration.timeout = var("TIMEOUT_MS").parse().ok().map(Duration::from_millis);
    let stand = start(var("LISTEN").parse().unwrap(), &declaration);
    if !var("SHOW").is_empty() {
        let mut seen = 0;
        loop {
            std::thread::park_timeout(Duration::from_millis(200));
            let all = stand.rings.newest(1000, |_| true);
            for entry in all.iter().rev().skip(seen) {
                eprintln!(
                    "{:?} {} {}",
                    entry.record,
                    entry.host.escape_ascii(),
                    entry.path.escape_ascii()
                );
            }
            seen = all.len();
        }
    }
    std::thread::park();
}
