//! `route` and `split`: edits of one service's route.

use std::collections::BTreeMap;

use mesh_proto::manifest::edit::{self, EditError};
use mesh_proto::manifest::{Key, Kind, Object, validate};
use mesh_proto::{codes, v1};

use super::Manifests;
use crate::control::authorise::Peer;
use crate::control::core::Core;
use crate::control::error::Failure;
use crate::control::{answer, convert};
use crate::model::{Declared as Speaks, ServiceName};
use crate::state::{Draft, Snapshot};

impl Manifests {
    pub(super) async fn set_rule(
        &self,
        peer: Peer,
        request: v1::EditRouteRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        let service = convert::service_name(&request.namespace, &request.service)?;
        let mutation = request.mutation.clone();
        let mut edited = (route_key(Kind::HttpRoute, &service), String::new());
        let edit = |draft: &mut Draft| {
            Core::existing(draft.declared(), &service)?;
            for to in &request.to {
                let to = convert::service_name(&service.namespace, &to.service)?;
                Core::existing(draft.declared(), &to)?;
            }
            edited = self.edit_rule(draft, &service, &request)?;
            Ok(())
        };
        let outcome = self.core.change(peer, mutation, edit).await?;
        let (key, detail) = edited;
        let warnings = empty_targets(&outcome.snapshot, &service.namespace, &request.to);
        let changes = answer::one(&outcome, &key, v1::Action::Unchanged, &detail);
        Ok(v1::ChangeResponse { warnings, ..answer::response(&outcome, changes) })
    }

    fn edit_rule(
        &self,
        draft: &mut Draft,
        service: &ServiceName,
        request: &v1::EditRouteRequest,
    ) -> Result<(Key, String), Failure> {
        let ServiceName { namespace, name } = service;
        let objects = draft.declared().objects.values().map(|held| &held.value);
        let existing = edit::http_route_of(objects, namespace, name)?;
        let edited = edit::route(existing, request).map_err(|error| {
            Failure::from(error).fix(format!("meshctl get route/{name} -o yaml"))
        })?;
        let detail = match request.delete {
            true => format!("rule {} removed, {} left", edited.rule, edited.rules),
            false => format!("rule {} of {}", edited.rule, edited.rules),
        };
        let key = match existing {
            Some(existing) => Object::HttpRoute(existing.clone()).key(),
            None => route_key(Kind::HttpRoute, service),
        };
        match edited.route {
            Some(route) => self.put_route(draft, &Object::HttpRoute(route))?,
            None => {
                draft.delete(&key);
            }
        }
        Ok((key, detail))
    }

    fn put_route(&self, draft: &mut Draft, route: &Object) -> Result<(), Failure> {
        draft.put(route.clone());
        let all = draft.declared().all_effective(&self.core.daemon.identity.node);
        Ok(validate([route], all.values())?)
    }

    pub(super) async fn set_weights(
        &self,
        peer: Peer,
        request: v1::SplitRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        let service = convert::service_name(&request.namespace, &request.service)?;
        let mutation = request.mutation.clone();
        let mut key = route_key(Kind::HttpRoute, &service);
        let edit = |draft: &mut Draft| {
            Core::existing(draft.declared(), &service)?;
            check_targets(draft.snapshot(), &service, &request)?;
            let route = weighted(draft, &service, &request)?;
            key = route.key();
            self.put_route(draft, &route)
        };
        let outcome = self.core.change(peer, mutation, edit).await?;
        let shares =
            request.shares.iter().map(|share| format!("{}={}", share.subset, share.weight));
        let detail = shares.collect::<Vec<_>>().join(" ");
        let changes = answer::one(&outcome, &key, v1::Action::Unchanged, &detail);
        Ok(answer::response(&outcome, changes))
    }
}

/// The service's route with new weights: a `TCPRoute` where none of its ports may speak HTTP.
fn weighted(
    draft: &Draft,
    service: &ServiceName,
    request: &v1::SplitRequest,
) -> Result<Object, Failure> {
    let ServiceName { namespace, name } = service;
    let objects = || draft.declared().objects.values().map(|held| &held.value);
    let snapshot = draft.snapshot();
    let found = snapshot.by_name.get(service).and_then(|&at| snapshot.services.get(at));
    let ports = found.map(|found| found.ports.as_slice()).unwrap_or_default();
    if !ports.is_empty()
        && ports.iter().all(|port| matches!(port.protocol, Speaks::Tcp | Speaks::Udp))
    {
        let existing = edit::tcp_route_of(objects(), namespace, name)?;
        let edited = edit::split_tcp(existing, request)?;
        return edited.route.map(Object::TcpRoute).ok_or_else(|| without_rules(service));
    }
    let existing = edit::http_route_of(objects(), namespace, name)?;
    let edited = edit::split(existing, request)?;
    edited.route.map(Object::HttpRoute).ok_or_else(|| without_rules(service))
}

