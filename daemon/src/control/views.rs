//! Objects as people look at them: the manifest's shape with what is known of their state.

use std::time::Duration;

use mesh_proto::manifest::view::{
    EndpointStatus, HealthStatus, HttpRouteView, Live, MetadataView, ParentStatus, PortStatus,
    RouteStatus, ServiceStatus, ServiceView, Stats, SubsetStatus, TcpRouteView,
};
use mesh_proto::manifest::{Key, Kind, Metadata, Object, ParentRef};
use serde::Serialize;

use super::core::Core;
use super::{Daemon, convert};
use crate::model::{Health, ServiceName};
use crate::state::{Endpoint, Service, View, protocol};
use crate::telemetry::Window;

/// What the traffic columns cover.
const WINDOW: Duration = Duration::from_secs(10);

/// Which objects are asked for; empty means all.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) kind: Option<Kind>,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Wanted {
    pub(super) fn holds(&self, key: &Key) -> bool {
        self.kind.is_none_or(|kind| kind == key.kind)
            && (self.namespace.is_empty() || self.namespace == key.namespace)
            && (self.name.is_empty() || self.name == key.name)
    }
}

/// One look at everything, from which objects are shown.
pub(super) struct Views<'a> {
    daemon: &'a Daemon,
    view: &'a View,
    /// `None` leaves the numbers out.
    window: Option<Window>,
    /// Endpoints of each service of the snapshot.
    endpoints: Vec<Vec<&'a Endpoint>>,
    live: Live,
}

impl<'a> Views<'a> {
    pub(super) fn new(core: &'a Core, view: &'a View, numbers: Numbers) -> Self {
        let daemon = &core.daemon;
        let mut endpoints = vec![Vec::new(); view.snapshot.services.len()];
        for endpoint in &view.snapshot.endpoints {
            if let Some(own) = endpoints.get_mut(endpoint.service) {
                own.push(endpoint);
            }
        }
        let late = !daemon.published.laggards(view.snapshot.revision).is_empty();
        let window = (numbers == Numbers::Shown).then(|| daemon.rates.window(WINDOW));
        Self { daemon, view, window, endpoints, live: Live { applied: (!late).into(), nodes: 1 } }
    }

    /// JSON of every wanted object, sorted by kind and name.
    pub(super) fn json(&self, wanted: &Wanted) -> Vec<String> {
        let node = &self.daemon.identity.node;
        let declared = &self.view.declared;
        let keys = declared.keys().into_iter().filter(|key| wanted.holds(key));
        let objects = keys.filter_map(|key| declared.effective(&key, node));
        objects.map(|object| self.one(object)).collect()
    }

    fn one(&self, object: Object) -> String {
        let key = object.key();
        let metadata = self.metadata(&key, object.metadata().clone());
        match object {
            Object::Service(service) => {
                let status = self.service(&ServiceName::new(&key.namespace, &key.name));
                text(&ServiceView::new(key.kind, metadata, service.spec, status))
            }
            Object::HttpRoute(route) => {
                let status = self.route(&key.namespace, &route.spec.parent_refs);
                text(&HttpRouteView::new(key.kind, metadata, route.spec, status))
            }
            Object::TcpRoute(route) => {
                let status = self.route(&key.namespace, &route.spec.parent_refs);
                text(&TcpRouteView::new(key.kind, metadata, route.spec, status))
            }
        }
    }

    fn metadata(&self, key: &Key, declared: Metadata) -> MetadataView {
        let origins = self.view.declared.origins(key);
        let generation = origins.iter().map(|origin| origin.generation).max();
        let created = origins.iter().map(|origin| origin.created_ms).min();
        MetadataView {
            declared,
            generation: generation.unwrap_or_default(),
            creation_timestamp: created.map(convert::time_text),
        }
    }

    fn service(&self, name: &ServiceName) -> ServiceStatus {
        let snapshot = &self.view.snapshot;
        let index = snapshot.by_name.get(name).copied();
        let found = index.and_then(|index| {
            Some((snapshot.services.get(index)?, self.endpoints.get(index)?.as_slice()))
        });
        let Some((service, endpoints)) = found else {
            return ServiceStatus { live: self.live, ..ServiceStatus::default() };
        };
        ServiceStatus {
            ready: ready(endpoints),
            total: count(endpoints.len()),
            address: service.ports.first().map(|port| format!("{}:{}", service.vip4, port.port)),
            subsets: self.subsets(service, endpoints),
            ports: ports(service),
            endpoints: endpoints.iter().map(|at| self.endpoint(service, at)).collect(),
            live: self.live,
            stats: self.stats(service),
            bypassed_until: self.bypassed_until(name).filter(|_| service.bypassed),
        }
    }

