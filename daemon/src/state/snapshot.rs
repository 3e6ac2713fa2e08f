//! The immutable value the data plane reads: services, routes, endpoints, workloads, as indices
//! into flat arrays.
//!
//! A worker loads it once per request ([`super::Published`]); nothing in it changes but the live
//! counters behind [`EndpointLive`], which outlive it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use crate::model::{
    Compat, Declared, Forward, Health, HealthCheck, InboundPolicy, Place, ServiceName, Transport,
    Workload,
};

/// Everything a decision needs, at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Grows with every publish; what workers acknowledge.
    pub(crate) revision: u64,
    /// Head of the intent log this was compiled from; what people see as "generation".
    pub(crate) generation: u64,
    /// Plain text between services is refused where a service does not say otherwise.
    pub(crate) strict: bool,
    /// Everything goes direct; every service is [`Service::bypassed`] then.
    pub(crate) bypassed: bool,
    /// Sorted by name; service indices point here. One that routes name but nobody declared is
    /// here too, without ports, address and endpoints, and not in `by_name`.
    pub(crate) services: Vec<Service>,
    /// Every endpoint of every service; `Subset::endpoints` and `Destination` point here.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Above every slot given out so far ([`Split::slot`], [`Subset::slot`]).
    pub(crate) slots: u32,
    /// Captured addresses: VIP ports, and the real addresses of endpoints that are reached from
    /// this node.
    pub(crate) destinations: HashMap<Place, Destination>,
    /// Ports of this node whose incoming traffic passes the mesh.
    pub(crate) inbound: HashMap<(Transport, u16), Inbound>,
    pub(crate) by_name: HashMap<ServiceName, usize>,
    /// Endpoints with a name of their own, by service index and number: `0.web.mesh`.
    pub(crate) instances: HashMap<(usize, u32), Instance>,
    /// Other network namespaces in which meshd listens, by cookie: what processes there show as
    /// their source.
    pub(crate) gates: BTreeMap<u64, (std::net::Ipv4Addr, std::net::Ipv6Addr)>,
    /// By key: a cgroup's inode, else a number with the top bit set.
    pub(crate) workloads: Arc<HashMap<u64, Arc<Workload>>>,
}

/// What a captured address stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// Index into `services`.
    pub(crate) service: usize,
    /// Index into that service's `ports`.
    pub(crate) port: usize,
    pub(crate) target: Target,
}

/// One endpoint under its own name and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    /// Index into `Snapshot::endpoints`.
    pub(crate) endpoint: usize,
    pub(crate) vip4: std::net::Ipv4Addr,
    pub(crate) vip6: std::net::Ipv6Addr,
}

/// What comes in at a port of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inbound {
    /// Index into `Snapshot::endpoints`: who serves the port.
    pub(crate) endpoint: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The service's virtual address: routed and balanced.
    Vip,
    /// An endpoint's own address keeps that endpoint (index into `Snapshot::endpoints`).
    Endpoint(usize),
}

#[derive(Debug)]
pub(crate) struct Service {
    /// Interned id of the display name.
    pub(crate) id: u32,
    pub(crate) name: ServiceName,
    pub(crate) vip4: std::net::Ipv4Addr,
    pub(crate) vip6: std::net::Ipv6Addr,
    pub(crate) compat: Compat,
    pub(crate) forward: Forward,
    pub(crate) inbound: InboundPolicy,
    /// Its traffic goes direct, as far as capture can let it.
    pub(crate) bypassed: bool,
    pub(crate) ports: Vec<Port>,
    /// Index 0 is "any subset"; then one per subset, sorted by name.
    pub(crate) subsets: Vec<Subset>,
}

#[derive(Debug)]
pub(crate) struct Port {
    /// The service port, as in `web.mesh:80`.
    pub(crate) port: u16,
    pub(crate) protocol: Declared,
    /// Rules in matching order. Without a route, the built-in one that takes everything; with
    /// one, what no rule takes is answered 404.
    pub(crate) http: HttpRoute,
    /// Where connections go that are not HTTP: the TCP route's split, else that of the HTTP rule
    /// without conditions, else any endpoint.
    pub(crate) tcp: Split,
}

impl Port {
    /// One number may be two ports: of connections and of datagrams.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.port, self.protocol.transport()) == (other.port, other.protocol.transport())
    }
}

#[derive(Debug)]
pub(crate) struct Subset {
    /// Interned id of the subset's name; the id of `-` for "any".
    pub(crate) id: u32,
    /// Empty for "any subset".
    pub(crate) name: String,
    /// Indices into `Snapshot::endpoints`, of all the service's ports. An endpoint may be in
    /// several subsets when labels choose them, and is in none when it cannot be reached from
    /// this node (another node's loopback address).
    pub(crate) endpoints: Vec<usize>,
    /// Where a worker keeps this subset's balancing state: stable across snapshots.
    pub(crate) slot: u32,
}

