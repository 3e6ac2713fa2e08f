//! Brings together what is said about each service: manifests, this node's claims, and routes
//! that name it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use mesh_proto::manifest::{self, BackendRef, Object, ParentRef, SubsetSelector};

use super::Inputs;
use crate::model::{
    Compat, Declared, Forward, Health, HealthCheck, InboundPolicy, Probe, ServiceName, Transport,
};
use crate::registry::Claim;

/// One service as declared, before it has numbers.
#[derive(Debug)]
pub(super) struct Gathered<'a> {
    pub(super) name: ServiceName,
    /// By a manifest or a claim; `false` when only a route names it.
    pub(super) declared: bool,
    pub(super) compat: Compat,
    pub(super) forward: Forward,
    pub(super) inbound: InboundPolicy,
    /// Sorted by number and transport.
    pub(super) ports: BTreeMap<Port, Declared>,
    /// For endpoints that do not bring their own.
    pub(super) check: Option<HealthCheck>,
    pub(super) selectors: &'a [SubsetSelector],
    /// Every subset an endpoint, a selector or a route names.
    pub(super) subsets: BTreeSet<&'a str>,
    /// Sorted by node and place, each pair once.
    pub(super) endpoints: Vec<Offer<'a>>,
}

/// A port of a service: one number may be two, of connections and of datagrams.
pub(super) type Port = (u16, Transport);

/// One endpoint as declared, with one of its transports.
#[derive(Clone, Debug)]
pub(super) struct Offer<'a> {
    pub(super) node: &'a str,
    pub(super) address: SocketAddr,
    /// The service port it serves.
    pub(super) port: Port,
    pub(super) subset: &'a str,
    pub(super) weight: u32,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) check: Option<HealthCheck>,
}

impl Offer<'_> {
    /// Where it is: what tells endpoints of a service apart.
    pub(super) fn key(&self) -> (&str, SocketAddr, Transport) {
        (self.node, self.address, self.port.1)
    }
}

/// All services, sorted by name.
pub(super) fn gather<'a>(inputs: &Inputs<'a>) -> Vec<Gathered<'a>> {
    let mut all = All(BTreeMap::new());
    for object in &inputs.objects {
        match object {
            Object::Service(service) => all.declare(inputs.node, service),
            Object::HttpRoute(route) if takes_effect(&route.spec.parent_refs) => {
                for rule in &route.spec.rules {
                    all.refer(&route.metadata.namespace, &rule.backend_refs);
                }
            }
            Object::TcpRoute(route) if takes_effect(&route.spec.parent_refs) => {
                for rule in &route.spec.rules {
                    all.refer(&route.metadata.namespace, &rule.backend_refs);
                }
            }
            Object::HttpRoute(_) | Object::TcpRoute(_) => {}
        }
    }
    for claim in &inputs.claims {
        all.claim(inputs.node, claim);
    }
    let mut gathered: Vec<_> = all.0.into_values().collect();
    gathered.iter_mut().for_each(Gathered::finish);
    gathered
}

fn takes_effect(parents: &[ParentRef]) -> bool {
    parents.iter().any(ParentRef::is_service)
}

struct All<'a>(BTreeMap<ServiceName, Gathered<'a>>);