    /// The later end, where a bypass of everything covers it too.
    fn bypassed_until(&self, name: &ServiceName) -> Option<String> {
        let bypasses = self.view.declared.bypasses.values().map(|held| &held.value);
        let covering = bypasses.filter(|bypass| bypass.extent.covers(name));
        covering.map(|bypass| bypass.until_ms).max().map(convert::second_text)
    }

    fn subsets(&self, service: &Service, endpoints: &[&Endpoint]) -> Vec<SubsetStatus> {
        let named = service.subsets.iter().enumerate().skip(1);
        let status = |(index, subset): (usize, &crate::state::Subset)| {
            let own =
                subset.endpoints.iter().filter_map(|&at| self.view.snapshot.endpoints.get(at));
            let own: Vec<_> = own.filter(|at| endpoints.iter().any(|e| e.id == at.id)).collect();
            SubsetStatus {
                name: subset.name.clone(),
                weight: self.weight(service, index),
                ready: ready(&own),
                total: count(own.len()),
            }
        };
        named.map(status).collect()
    }

    /// The subset's weight in the rule that takes what no other rule matches.
    fn weight(&self, service: &Service, subset: usize) -> Option<u32> {
        let own = self.view.snapshot.by_name.get(&service.name).copied()?;
        let port = service.ports.first()?;
        let split = port.http.rules.last().map_or(&port.tcp, |rule| &rule.split);
        let mut backends = split.backends.iter();
        let backend = backends.find(|to| to.service == own && to.subset == subset)?;
        Some(backend.weight)
    }

    fn endpoint(&self, service: &Service, endpoint: &Endpoint) -> EndpointStatus {
        let subset = service.subsets.get(endpoint.subset).map(|subset| subset.name.clone());
        let node = &self.daemon.identity.node;
        let address = endpoint.address;
        EndpointStatus {
            node: endpoint.node.clone(),
            address: address.ip().to_string(),
            port: address.port(),
            subset: subset.filter(|subset| !subset.is_empty()),
            weight: endpoint.weight,
            labels: self.view.declared.labels(&service.name, endpoint.place(), node),
            health: match endpoint.live.health() {
                Health::Unchecked => HealthStatus::Unchecked,
                Health::Unknown => HealthStatus::Unknown,
                Health::Healthy => HealthStatus::Healthy,
                Health::Unhealthy => HealthStatus::Unhealthy,
            },
            reason: self.daemon.board.last(endpoint.id).map(|probed| probed.text),
            open: endpoint.live.in_flight.load(std::sync::atomic::Ordering::Relaxed),
        }
    }

    fn stats(&self, service: &Service) -> Stats {
        let Some(window) = &self.window else { return Stats::default() };
        let numbers = window.service(service);
        Stats {
            window_s: u32::try_from(window.covered.as_secs()).unwrap_or(u32::MAX),
            rps: numbers.rps,
            success: numbers.success,
            p50_ms: numbers.p50,
            p99_ms: numbers.p99,
            open: numbers.open,
        }
    }

    fn route(&self, home: &str, parents: &[ParentRef]) -> RouteStatus {
        let parents: Vec<_> = parents.iter().map(|parent| self.parent(home, parent)).collect();
        let attached = parents.iter().any(|parent| parent.attached);
        RouteStatus { attached, parents, live: self.live }
    }

    fn parent(&self, home: &str, parent: &ParentRef) -> ParentStatus {
        let reason = unattached(self.view, home, parent);
        ParentStatus {
            kind: parent.kind.clone(),
            namespace: parent.namespace.clone().unwrap_or_else(|| home.to_owned()),
            name: parent.name.clone(),
            attached: reason.is_none(),
            reason,
        }
    }
}

/// Whether a look includes the traffic of the last seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    Shown,
    LeftOut,
}

/// Why a route in namespace `home` does not hang on `parent`.
pub(super) fn unattached(view: &View, home: &str, parent: &ParentRef) -> Option<String> {
    let name = ServiceName::new(parent.namespace.as_deref().unwrap_or(home), &parent.name);
    let attached = parent.is_service() && view.declared.has_service(&name);
    (!attached).then(|| format!("not attached: no {} \"{}\"", parent.kind, parent.name))
}

fn ports(service: &Service) -> Vec<PortStatus> {
    let status = |port: &crate::state::Port| PortStatus {
        port: port.port,
        protocol: protocol(port.protocol),
        addresses: vec![
            format!("{}:{}", service.vip4, port.port),
            format!("[{}]:{}", service.vip6, port.port),
        ],
    };
    service.ports.iter().map(status).collect()
}

fn ready(endpoints: &[&Endpoint]) -> u32 {
    count(endpoints.iter().filter(|endpoint| endpoint.live.is_ready()).count())
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Plain structs with string keys: serialising cannot fail.
fn text(view: &impl Serialize) -> String {
    serde_json::to_string(view).unwrap_or_default()
}
