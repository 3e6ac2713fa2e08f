//! Rules of `Service`.

use std::net::IpAddr;

use super::super::error::Problem;
use super::super::{Endpoint, Forward, HealthCheck, Protocol, Service, ServiceSpec};
use super::repeated;
use crate::codes;

pub(super) fn problems(service: &Service) -> Vec<Problem> {
    let spec = &service.spec;
    let port = |at| format!("spec.ports[{at}].port");
    let ports = spec.ports.iter().map(|port| (port.port, port.protocol == Protocol::Udp));
    let mut problems = repeated(ports, port, "this port");
    let subset = |at| format!("spec.subsets[{at}].name");
    problems.extend(repeated(spec.subsets.iter().map(|s| &s.name), subset, "this subset"));
    for (at, subset) in spec.subsets.iter().enumerate().filter(|(_, s)| s.labels.is_empty()) {
        let message = format!("subset {:?} would take every endpoint", subset.name);
        let path = format!("spec.subsets[{at}].labels");
        problems.push(Problem::new(path, codes::INVALID_VALUE, message).hint("name a label"));
    }
    problems.extend(spec.health.as_ref().into_iter().flat_map(health));
    problems.extend(forward(spec));
    let listens = spec.endpoints.iter().map(|e| (e.node.as_deref(), e.address, e.port));
    let endpoint = |at| format!("spec.endpoints[{at}]");
    problems.extend(repeated(listens, endpoint, "this endpoint"));
    for (at, one) in spec.endpoints.iter().enumerate() {
        problems.extend(address(one, &endpoint(at)));
        problems.extend(service_port(spec, one, &endpoint(at)));
    }
    problems
}

/// Nobody looks at the bytes of a direct connection.
fn forward(spec: &ServiceSpec) -> Option<Problem> {
    let is_plain = |protocol| matches!(protocol, Protocol::Tcp | Protocol::Udp);
    let all_plain = !spec.ports.is_empty() && spec.ports.iter().all(|port| is_plain(port.protocol));
    if spec.forward == Forward::Proxy || all_plain {
        return None;
    }
    let message = "\"connect\" needs ports whose protocol is tcp or udp".to_owned();
    let problem = Problem::new("spec.forward".to_owned(), codes::INVALID_VALUE, message);
    Some(problem.hint("declare the ports, or leave `forward` out: only meshd reads HTTP"))
}

fn address(endpoint: &Endpoint, path: &str) -> Option<Problem> {
    let broadcast = matches!(endpoint.address, IpAddr::V4(v4) if v4.is_broadcast());
    let what = if endpoint.address.is_unspecified() {
        "stands for every address, one to connect to is wanted"
    } else if endpoint.address.is_multicast() || broadcast {
        "is no address of one host"
    } else {
        return None;
    };
    let message = format!("{} {what}", endpoint.address);
    let problem = Problem::new(format!("{path}.address"), codes::INVALID_VALUE, message);
    Some(problem.hint("write the address the service is reached at, such as 127.0.0.1"))
}

/// Which port of the service an endpoint serves must be clear.
fn service_port(spec: &ServiceSpec, endpoint: &Endpoint, path: &str) -> Option<Problem> {
    let has = |port: u16| spec.ports.iter().any(|known| known.port == port);
    let ports =
        || spec.ports.iter().map(|port| port.port.to_string()).collect::<Vec<_>>().join(" or ");
    match endpoint.service_port {
        Some(port) if !spec.ports.is_empty() && !has(port) => {
            let message = format!("the service has no port {port}");
            let problem =
                Problem::new(format!("{path}.servicePort"), codes::INVALID_VALUE, message);
            Some(problem.hint(format!("write {}, or add the port to spec.ports", ports())))
        }
        None if !spec.ports.is_empty() && spec.only_port().is_none() && !has(endpoint.port) => {
            let message = format!("which of the service's ports port {} serves", endpoint.port);
            let message = format!("it is not clear {message}");
            let problem =
                Problem::new(format!("{path}.servicePort"), codes::MISSING_FIELD, message);
            Some(problem.hint(format!("add servicePort: {}", ports())))
        }
        Some(_) | None => None,
    }
}

fn health(check: &HealthCheck) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message: &str, hint: &str| {
        let path = format!("spec.health{field}");
        problems.push(Problem::new(path, codes::INVALID_VALUE, message).hint(hint));
    };
    match &check.http {
        Some(_) if check.tcp.is_some() => wrong("", "a check is http or tcp, not both", "keep one"),
        Some(path) if !path.starts_with('/') => {
            wrong(".http", &format!("{path:?} is no path"), "start it with /");
        }
        Some(path) if path.contains(|c: char| !c.is_ascii_graphic() || c == '#') => {
            wrong(".http", &format!("{path:?} cannot be sent"), "escape it, as in /a%20b");
        }
        None if !check.expect.is_empty() => {
            wrong(".expect", "a tcp check gets no status", "add http: /path");
        }
        Some(_) | None => {}
    }
    for (field, value) in [(".interval", check.interval), (".timeout", check.timeout)] {
        if value.is_some_and(|value| value.is_zero()) {
            wrong(field, "0 would probe without a pause or never pass", "write 1s or another time");
        }
    }
    problems
}