fn without_rules(service: &ServiceName) -> Failure {
    Failure::new(codes::RULE_NOT_FOUND, format!("the route of service \"{service}\" has no rule"))
}

fn route_key(kind: Kind, service: &ServiceName) -> Key {
    Key { kind, namespace: service.namespace.clone(), name: service.name.clone() }
}

/// Refuses a share of a subset without endpoints.
fn check_targets(
    snapshot: &Snapshot,
    service: &ServiceName,
    request: &v1::SplitRequest,
) -> Result<(), Failure> {
    let taking = request.shares.iter().filter(|share| share.weight > 0 && !request.allow_empty);
    for share in taking {
        if endpoints_of(snapshot, service, &share.subset) == 0 {
            let message = format!(
                "cannot split service \"{service}\": subset \"{}\" has no endpoints",
                share.subset
            );
            let port = example_port(snapshot, service);
            return Err(Failure::new(codes::SUBSET_EMPTY, message)
                .why(inventory(snapshot, service))
                .fix(format!("meshctl register {service} --port {port} --subset {}", share.subset))
                .fix("or allow an empty target: add --allow-empty"));
        }
    }
    Ok(())
}

fn endpoints_of(snapshot: &Snapshot, service: &ServiceName, subset: &str) -> usize {
    let found = snapshot.by_name.get(service).and_then(|&at| snapshot.services.get(at));
    let subset = found.and_then(|found| found.subsets.iter().find(|known| known.name == subset));
    subset.map_or(0, |subset| subset.endpoints.len())
}

/// "web has 2 endpoints: subset v1 (n1:8080, n1:8081)"
fn inventory(snapshot: &Snapshot, service: &ServiceName) -> String {
    let found = snapshot.by_name.get(service);
    let own = snapshot.endpoints.iter().filter(|endpoint| found == Some(&endpoint.service));
    let mut subsets: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for endpoint in own {
        let service = snapshot.services.get(endpoint.service);
        let subset = service.and_then(|service| service.subsets.get(endpoint.subset));
        let name = subset.map(|subset| subset.name.as_str()).unwrap_or_default();
        let place = format!("{}:{}", endpoint.node, endpoint.address.port());
        subsets.entry(name).or_default().push(place);
    }
    let total: usize = subsets.values().map(Vec::len).sum();
    let parts = subsets.iter().map(|(name, places)| {
        let of = if name.is_empty() { "no subset".to_owned() } else { format!("subset {name}") };
        format!("{of} ({})", places.join(", "))
    });
    let parts = parts.collect::<Vec<_>>().join(", ");
    match total {
        0 => format!("{service} has no endpoint at all"),
        1 => format!("{service} has 1 endpoint: {parts}"),
        total => format!("{service} has {total} endpoints: {parts}"),
    }
}

/// A port no endpoint of the service uses, as `--port` takes it, for an example to paste.
fn example_port(snapshot: &Snapshot, service: &ServiceName) -> String {
    let index = snapshot.by_name.get(service);
    let own = snapshot.endpoints.iter().filter(|endpoint| index == Some(&endpoint.service));
    let highest = own.map(|endpoint| endpoint.address.port()).max();
    let port = highest.map_or(8080, |port| port.wrapping_add(1).max(1));
    let found = index.and_then(|&at| snapshot.services.get(at));
    match found.and_then(|found| found.ports.first()).map(|first| first.protocol) {
        Some(Speaks::Http) => format!("http:{port}"),
        Some(Speaks::Grpc) => format!("grpc:{port}"),
        Some(Speaks::Tcp) => format!("tcp:{port}"),
        Some(Speaks::Udp) => format!("udp:{port}"),
        Some(Speaks::Detect) | None => port.to_string(),
    }
}

/// A warning for every destination without an endpoint.
fn empty_targets(snapshot: &Snapshot, namespace: &str, to: &[v1::BackendRef]) -> Vec<String> {
    let named = to.iter().filter(|to| !to.subset.is_empty());
    let empty = named.filter(|to| {
        endpoints_of(snapshot, &ServiceName::new(namespace, &to.service), &to.subset) == 0
    });
    empty.map(|to| format!("subset {} of {} has no endpoint yet", to.subset, to.service)).collect()
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        let message = error.to_string();
        match error {
            EditError::NoSuchRule { .. } => Self::new(codes::RULE_NOT_FOUND, message),
            EditError::Taken(key) => {
                Self::new(codes::OTHER_OWNER, message).fix(format!("meshctl get {key} -o yaml"))
            }
            EditError::Invalid(errors) => errors.into(),
        }
    }
}