#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Interned id of `service/address`; stable across snapshots, the slot of pools and metrics.
    pub(crate) id: u32,
    pub(crate) service: usize,
    /// The subset it counts for; index into `Service::subsets`.
    pub(crate) subset: usize,
    pub(crate) node: String,
    /// Where it really listens.
    pub(crate) address: SocketAddr,
    pub(crate) transport: Transport,
    /// Index into `Service::ports`.
    pub(crate) port: usize,
    pub(crate) weight: u32,
    pub(crate) check: Option<HealthCheck>,
    pub(crate) live: Arc<EndpointLive>,
}

impl Endpoint {
    pub(crate) fn place(&self) -> Place {
        Place { transport: self.transport, address: self.address }
    }

    /// The same port of the same host, of the other transport.
    pub(crate) fn is_twin_of(&self, other: &Self) -> bool {
        (self.service, &self.node, self.address) == (other.service, &other.node, other.address)
    }
}

/// What changes about an endpoint without a new snapshot; shared by every snapshot that has it.
#[derive(Debug, Default)]
pub(crate) struct EndpointLive {
    health: AtomicU8,
    /// Connections and requests being carried to it, over all workers.
    pub(crate) in_flight: AtomicU32,
    /// Set once it left the snapshot: pools drop its idle connections.
    pub(crate) gone: std::sync::atomic::AtomicBool,
    /// What comes to its port is taken to meshd: meshd itself reaches it from an address of its
    /// own, which passes.
    pub(crate) intercepted: std::sync::atomic::AtomicBool,
}

impl EndpointLive {
    pub(crate) fn health(&self) -> Health {
        match self.health.load(Relaxed) {
            0 => Health::Unchecked,
            1 => Health::Unknown,
            2 => Health::Healthy,
            _ => Health::Unhealthy,
        }
    }

    pub(crate) fn set_health(&self, health: Health) {
        self.health.store(health as u8, Relaxed);
    }

    /// May get traffic: not probed to be down, and not still waiting for its first probe.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.health(), Health::Unchecked | Health::Healthy)
    }
}

/// Rules of one service port, in matching order.
#[derive(Debug, Default)]
pub(crate) struct HttpRoute {
    pub(crate) rules: Vec<HttpRule>,
}

#[derive(Clone, Debug)]
pub(crate) struct HttpRule {
    /// Interned id of the route's name ("route/web"); the id of `-` for the built-in default.
    pub(crate) route: u32,
    /// 1-based number in the route's manifest; 0 for the built-in default.
    pub(crate) number: u16,
    /// How many rules that manifest has.
    pub(crate) of: u16,
    /// Lower-case host patterns, exact or `*.suffix`; empty for any. The compiler makes one rule
    /// per host and match, since each has its own rank.
    pub(crate) hostnames: Vec<String>,
    pub(crate) matches: Matches,
    pub(crate) split: Split,
    /// Whole request, first byte in to last byte out; 504 when reached.
    pub(crate) timeout: Option<Duration>,
    /// One attempt of it.
    pub(crate) attempt_timeout: Option<Duration>,
    /// Attempts beyond the first, and the status codes that deserve one.
    pub(crate) retries: u32,
    pub(crate) retry_codes: Vec<u16>,
    /// Mean pause before the first retry, full jitter; `None` for the data plane's own.
    pub(crate) retry_backoff: Option<Duration>,
}

/// All of these must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matches {
    pub(crate) path: Option<PathMatch>,
    pub(crate) method: Option<String>,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, StrMatch)>,
    pub(crate) query: Vec<(String, StrMatch)>,
}

#[derive(Clone, Debug)]
pub(crate) enum PathMatch {
    Exact(String),
    /// Whole segments: `/api` matches `/api` and `/api/7`, not `/apis`. Kept without a final `/`.
    Prefix(String),
    Regex(regex::bytes::Regex),
}

#[derive(Clone, Debug)]
pub(crate) enum StrMatch {
    Exact(String),
    Regex(regex::bytes::Regex),
}

/// Weighted choice between backends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Split {
    /// Where a worker keeps this split's balancing state: stable across snapshots.
    pub(crate) slot: u32,
    pub(crate) backends: Vec<Backend>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    /// Index into `Snapshot::services`.
    pub(crate) service: usize,
    /// Index into that service's `subsets`; 0 = any.
    pub(crate) subset: usize,
    /// Index into that service's `ports`: only endpoints of this port take part.
    pub(crate) port: usize,
    pub(crate) weight: u32,
}
