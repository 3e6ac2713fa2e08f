//! Turns written HTTP rules into the ones the data plane tries, first match first.
//!
//! Precedence is the Gateway API's: the more exact host, then the more exact path, a method, more
//! headers, more query parameters; then routes by name and their rules in order. Among paths
//! exact ones come before prefixes, longer prefixes before shorter, and a regular expression
//! before nothing but the prefix `/`.

use std::cmp::Reverse;

use mesh_proto::manifest::{
    HttpMatch, HttpRoute, HttpRule as Written, PathKind, ValueKind, ValueMatch, full_regex,
};

use crate::state::{HttpRule, Matches, PathMatch, Split, StrMatch};

/// What decides between two rules that match the same request; the smallest comes first.
type Rank = Reverse<(usize, usize, (u8, usize), bool, usize, usize)>;

/// The rules of one written rule: one per host and match. `route` is its interned name.
pub(super) fn expand(route: &HttpRoute, at: usize, id: u32, split: &Split) -> Vec<HttpRule> {
    let Some(written) = route.spec.rules.get(at) else { return Vec::new() };
    let any = [HttpMatch::default()];
    let matches = if written.matches.is_empty() { &any[..] } else { &written.matches };
    let hosts: Vec<Vec<String>> = if route.spec.hostnames.is_empty() {
        vec![Vec::new()]
    } else {
        route.spec.hostnames.iter().map(|host| vec![host.to_ascii_lowercase()]).collect()
    };
    let frame = frame(written, split);
    let mut rules = Vec::with_capacity(hosts.len() * matches.len());
    for host in hosts {
        // Validation has compiled every expression once: none is dropped here.
        rules.extend(matches.iter().filter_map(conditions).map(|matches| HttpRule {
            route: id,
            number: u16::try_from(at + 1).unwrap_or(u16::MAX),
            of: u16::try_from(route.spec.rules.len()).unwrap_or(u16::MAX),
            hostnames: host.clone(),
            matches,
            ..frame.clone()
        }));
    }
    rules
}

/// Everything of a rule but where it stands and what it matches.
fn frame(written: &Written, split: &Split) -> HttpRule {
    let limit = |timeout: Option<std::time::Duration>| timeout.filter(|limit| !limit.is_zero());
    let retry = written.retry.as_ref();
    HttpRule {
        split: split.clone(),
        timeout: limit(written.timeouts.request),
        attempt_timeout: limit(written.timeouts.backend_request),
        retries: retry.map_or(0, |retry| retry.attempts),
        retry_codes: retry.map(|retry| retry.codes.clone()).unwrap_or_default(),
        retry_backoff: retry.and_then(|retry| retry.backoff),
        ..everything(split.clone())
    }
}

/// The built-in rule of a service without a route.
pub(super) fn everything(split: Split) -> HttpRule {
    HttpRule {
        route: crate::state::Interner::NONE,
        number: 0,
        of: 0,
        hostnames: Vec::new(),
        matches: Matches::default(),
        split,
        timeout: None,
        attempt_timeout: None,
        retries: 0,
        retry_codes: Vec::new(),
        retry_backoff: None,
    }
}

/// Whether the rule takes whatever comes, HTTP or not.
pub(super) fn is_unconditional(rule: &HttpRule) -> bool {
    let Matches { path, method, headers, query } = &rule.matches;
    rule.hostnames.is_empty()
        && path.is_none()
        && method.is_none()
        && headers.is_empty()
        && query.is_empty()
}

pub(super) fn rank(rule: &HttpRule) -> Rank {
    let host = rule.hostnames.first().map(String::as_str).unwrap_or_default();
    let exact_host = if host.starts_with('*') { 0 } else { host.len() };
    let path = match &rule.matches.path {
        Some(PathMatch::Exact(path)) => (3, path.len()),
        Some(PathMatch::Prefix(path)) => (2, path.len()),
        Some(PathMatch::Regex(path)) => (1, path.as_str().len()),
        None => (0, 0),
    };
    let Matches { method, headers, query, .. } = &rule.matches;
    Reverse((exact_host, host.len(), path, method.is_some(), headers.len(), query.len()))
}

fn conditions(written: &HttpMatch) -> Option<Matches> {
    let path = match written.path.as_ref().map(|path| (path.kind, path.value.as_str())) {
        None | Some((PathKind::PathPrefix, "/" | "")) => None,
        Some((PathKind::PathPrefix, prefix)) => {
            Some(PathMatch::Prefix(prefix.trim_end_matches('/').to_owned()))
        }
        Some((PathKind::Exact, path)) => Some(PathMatch::Exact(path.to_owned())),
        Some((PathKind::RegularExpression, path)) => Some(PathMatch::Regex(full_regex(path).ok()?)),
    };
    let values = |written: &[ValueMatch], name: fn(&str) -> String| {
        let value = |of: &ValueMatch| Some((name(&of.name), value(of)?));
        written.iter().map(value).collect::<Option<Vec<_>>>()
    };
    Some(Matches {
        path,
        method: written.method.clone(),
        headers: values(&written.headers, str::to_ascii_lowercase)?,
        query: values(&written.query_params, str::to_owned)?,
    })
}

fn value(written: &ValueMatch) -> Option<StrMatch> {
    match written.kind {
        ValueKind::Exact => Some(StrMatch::Exact(written.value.clone())),
        ValueKind::RegularExpression => full_regex(&written.value).ok().map(StrMatch::Regex),
    }
}