impl<'a> All<'a> {
    fn entry(&mut self, name: &ServiceName) -> &mut Gathered<'a> {
        self.0.entry(name.clone()).or_insert_with(|| Gathered {
            name: name.clone(),
            declared: false,
            compat: Compat::Strict,
            forward: Forward::Proxy,
            inbound: InboundPolicy::default(),
            ports: BTreeMap::new(),
            check: None,
            selectors: &[],
            subsets: BTreeSet::new(),
            endpoints: Vec::new(),
        })
    }

    fn declare(&mut self, node: &'a str, service: &'a manifest::Service) {
        let spec = &service.spec;
        let name = ServiceName::new(&service.metadata.namespace, &service.metadata.name);
        let gathered = self.entry(&name);
        gathered.declared = true;
        gathered.compat = compat(spec.compat);
        gathered.forward = forward(spec.forward);
        gathered.inbound = InboundPolicy {
            refuse_unmeshed: spec.inbound.unmeshed.map(|said| said == manifest::Unmeshed::Refuse),
            preserve_client: spec.inbound.preserve_client,
        };
        gathered.selectors = &spec.subsets;
        for port in &spec.ports {
            let speaks = protocol(port.protocol);
            gathered.ports.insert((port.port, speaks.transport()), speaks);
        }
        gathered.check = spec.health.as_ref().map(check);
        for endpoint in &spec.endpoints {
            for speaks in spec.protocols_of(endpoint) {
                let port = (spec.port_of(endpoint), protocol(speaks).transport());
                gathered.ports.entry(port).or_default();
                gathered.endpoints.push(Offer {
                    node: endpoint.node.as_deref().unwrap_or(node),
                    address: SocketAddr::new(endpoint.address, endpoint.port),
                    port,
                    subset: endpoint.subset.as_deref().unwrap_or_default(),
                    weight: endpoint.weight,
                    labels: &endpoint.labels,
                    check: gathered.check.clone(),
                });
            }
        }
    }

    fn claim(&mut self, node: &'a str, claim: &'a Claim) {
        let gathered = self.entry(&claim.service);
        gathered.declared = true;
        if claim.compat == Compat::Lenient {
            gathered.compat = Compat::Lenient;
        }
        let port = (claim.port, claim.protocol.transport());
        let declared = gathered.ports.entry(port).or_default();
        if *declared == Declared::Detect {
            *declared = claim.protocol;
        }
        gathered.endpoints.push(Offer {
            node,
            address: claim.address,
            port,
            subset: &claim.subset,
            weight: claim.weight,
            labels: &claim.labels,
            check: claim.health.clone().or_else(|| gathered.check.clone()),
        });
    }

    fn refer(&mut self, home: &'a str, backends: &'a [BackendRef]) {
        for backend in backends.iter().filter(|backend| backend.is_service()) {
            let name = ServiceName::new(backend.namespace(home), &backend.name);
            let gathered = self.entry(&name);
            gathered.subsets.extend(backend.subset.as_deref());
        }
    }
}

impl Gathered<'_> {
    fn finish(&mut self) {
        self.endpoints.sort_by(|a, b| a.key().cmp(&b.key()));
        // The sort is stable: where a manifest and a claim both have an endpoint, the manifest's
        // comes first and stays.
        self.endpoints.dedup_by(|a, b| a.key() == b.key());
        self.subsets.extend(self.selectors.iter().map(|selector| selector.name.as_str()));
        self.subsets.extend(self.endpoints.iter().map(|offer| offer.subset));
        self.subsets.remove("");
    }
}

fn protocol(protocol: manifest::Protocol) -> Declared {
    match protocol {
        manifest::Protocol::Detect => Declared::Detect,
        manifest::Protocol::Tcp => Declared::Tcp,
        manifest::Protocol::Http => Declared::Http,
        manifest::Protocol::Grpc => Declared::Grpc,
        manifest::Protocol::Udp => Declared::Udp,
    }
}

fn forward(forward: manifest::Forward) -> Forward {
    match forward {
        manifest::Forward::Proxy => Forward::Proxy,
        manifest::Forward::Connect => Forward::Connect,
    }
}

fn compat(compat: manifest::Compat) -> Compat {
    match compat {
        manifest::Compat::Strict => Compat::Strict,
        manifest::Compat::Lenient => Compat::Lenient,
    }
}

fn check(written: &manifest::HealthCheck) -> HealthCheck {
    let default = HealthCheck::default();
    let http = |path: &String| Probe::Http { path: path.clone(), expect: written.expect.clone() };
    HealthCheck {
        probe: written.http.as_ref().map_or(Probe::Tcp, http),
        interval: written.interval.unwrap_or(default.interval),
        timeout: written.timeout.unwrap_or(default.timeout),
        unhealthy_after: written.unhealthy_after.unwrap_or(default.unhealthy_after),
        healthy_after: written.healthy_after.unwrap_or(default.healthy_after),
        initial: match written.initial {
            Some(manifest::InitialHealth::Healthy) => Health::Healthy,
            Some(manifest::InitialHealth::Unknown) | None => Health::Unknown,
        },
    }
}
