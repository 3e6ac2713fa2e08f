//! What leads out of the mesh: whether the workload may go there, and how it gets there.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::worker::{Pinned, Worker};
use crate::capture::Origin;
use crate::model::{
    Allowed, AllowedHost, Compat, Declared, Egress, Forward, InboundPolicy, Place, ServiceName,
    contains,
};
use crate::state::{
    Destination, Endpoint, EndpointLive, HttpRoute, Interner, Port, Service, Snapshot, Split,
    Subset, Target,
};

/// Why the workload may go there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// By its address, or because it may go anywhere.
    Address,
    /// By a name it was told the address for: where HTTP is spoken, its host must be on the list.
    Names(Arc<[Allowed]>),
}

/// Whether the caller may go to `origin.destination`, which is no part of the mesh.
pub(super) fn permit(worker: &Worker, snapshot: &Snapshot, origin: &Origin) -> Option<Permit> {
    let key = origin.workload?;
    let workload = snapshot.workloads.get(&key)?;
    match &workload.egress {
        Egress::Any => Some(Permit::Address),
        Egress::Mesh => None,
        Egress::List(list) => {
            let to = origin.destination;
            let told = |suits: &dyn Fn(&str) -> bool| worker.names.any(key, to.ip(), suits);
            judge(list, to, told)
        }
    }
}

/// `told` says whether the workload knows the address by a name that suits.
fn judge(
    list: &Arc<[Allowed]>,
    to: SocketAddr,
    told: impl Fn(&dyn Fn(&str) -> bool) -> bool,
) -> Option<Permit> {
    let port = |allowed: &&Allowed| allowed.port.is_none_or(|port| port == to.port());
    let by_address = |allowed: &Allowed| match &allowed.host {
        AllowedHost::Net { base, prefix } => contains(*base, *prefix, to.ip().to_canonical()),
        AllowedHost::Name(_) => false,
    };
    if list.iter().filter(port).any(by_address) {
        return Some(Permit::Address);
    }
    told(&|name| allows(list, name, to.port())).then(|| Permit::Names(Arc::clone(list)))
}

/// Whether the list has the host of an HTTP request, as sent.
pub(super) fn allows_host(list: &[Allowed], host: &[u8], port: u16) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let bare = bare.trim_end_matches('.').to_ascii_lowercase();
    allows(list, &bare, port)
}

/// `name` in lower case, without a final dot.
fn allows(list: &[Allowed], name: &str, port: u16) -> bool {
    list.iter().filter(|allowed| allowed.port.is_none_or(|wanted| wanted == port)).any(|allowed| {
        match &allowed.host {
            AllowedHost::Name(pattern) => match pattern.strip_prefix('*') {
                Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
                None => name == pattern,
            },
            AllowedHost::Net { base, prefix } => {
                name.parse().is_ok_and(|ip: IpAddr| contains(*base, *prefix, ip.to_canonical()))
            }
        }
    })
}

thread_local! {
    /// Of every endpoint outside: gone, so that no connection to one is ever kept for another.
    static LIVE: OnceCell<Arc<EndpointLive>> = const { OnceCell::new() };
}

/// A mesh of nothing but `place`, for everything that carries to look at.
pub(super) fn alone(place: Place, generation: u64) -> (Pinned, Destination) {
    let destination = Destination { service: 0, port: 0, target: Target::Endpoint(0) };
    let live = LIVE.with(|live| {
        let live = live.get_or_init(Arc::<EndpointLive>::default);
        live.gone.store(true, Relaxed);
        Arc::clone(live)
    });
    let endpoint = Endpoint {
        id: Interner::NONE,
        service: 0,
        subset: 0,
        node: String::new(),
        address: place.address,
        transport: place.transport,
        port: 0,
        weight: 1,
        check: None,
        live,
    };
    let port = Port {
        port: place.address.port(),
        protocol: Declared::Detect,
        http: HttpRoute::default(),
        tcp: Split::default(),
    };
    let subset = Subset { id: Interner::NONE, name: String::new(), endpoints: vec![0], slot: 0 };
    let service = Service {
        id: Interner::NONE,
        name: ServiceName::new("", ""),
        vip4: Ipv4Addr::UNSPECIFIED,
        vip6: Ipv6Addr::UNSPECIFIED,
        compat: Compat::Lenient,
        forward: Forward::Proxy,
        inbound: InboundPolicy::default(),
        bypassed: false,
        ports: vec![port],
        subsets: vec![subset],
    };
    let snapshot = Snapshot {
        generation,
        services: vec![service],
        endpoints: vec![endpoint],
        destinations: HashMap::from([(place, destination)]),
        ..Snapshot::default()
    };
    (Rc::new(Arc::new(snapshot)), destination)
}

#[cfg(test)]
mod tests {
    use super::*;

    //
    #[test]
    fn a_list_allows_addresses_and_names_the_workload_was_told_them_for() {
        let name = |text: &str, port| Allowed { host: AllowedHost::Name(text.to_owned()), port };
        let net = AllowedHost::Net { base: "10.0.0.0".parse().unwrap(), prefix: 8 };
        let list: Arc<[Allowed]> = [
            name("*.github.com", None),
            name("db.example", Some(5432)),
            Allowed { host: net, port: None },
        ]
        .into();
        let verdict = |to: &str, told: &str| {
            let permit = judge(&list, to.parse().unwrap(), |suits| suits(told));
            permit.map(|permit| permit == Permit::Address)
        };
        assert_eq!(verdict("10.1.2.3:9", ""), Some(true));
        assert_eq!(verdict("11.1.2.3:9", ""), None);
        assert_eq!(verdict("192.0.2.1:443", "api.github.com"), Some(false));
        assert_eq!(verdict("192.0.2.1:443", "github.com"), None, "the suffix alone");
        assert_eq!(verdict("192.0.2.1:443", "evilgithub.com"), None);
        assert_eq!(verdict("192.0.2.1:5432", "db.example"), Some(false));
        assert_eq!(verdict("192.0.2.1:5433", "db.example"), None);
        assert!(allows_host(&list, b"API.GitHub.com:80", 80));
        assert!(!allows_host(&list, b"evil.example", 80));
        assert!(allows_host(&list, b"10.9.9.9", 80));
    }
}
