//! Rules of routes. Those that only matter where a route takes effect are not asked of one that
//! is kept for a gateway, so that files of other meshes can be stored as they are.

use serde_json::Value;

use super::super::error::Problem;
use super::super::{BackendRef, HttpRoute, HttpRule, ParentRef, TcpRoute};
use super::{matches, repeated};
use crate::codes;

pub(super) fn http(route: &HttpRoute) -> Vec<Problem> {
    let spec = &route.spec;
    let takes_effect = spec.parent_refs.iter().any(ParentRef::is_service);
    let mut problems = parents(&spec.parent_refs);
    let host = |at| format!("spec.hostnames[{at}]");
    let hosts = spec.hostnames.iter().map(|host| host.to_ascii_lowercase());
    problems.extend(repeated(hosts, host, "this host"));
    if takes_effect && spec.rules.is_empty() {
        problems.push(no_rules(&route.metadata.name));
    }
    for (at, rule) in spec.rules.iter().enumerate() {
        let path = format!("spec.rules[{at}]");
        for (match_at, conditions) in rule.matches.iter().enumerate() {
            problems.extend(matches::problems(conditions, &format!("{path}.matches[{match_at}]")));
        }
        problems.extend(timeouts(rule, &path));
        if takes_effect {
            problems.extend(unsupported(rule, &path));
            problems.extend(backends(&rule.backend_refs, &path, &route.metadata.name));
        }
    }
    problems
}

pub(super) fn tcp(route: &TcpRoute) -> Vec<Problem> {
    let spec = &route.spec;
    let mut problems = parents(&spec.parent_refs);
    if !spec.parent_refs.iter().any(ParentRef::is_service) {
        return problems;
    }
    if spec.rules.is_empty() {
        problems.push(no_rules(&route.metadata.name));
    }
    if spec.rules.len() > 1 {
        let message = "a second rule would never be used";
        let problem = Problem::new("spec.rules[1]", codes::NOT_SUPPORTED, message);
        problems.push(problem.hint("put all backends into one rule, with weights"));
    }
    for (at, rule) in spec.rules.iter().enumerate() {
        let path = format!("spec.rules[{at}]");
        problems.extend(backends(&rule.backend_refs, &path, &route.metadata.name));
    }
    problems
}

fn no_rules(name: &str) -> Problem {
    let message = "a route without rules would answer every request with 404";
    let hint = format!("add rules: [{{backendRefs: [{{name: {name}}}]}}]");
    Problem::new("spec.rules", codes::MISSING_FIELD, message).hint(hint)
}

fn parents(parents: &[ParentRef]) -> Vec<Problem> {
    let path = |at| format!("spec.parentRefs[{at}]");
    let identity = parents.iter().map(|parent| {
        let ParentRef { group, kind, namespace, name, section_name, port } = parent;
        (group, kind, namespace, name, section_name, port)
    });
    let mut problems = repeated(identity, path, "this parent");
    let sections = parents.iter().enumerate().filter(|(_, parent)| parent.is_service());
    for (at, _) in sections.filter(|(_, parent)| parent.section_name.is_some()) {
        let message = "a service has no sections";
        let problem =
            Problem::new(format!("{}.sectionName", path(at)), codes::NOT_SUPPORTED, message);
        problems.push(problem.hint("name the service's port instead: port: 80"));
    }
    problems
}

/// What the Gateway API has and would be without effect here.
fn unsupported(rule: &HttpRule, path: &str) -> Vec<Problem> {
    let filters = rule.filters.iter().enumerate();
    let mut problems: Vec<Problem> = filters
        .map(|(at, filter)| filter_problem(filter, format!("{path}.filters[{at}]")))
        .collect();
    if rule.session_persistence.is_some() {
        let path = format!("{path}.sessionPersistence");
        problems.push(Problem::new(
            path,
            codes::NOT_SUPPORTED,
            "sessionPersistence is not supported",
        ));
    }
    problems
}

fn filter_problem(filter: &Value, path: String) -> Problem {
    let kind = filter.get("type").and_then(Value::as_str).unwrap_or("this");
    let message = format!("{kind:?} filters are not supported");
    Problem::new(path, codes::NOT_SUPPORTED, message)
}

fn backends(backends: &[BackendRef], path: &str, service: &str) -> Vec<Problem> {
    let path = format!("{path}.backendRefs");
    if backends.is_empty() {
        let message = "a rule without backendRefs sends its requests nowhere";
        let hint = format!("add backendRefs: [{{name: {service}}}]");
        return vec![Problem::new(path, codes::MISSING_FIELD, message).hint(hint)];
    }
    let item = |at| format!("{path}[{at}]");
    let identity = backends
        .iter()
        .map(|backend| (&backend.namespace, &backend.name, &backend.subset, backend.port));
    let mut problems = repeated(identity, item, "this backend");
    for (at, backend) in backends.iter().enumerate() {
        if !backend.is_service() {
            let kind = backend.kind.as_deref().unwrap_or("another group's Service");
            let message = format!("a {kind} cannot be a backend");
            problems.push(
                Problem::new(format!("{}.kind", item(at)), codes::NOT_SUPPORTED, message)
                    .hint("name a Service"),
            );
        }
        let filters = backend.filters.iter().enumerate();
        problems.extend(
            filters.map(|(n, filter)| filter_problem(filter, format!("{}.filters[{n}]", item(at)))),
        );
    }
    if backends.iter().all(|backend| backend.share() == 0) {
        let message = "all weights are 0, so no request could go anywhere";
        problems.push(Problem::new(path, codes::INVALID_WEIGHT, message));
    }
    problems
}

fn timeouts(rule: &HttpRule, path: &str) -> Option<Problem> {
    let set = |limit: Option<std::time::Duration>| limit.filter(|limit| !limit.is_zero());
    let (request, attempt) = (set(rule.timeouts.request)?, set(rule.timeouts.backend_request)?);
    let message = "one attempt may not take longer than the whole request";
    let path = format!("{path}.timeouts.backendRequest");
    (attempt > request).then(|| {
        Problem::new(path, codes::INVALID_VALUE, message).hint("make it at most timeouts.request")
    })
}
