//! Objects as they take effect: a service's manifest together with this node's claims.
//!
//! Where both speak, the manifest wins; applying one takes over the claims of the endpoints it
//! names, and registering such an endpoint edits the manifest.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mesh_proto::manifest::{
    Compat, Endpoint, HealthCheck, InitialHealth, Key, Kind, Metadata, Object, Protocol, Service,
    ServicePort, ServiceSpec,
};

use super::Declared;
use crate::model::{self, Declared as Speaks, Health, Place, Probe, ServiceName};
use crate::registry::{Claim, ClaimKey};

impl Declared {
    /// The object `key` as it takes effect on `node`.
    pub(crate) fn effective(&self, key: &Key, node: &str) -> Option<Object> {
        let declared = self.objects.get(key).map(|held| &held.value);
        if key.kind != Kind::Service {
            return declared.cloned();
        }
        let name = ServiceName::new(&key.namespace, &key.name);
        let claims: Vec<_> = self.claims_of(&name).map(|held| &held.value).collect();
        match declared {
            Some(Object::Service(service)) => {
                Some(Object::Service(with_claims(service, &claims, node)))
            }
            Some(Object::HttpRoute(_) | Object::TcpRoute(_)) => None,
            None if claims.is_empty() => None,
            None => {
                let metadata = Metadata::new(&key.namespace, &key.name);
                let service = Service { metadata, spec: ServiceSpec::default() };
                Some(Object::Service(with_claims(&service, &claims, node)))
            }
        }
    }

    /// Every object as it takes effect, in the order in which they are listed.
    pub(crate) fn all_effective(&self, node: &str) -> BTreeMap<Key, Object> {
        let keys = self.keys().into_iter();
        keys.filter_map(|key| self.effective(&key, node).map(|object| (key, object))).collect()
    }

    /// Labels of the endpoint at `place`.
    pub(crate) fn labels(
        &self,
        service: &ServiceName,
        place: Place,
        node: &str,
    ) -> BTreeMap<String, String> {
        let object = self.service_object(service).map(|held| &held.value);
        if let Some(Object::Service(object)) = object
            && let Some(written) = written_at(&object.spec, place.address, node)
        {
            return written.labels.clone();
        }
        let key = |place| ClaimKey { service: service.clone(), place };
        self.claims.get(&key(place)).map(|held| held.value.labels.clone()).unwrap_or_default()
    }
}

/// The endpoint of a manifest at `address` of `node`.
pub(crate) fn written_at<'a>(
    spec: &'a ServiceSpec,
    address: SocketAddr,
    node: &str,
) -> Option<&'a Endpoint> {
    spec.endpoints.iter().find(|endpoint| is_at(endpoint, address, node))
}

pub(crate) fn written_at_mut<'a>(
    spec: &'a mut ServiceSpec,
    address: SocketAddr,
    node: &str,
) -> Option<&'a mut Endpoint> {
    spec.endpoints.iter_mut().find(|endpoint| is_at(endpoint, address, node))
}

fn is_at(endpoint: &Endpoint, address: SocketAddr, node: &str) -> bool {
    endpoint.node.as_deref().is_none_or(|named| named == node)
        && SocketAddr::new(endpoint.address, endpoint.port) == address
}

fn with_claims(service: &Service, claims: &[&Claim], node: &str) -> Service {
    let mut whole = service.clone();
    let spec = &mut whole.spec;
    let written = spec.endpoints.len();
    for claim in claims {
        let said = ServicePort { port: claim.port, protocol: protocol(claim.protocol) };
        match spec.ports.iter_mut().find(|port| port.is_same(&said)) {
            Some(port) if port.protocol == Protocol::Detect => {
                port.protocol = said.protocol;
            }
            Some(_) => {}
            None => spec.ports.push(said),
        }
        if claim.compat == model::Compat::Lenient {
            spec.compat = Compat::Lenient;
        }
        if spec.health.is_none() {
            spec.health = claim.health.as_ref().map(health);
        }
        if written_at(spec, claim.address, node).is_none() {
            spec.endpoints.push(endpoint(claim, node));
        }
    }
    if let Some(only) = spec.only_port() {
        // Whoever writes a manifest would leave it out: it cannot be another.
        for endpoint in spec.endpoints.iter_mut().skip(written) {
            endpoint.service_port.take_if(|port| *port == only);
        }
    }
    whole
}

/// What a manifest would say of this claim alone.
pub(crate) fn claimed_spec(claim: &Claim, node: &str) -> ServiceSpec {
    let service = Service { metadata: Metadata::new("", ""), spec: ServiceSpec::default() };
    with_claims(&service, &[claim], node).spec
}

fn endpoint(claim: &Claim, node: &str) -> Endpoint {
    let implied = claim.port == claim.address.port();
    Endpoint {
        node: Some(node.to_owned()),
        address: claim.address.ip(),
        port: claim.address.port(),
        service_port: (!implied).then_some(claim.port),
        subset: Some(claim.subset.clone()).filter(|subset| !subset.is_empty()),
        weight: claim.weight,
        labels: claim.labels.clone(),
    }
}

/// The manifest's word for what a service speaks.
pub(crate) fn protocol(declared: Speaks) -> Protocol {
    match declared {
        Speaks::Detect => Protocol::Detect,
        Speaks::Tcp => Protocol::Tcp,
        Speaks::Http => Protocol::Http,
        Speaks::Grpc => Protocol::Grpc,
        Speaks::Udp => Protocol::Udp,
    }
}

fn health(check: &model::HealthCheck) -> HealthCheck {
    let usual = model::HealthCheck::default();
    let (http, tcp, expect) = match &check.probe {
        Probe::Tcp => (None, Some(true), Vec::new()),
        Probe::Http { path, expect } => (Some(path.clone()), None, expect.clone()),
    };
    HealthCheck {
        http,
        tcp,
        expect,
        interval: Some(check.interval).filter(|interval| *interval != usual.interval),
        timeout: Some(check.timeout).filter(|timeout| *timeout != usual.timeout),
        unhealthy_after: Some(check.unhealthy_after).filter(|n| *n != usual.unhealthy_after),
        healthy_after: Some(check.healthy_after).filter(|n| *n != usual.healthy_after),
        initial: (check.initial == Health::Healthy).then_some(InitialHealth::Healthy),
    }
}
