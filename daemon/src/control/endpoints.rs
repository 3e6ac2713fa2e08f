//! Questions about the endpoints of a service that several calls ask.

use std::net::SocketAddr;

use mesh_proto::manifest::{self, Object, Protocol};

use crate::health::Probed;
use crate::model::{Health, ServiceName};
use crate::registry::{Claim, ClaimKey};
use crate::state::{Declared, Draft, Endpoint, Snapshot, protocol};

/// The endpoint of `service` at `address`.
pub(super) fn at<'a>(
    snapshot: &'a Snapshot,
    service: &ServiceName,
    address: SocketAddr,
) -> Option<&'a Endpoint> {
    let index = snapshot.by_name.get(service)?;
    let mut endpoints = snapshot.endpoints.iter();
    endpoints.find(|endpoint| endpoint.service == *index && endpoint.address == address)
}

/// The claim that is there, or the one that would say what a manifest says of this endpoint.
pub(super) fn existing_claim(draft: &Draft, key: &ClaimKey, node: &str) -> Option<Claim> {
    let declared = draft.declared();
    if let Some(held) = declared.claims.get(key) {
        return Some(held.value.clone());
    }
    let snapshot = draft.snapshot();
    let endpoint = at(snapshot, &key.service, key.address)?;
    let Object::Service(object) = &declared.service_object(&key.service)?.value else {
        return None;
    };
    let written = object.spec.endpoints.iter().find(|written| {
        SocketAddr::new(written.address, written.port) == key.address
            && written.node.as_deref().is_none_or(|named| named == node)
    })?;
    let service = snapshot.services.get(endpoint.service)?;
    let port = service.ports.get(endpoint.port)?;
    Some(Claim {
        service: key.service.clone(),
        port: port.port,
        protocol: port.protocol,
        address: key.address,
        subset: service.subsets.get(endpoint.subset).map(|s| s.name.clone()).unwrap_or_default(),
        weight: endpoint.weight,
        labels: written.labels.clone(),
        health: endpoint.check.clone(),
        compat: service.compat,
        owner_uid: declared.service_object(&key.service)?.origin.uid,
    })
}

/// Another service of this node that has the same address.
pub(super) fn other_service_at<'a>(
    snapshot: &'a Snapshot,
    key: &ClaimKey,
    node: &str,
) -> Option<&'a ServiceName> {
    let mut here = snapshot
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.address == key.address && endpoint.node == node);
    let other = here.find_map(|endpoint| snapshot.services.get(endpoint.service))?;
    (other.name != key.service).then_some(&other.name)
}

/// Whether the port of `claim` is declared elsewhere with another protocol.
pub(super) fn speaks_otherwise(declared: &Declared, claim: &Claim) -> bool {
    let own = protocol(claim.protocol);
    let differs = |port: u16, speaks: Protocol| {
        port == claim.port && ![Protocol::Detect, own].contains(&speaks)
    };
    let claimed = declared
        .claims_of(&claim.service)
        .filter(|held| held.value.address != claim.address)
        .any(|held| differs(held.value.port, protocol(held.value.protocol)));
    let object = declared.service_object(&claim.service).map(|held| &held.value);
    let written = match object {
        Some(Object::Service(manifest::Service { spec, .. })) => spec.ports.as_slice(),
        Some(Object::HttpRoute(_) | Object::TcpRoute(_)) | None => &[],
    };
    claimed || written.iter().any(|port| differs(port.port, port.protocol))
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
