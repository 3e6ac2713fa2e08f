//! `meshctl route`: set or remove one rule.

use std::time::Duration;

use super::super::error::Problem;
use super::super::{
    BackendRef, HttpMatch, HttpRoute, HttpRule, PathKind, PathMatch, Retry, ValueKind, ValueMatch,
};
use super::{EditError, Edited, default_rule, everything_to, new_route, numbered, valid_http};
use crate::codes;
use crate::v1::{EditRouteRequest, RuleMatch};

/// Pause before a retry where the request names none.
const BACKOFF: Duration = Duration::from_millis(25);

/// The route of `request.service` with the rule set or removed; `existing` is that route so far.
///
/// # Errors
/// When there is no such rule, or the result would not be valid.
pub fn route(
    existing: Option<&HttpRoute>,
    request: &EditRouteRequest,
) -> Result<Edited<HttpRoute>, EditError> {
    let mut route =
        existing.cloned().unwrap_or_else(|| new_route(&request.namespace, &request.service));
    if request.delete {
        return delete(route, request.rule);
    }
    let matches: Vec<HttpMatch> = request.r#match.iter().map(conditions).collect();
    let rules = &mut route.spec.rules;
    let at = match request.rule {
        0 => find_or_add(rules, &matches, &request.service, existing.is_none()),
        number => numbered(number, rules.len())?,
    };
    let of = rules.len();
    if let Some(rule) = rules.get_mut(at) {
        if !matches.is_empty() {
            rule.matches = matches;
        }
        set(rule, request)?;
    }
    Ok(Edited { route: Some(valid_http(route)?), rule: at + 1, rules: of })
}

fn delete(mut route: HttpRoute, number: u32) -> Result<Edited<HttpRoute>, EditError> {
    let at = numbered(number, route.spec.rules.len())?;
    route.spec.rules.remove(at);
    let rules = route.spec.rules.len();
    let route = if rules == 0 { None } else { Some(valid_http(route)?) };
    Ok(Edited { route, rule: at + 1, rules })
}

/// Index of the rule with these conditions, made if there is none.
fn find_or_add(
    rules: &mut Vec<HttpRule>,
    matches: &[HttpMatch],
    service: &str,
    is_new: bool,
) -> usize {
    if is_new {
        // Whoever routes a part of the traffic still wants the rest to arrive.
        rules.push(everything_to(service));
    }
    let default = default_rule(rules);
    if matches.is_empty() {
        return default.unwrap_or_else(|| {
            rules.push(everything_to(service));
            rules.len() - 1
        });
    }
    if let Some(same) = rules.iter().position(|rule| rule.matches == matches) {
        return same;
    }
    let at = default.unwrap_or(rules.len());
    rules.insert(at, HttpRule { matches: matches.to_vec(), ..everything_to(service) });
    at
}

/// What the request names replaces what the rule had.
fn set(rule: &mut HttpRule, request: &EditRouteRequest) -> Result<(), EditError> {
    if !request.to.is_empty() {
        let subset = |to: &crate::v1::BackendRef| Some(to.subset.clone()).filter(|s| !s.is_empty());
        let backend = |to: &crate::v1::BackendRef| {
            BackendRef::new(&to.service, subset(to).as_deref(), to.weight)
        };
        rule.backend_refs = request.to.iter().map(backend).collect();
    }
    if let Some(timeout) = &request.timeout {
        let timeout = Duration::try_from(*timeout)
            .ok()
            .filter(|limit| limit.is_zero() || limit.as_millis() > 0);
        let Some(timeout) = timeout else {
            let message = "a timeout is a time of at least 1ms, or 0s for none";
            let problem = Problem::new("timeouts.request", codes::INVALID_VALUE, message);
            return Err(EditError::Invalid(vec![problem.at("", 0, 0)]));
        };
        rule.timeouts.request = Some(timeout).filter(|limit| !limit.is_zero());
    }
    if let Some(retry) = &request.retry {
        let backoff = rule.retry.as_ref().and_then(|retry| retry.backoff).unwrap_or(BACKOFF);
        let mut codes: Vec<u16> =
            retry.codes.iter().filter_map(|code| u16::try_from(*code).ok()).collect();
        codes.sort_unstable();
        codes.dedup();
        let retry = Retry { attempts: retry.attempts, codes, backoff: Some(backoff) };
        rule.retry = Some(retry).filter(|retry| retry.attempts > 0);
    }
    Ok(())
}

fn conditions(wanted: &RuleMatch) -> HttpMatch {
    let path = |kind, value: &String| {
        (!value.is_empty()).then(|| PathMatch { kind, value: value.clone() })
    };
    // A map has no order; a manifest has one.
    let values = |wanted: &std::collections::HashMap<String, String>| {
        let mut values: Vec<ValueMatch> = wanted
            .iter()
            .map(|(name, value)| ValueMatch {
                kind: ValueKind::Exact,
                name: name.clone(),
                value: value.clone(),
            })
            .collect();
        values.sort_by(|a, b| a.name.cmp(&b.name));
        values
    };
    HttpMatch {
        path: path(PathKind::Exact, &wanted.path_exact)
            .or_else(|| path(PathKind::PathPrefix, &wanted.path_prefix))
            .or_else(|| path(PathKind::RegularExpression, &wanted.path_regex)),
        method: Some(wanted.method.clone()).filter(|method| !method.is_empty()),
        headers: values(&wanted.headers),
        query_params: values(&wanted.query),
    }
}
