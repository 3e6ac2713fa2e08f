//! A mesh of one service in front of given endpoints, for tests: workers that take every
//! connection for a captured one to that service.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::{Doors, Parts, Workers};
use crate::capture::egress::Names;
use crate::capture::{Origin, Origins};
use crate::config;
use crate::config::MetricsCompat;
use crate::model::{Compat, Declared, Forward, InboundPolicy, Place, ServiceName};
use crate::record::{Record, Rings};
use crate::state::{
    Backend, Destination, Endpoint, HttpRoute, HttpRule, Matches, Port, Published, Service,
    Snapshot, Split, Subset, Target,
};
use crate::telemetry::Telemetry;

pub(super) const VIP: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1)), 80);

/// A request for this target panics, in tests only.
pub(super) const PANIC: &[u8] = b"/panic-in-a-test";

/// Running workers and what they write to.
pub(super) struct Stand {
    pub(super) workers: Workers,
    pub(super) rings: Rings,
    pub(super) address: SocketAddr,
    pub(super) published: Arc<Published>,
    pub(super) telemetry: Telemetry,
}

/// How the one service is declared.
pub(super) struct Declaration {
    pub(super) endpoints: Vec<SocketAddr>,
    pub(super) protocol: Declared,
    pub(super) compat: Compat,
    pub(super) timeout: Option<Duration>,
    pub(super) max_sessions: usize,
}

impl Declaration {
    pub(super) fn of(protocol: Declared, endpoints: &[SocketAddr]) -> Self {
        let endpoints = endpoints.to_vec();
        let (compat, max_sessions) = (Compat::Strict, 1_000);
        Self { endpoints, protocol, compat, timeout: None, max_sessions }
    }
}

pub(super) fn start(declaration: &Declaration) -> Stand {
    let port = free_port();
    let published = Arc::new(Published::of(snapshot(declaration)));
    let origin = Origin {
        destination: VIP,
        workload: None,
        pid: 1,
        uid: 0,
        process: *b"curl\0\0\0\0\0\0\0\0\0\0\0\0",
        connecting: Duration::ZERO,
    };
    let rings = Rings::new(1);
    let telemetry = Telemetry::new(MetricsCompat::None);
    let parts = Parts {
        config: config::Proxy { max_sessions: declaration.max_sessions, ..settings() },
        published: Arc::clone(&published),
        origins: Origins::fixed(origin),
        telemetry: telemetry.clone(),
        rings: rings.clone(),
        names: Names::default(),
    };
    let workers = Workers::start(vec![Doors::at(port)], &parts).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Stand { workers, rings, address, published, telemetry }
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
        udp_idle: seconds(60),
        max_sessions: 65_536,
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
        transport: declaration.protocol.transport(),
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
        forward: Forward::Proxy,
        inbound: InboundPolicy::default(),
        bypassed: false,
        ports: vec![port],
        subsets: vec![any],
    };
    let destination = Destination { service: 0, port: 0, target: Target::Vip };
    let place = Place { transport: declaration.protocol.transport(), address: VIP };
    Snapshot {
        revision: 1,
        generation: 1,
        services: vec![service],
        endpoints,
        destinations: HashMap::from([(place, destination)]),
        by_name: HashMap::from([(name, 0)]),
        ..Snapshot::default()
    }
}

/// A port nobody listens on.
pub(super) fn free_port() -> u16 {
    let probe = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    probe.local_addr().unwrap().port()
}

/// Serves every connection with `serve` on a thread of its own, and says where.
pub(super) fn backend(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// Answers every request head with `answer`, until the other side closes.
pub(super) fn answering(answer: &'static [u8]) -> SocketAddr {
    backend(move |mut stream| {
        let mut buffer = [0; 16 * 1024];
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
            stream.write_all(answer).unwrap();
        }
    })
}

impl Stand {
    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Everything that comes back for `sent` until the proxy closes.
    pub(super) fn ask(&self, sent: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(sent).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The records so far, oldest first, once there are `count`.
    pub(super) fn records(&self, count: usize) -> Vec<Record> {
        loop {
            let entries = self.rings.newest(1_000_000, |_| true);
            if entries.len() >= count {
                assert_eq!(entries.len(), count, "more records than requests");
                return entries.iter().rev().map(|entry| entry.record).collect();
            }
            std::thread::yield_now();
        }
    }
}

/// Counts what worker threads allocate.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread's allocations count.
pub(super) fn count_this_thread() {
    COUNTED.set(true);
}

pub(super) fn allocations() -> u64 {
    ALLOCATIONS.load(Relaxed)
}

// SAFETY: every call is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTED.get() {
            ALLOCATIONS.fetch_add(1, Relaxed);
        }
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}
