//! Hangs routes on the ports of the services they name.

use std::collections::HashMap;

use mesh_proto::manifest::{
    BackendRef, HttpRoute, Key, Kind, Metadata, Object, ParentRef, TcpRoute,
};

use super::split::Resolver;
use super::{Inputs, Slots, http};
use crate::model::ServiceName;
use crate::state::{self, Backend, HttpRule, Interner, Port, Service, Split};

/// Routes by the index of their parent service, in the order of their names.
#[derive(Default)]
struct Attached<'a> {
    http: Vec<(&'a ParentRef, &'a HttpRoute)>,
    tcp: Vec<(&'a ParentRef, &'a TcpRoute)>,
}

/// Gives every port of every service its HTTP rules and its TCP split.
pub(super) fn attach(inputs: &Inputs<'_>, services: &mut [Service], slots: &mut Slots) {
    let attached = by_parent(inputs, services);
    let none = Attached::default();
    let mut routed = Vec::with_capacity(services.len());
    for (index, service) in services.iter().enumerate() {
        let routes = attached.get(&index).unwrap_or(&none);
        let previous = inputs.previous.services.binary_search_by(|old| old.name.cmp(&service.name));
        let previous = previous.ok().and_then(|at| inputs.previous.services.get(at));
        for (at, port) in service.ports.iter().enumerate() {
            let mut known = previous.into_iter().flat_map(|service| &service.ports);
            let old = known.find(|old| old.is_same(port));
            let this = Parent { inputs, services, service: index, at, port, old };
            routed.push(this.route(routes, slots));
        }
    }
    let ports = services.iter_mut().flat_map(|service| &mut service.ports);
    for (port, (http, tcp)) in ports.zip(routed) {
        port.http = http;
        port.tcp = tcp;
    }
}

fn by_parent<'a>(inputs: &Inputs<'a>, services: &[Service]) -> HashMap<usize, Attached<'a>> {
    let mut objects = inputs.objects.clone();
    objects.retain(|object| object.kind() != Kind::Service);
    objects.sort_by_cached_key(|object| object.key());
    let mut attached: HashMap<usize, Attached<'_>> = HashMap::new();
    let index = |parent: &ParentRef, home: &Metadata| {
        let namespace = parent.namespace.as_deref().unwrap_or(&home.namespace);
        let name = ServiceName::new(namespace, &parent.name);
        let found = services.binary_search_by(|service| service.name.cmp(&name));
        found.ok().filter(|_| parent.is_service())
    };
    for object in objects {
        match object {
            Object::Service(_) => {}
            Object::HttpRoute(route) => {
                for parent in &route.spec.parent_refs {
                    if let Some(at) = index(parent, &route.metadata) {
                        attached.entry(at).or_default().http.push((parent, route));
                    }
                }
            }
            Object::TcpRoute(route) => {
                for parent in &route.spec.parent_refs {
                    if let Some(at) = index(parent, &route.metadata) {
                        attached.entry(at).or_default().tcp.push((parent, route));
                    }
                }
            }
        }
    }
    attached
}

/// One port of one service, as routes see it.
struct Parent<'a> {
    inputs: &'a Inputs<'a>,
    services: &'a [Service],
    service: usize,
    /// Index into the service's ports.
    at: usize,
    port: &'a Port,
    old: Option<&'a Port>,
}

impl Parent<'_> {
    fn route(&self, routes: &Attached<'_>, slots: &mut Slots) -> (state::HttpRoute, Split) {
        let mut rules = Vec::new();
        for (_, route) in routes.http.iter().filter(|(parent, _)| self.is(parent)) {
            let metadata = &route.metadata;
            let id = self.inputs.names.id(&key(Kind::HttpRoute, metadata).to_string());
            for (at, written) in route.spec.rules.iter().enumerate() {
                let slot = slots.keep_or_new(self.old_slot(id, at + 1));
                let split = self.resolver(metadata).split(slot, &written.backend_refs);
                rules.extend(http::expand(route, at, id, &split));
            }
        }
        rules.sort_by_cached_key(http::rank);
        let routed = routes.http.iter().any(|(parent, _)| self.is(parent));
        if !routed {
            let slot = slots.keep_or_new(self.old_slot(Interner::NONE, 0));
            rules.push(http::everything(self.any(slot)));
        }
        let tcp = self.tcp(routes, &rules, slots);
        (state::HttpRoute { rules }, tcp)
    }

    fn tcp(&self, routes: &Attached<'_>, rules: &[HttpRule], slots: &mut Slots) -> Split {
        let slot = slots.keep_or_new(self.old.map(|old| old.tcp.slot));
        let mut attached = routes.tcp.iter().filter(|(parent, _)| self.is(parent));
        let route = attached.find_map(|(_, route)| Some((route, route.spec.rules.first()?)));
        if let Some((route, rule)) = route {
            let backends: &[BackendRef] = &rule.backend_refs;
            return self.resolver(&route.metadata).split(slot, backends);
        }
        match rules.iter().find(|rule| http::is_unconditional(rule)) {
            Some(rule) => Split { slot, ..rule.split.clone() },
            None => self.any(slot),
        }
    }

    fn is(&self, parent: &ParentRef) -> bool {
        parent.port.is_none_or(|port| port == self.port.port)
    }

    fn resolver<'a>(&'a self, metadata: &'a Metadata) -> Resolver<'a> {
        Resolver { services: self.services, home: &metadata.namespace, port: self.port }
    }

    /// Every endpoint of this service and port.
    fn any(&self, slot: u32) -> Split {
        let backend = Backend { service: self.service, subset: 0, port: self.at, weight: 1 };
        Split { slot, backends: vec![backend] }
    }

    fn old_slot(&self, route: u32, number: usize) -> Option<u32> {
        let mut rules = self.old.into_iter().flat_map(|old| &old.http.rules);
        let rule = rules.find(|old| old.route == route && usize::from(old.number) == number);
        rule.map(|rule| rule.split.slot)
    }
}

fn key(kind: Kind, metadata: &Metadata) -> Key {
    Key { kind, namespace: metadata.namespace.clone(), name: metadata.name.clone() }
}
