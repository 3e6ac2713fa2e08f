//! One form for everything that means the same.

use super::{BackendRef, HttpRoute, Metadata, Object, ParentRef, Service, TcpRoute};

/// `object` with what it says more than once, or says by default, left out.
pub(super) fn canonical(object: Object) -> Object {
    match object {
        Object::Service(service) => Object::Service(self::service(service)),
        Object::HttpRoute(route) => Object::HttpRoute(http_route(route)),
        Object::TcpRoute(route) => Object::TcpRoute(tcp_route(route)),
    }
}

fn service(mut service: Service) -> Service {
    if let Some(health) = &mut service.spec.health {
        health.tcp = health.http.is_none().then_some(true);
        health.expect.sort_unstable();
        health.expect.dedup();
    }
    service
}

pub(super) fn http_route(mut route: HttpRoute) -> HttpRoute {
    let home = &route.metadata;
    route.spec.parent_refs.iter_mut().for_each(|parent| self::parent(parent, home));
    for rule in &mut route.spec.rules {
        backends(&mut rule.backend_refs, home);
    }
    route
}

pub(super) fn tcp_route(mut route: TcpRoute) -> TcpRoute {
    let home = &route.metadata;
    route.spec.parent_refs.iter_mut().for_each(|parent| self::parent(parent, home));
    for rule in &mut route.spec.rules {
        backends(&mut rule.backend_refs, home);
    }
    route
}

fn parent(parent: &mut ParentRef, home: &Metadata) {
    if parent.is_service() {
        parent.group = None;
    }
    if parent.group.as_deref() == Some(super::GATEWAY_GROUP) && parent.kind == "Gateway" {
        parent.group = None;
    }
    parent.namespace.take_if(|namespace| *namespace == home.namespace);
}

fn backends(backends: &mut [BackendRef], home: &Metadata) {
    let even = backends.iter().all(|backend| backend.share() == 1);
    for backend in backends {
        if backend.is_service() {
            (backend.group, backend.kind) = (None, None);
        }
        backend.namespace.take_if(|namespace| *namespace == home.namespace);
        backend.weight = (!even).then_some(backend.share());
    }
}
