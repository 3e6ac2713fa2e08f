//! Questions about the endpoints of a service that several calls ask.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use mesh_proto::codes;
use mesh_proto::manifest::{
    self, Endpoint as Written, Key, Object, Protocol, ServicePort, ServiceSpec,
};

use super::error::Failure;
use crate::health::Probed;
use crate::model::{Health, Place, ServiceName};
use crate::registry::{Claim, ClaimKey};
use crate::state::{
    Declared, Draft, Endpoint, Snapshot, claimed_spec, protocol, written_at, written_at_mut,
};

/// The endpoint of `service` at `place`.
pub(super) fn at<'a>(
    snapshot: &'a Snapshot,
    service: &ServiceName,
    place: Place,
) -> Option<&'a Endpoint> {
    let index = snapshot.by_name.get(service)?;
    let mut endpoints = snapshot.endpoints.iter();
    endpoints.find(|endpoint| endpoint.service == *index && endpoint.place() == place)
}

/// The claim that is there, or the one that would say what a manifest says of this endpoint.
pub(super) fn existing_claim(draft: &Draft, key: &ClaimKey, node: &str) -> Option<Claim> {
    let declared = draft.declared();
    if let Some(held) = declared.claims.get(key) {
        return Some(held.value.clone());
    }
    let snapshot = draft.snapshot();
    let endpoint = at(snapshot, &key.service, key.place)?;
    let Object::Service(object) = &declared.service_object(&key.service)?.value else {
        return None;
    };
    let written = written_at(&object.spec, key.place.address, node)?;
    let service = snapshot.services.get(endpoint.service)?;
    let port = service.ports.get(endpoint.port)?;
    Some(Claim {
        service: key.service.clone(),
        port: port.port,
        protocol: port.protocol,
        address: key.place.address,
        subset: service.subsets.get(endpoint.subset).map(|s| s.name.clone()).unwrap_or_default(),
        weight: endpoint.weight,
        labels: written.labels.clone(),
        health: endpoint.check.clone(),
        compat: service.compat,
        owner_uid: declared.service_object(&key.service)?.origin.uid,
        bound: None,
    })
}

/// Keeps `claim` where its endpoint is declared already: in a manifest, or as this node's claim.
pub(super) fn put(draft: &mut Draft, claim: Claim, node: &str) {
    let object = draft.declared().service_object(&claim.service).map(|held| held.value.clone());
    // A manifest outlives the processes; what is bound to them stays a claim.
    if let Some(Object::Service(mut service)) = object
        && claim.bound.is_none()
        && let Some(written) = written_at_mut(&mut service.spec, claim.address, node)
    {
        let said = claimed_spec(&claim, node);
        if let Some(claimed) = said.endpoints.first() {
            *written = Written { node: written.node.clone(), ..claimed.clone() };
        }
        take_over(&mut service.spec, said);
        draft.put(Object::Service(service));
    } else {
        draft.put_claim(claim);
    }
}

/// Makes a manifest say of the service what a claim `said`.
fn take_over(spec: &mut ServiceSpec, said: ServiceSpec) {
    for port in said.ports {
        match spec.ports.iter_mut().find(|known| known.is_same(&port)) {
            Some(known) => known.protocol = port.protocol,
            None => spec.ports.push(port),
        }
    }
    if said.health.is_some() {
        spec.health = said.health;
    }
    spec.compat = said.compat;
}

/// Another service of this node that has the same address and transport.
pub(super) fn other_service_at<'a>(
    snapshot: &'a Snapshot,
    key: &ClaimKey,
    node: &str,
) -> Option<&'a ServiceName> {
    let is = |endpoint: &&Endpoint| endpoint.place() == key.place && endpoint.node == node;
    let mut here = snapshot.endpoints.iter().filter(is);
    let other = here.find_map(|endpoint| snapshot.services.get(endpoint.service))?;
    (other.name != key.service).then_some(&other.name)
}

/// An address that one of `objects` and another service both have as an endpoint: whose traffic
/// it takes could not be told.
pub(super) fn shared_address<'a>(
    objects: &'a [Object],
    all: &'a BTreeMap<Key, Object>,
    node: &'a str,
) -> Option<(SocketAddr, &'a str, &'a str)> {
    let mut owners = HashMap::new();
    for service in all.values().filter_map(as_service) {
        for place in places(service, node) {
            owners.entry(place).or_insert_with(Vec::new).push(service);
        }
    }
    objects.iter().filter_map(as_service).find_map(|service| {
        places(service, node).find_map(|place| {
            let own = &service.metadata;
            let mut owners = owners.get(&place)?.iter().map(|owner| &owner.metadata);
            let other = owners
                .find(|other| (&other.namespace, &other.name) != (&own.namespace, &own.name))?;
            Some((place.1.address, own.name.as_str(), other.name.as_str()))
        })
    })
}

fn as_service(object: &Object) -> Option<&manifest::Service> {
    match object {
        Object::Service(service) => Some(service),
        Object::HttpRoute(_) | Object::TcpRoute(_) => None,
    }
}

fn places<'a>(
    service: &'a manifest::Service,
    node: &'a str,
) -> impl Iterator<Item = (&'a str, Place)> {
    service.spec.endpoints.iter().flat_map(move |endpoint| {
        let node = endpoint.node.as_deref().unwrap_or(node);
        places_of(&service.spec, endpoint).map(move |place| (node, place))
    })
}

/// Where one endpoint of a manifest serves.
pub(super) fn places_of(spec: &ServiceSpec, endpoint: &Written) -> impl Iterator<Item = Place> {
    let address = SocketAddr::new(endpoint.address, endpoint.port);
    spec.protocols_of(endpoint).map(move |protocol| match protocol {
        Protocol::Detect | Protocol::Tcp | Protocol::Http | Protocol::Grpc => Place::tcp(address),
        Protocol::Udp => Place::udp(address),
    })
}

pub(super) fn taken(address: SocketAddr, wanted: &str, other: &str) -> Failure {
    let message = format!("{address} already serves service \"{other}\"");
    Failure::new(codes::ADDRESS_TAKEN, message)
        .why(format!(
            "it cannot also be an endpoint of \"{wanted}\": an address stands for one service"
        ))
        .fix(format!("meshctl deregister {other} --port {}", address.port()))
}

/// Whether the port of `claim` is declared elsewhere with another protocol.
pub(super) fn speaks_otherwise(declared: &Declared, claim: &Claim) -> bool {
    let port = |claim: &Claim| ServicePort { port: claim.port, protocol: protocol(claim.protocol) };
    let own = port(claim);
    let differs = |other: &ServicePort| {
        other.is_same(&own) && ![Protocol::Detect, own.protocol].contains(&other.protocol)
    };
    let claimed = declared
        .claims_of(&claim.service)
        .filter(|held| held.value.address != claim.address)
        .any(|held| differs(&port(&held.value)));
    let object = declared.service_object(&claim.service).map(|held| &held.value);
    let written = match object {
        Some(Object::Service(manifest::Service { spec, .. })) => spec.ports.as_slice(),
        Some(Object::HttpRoute(_) | Object::TcpRoute(_)) | None => &[],
    };
    claimed || written.iter().any(differs)
}

/// "healthy (200 in 2ms)"
pub(super) fn health_text(endpoint: &Endpoint, probed: Option<&Probed>) -> String {
    let health = match endpoint.live.health() {
        Health::Unchecked => return "not checked".to_owned(),
        Health::Unknown => "health not yet known",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    };
    match probed {
        Some(probed) => format!("{health} ({})", probed.text),
        None => health.to_owned(),
    }
}
