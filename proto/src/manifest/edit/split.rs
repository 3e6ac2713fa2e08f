//! `meshctl split`: set the weights of a service's subsets.

use super::super::{BackendRef, HttpRoute, Metadata, ParentRef, TcpRoute, TcpRouteSpec, TcpRule};
use super::{
    EditError, Edited, default_rule, everything_to, new_route, numbered, valid_http, valid_tcp,
};
use crate::v1::SplitRequest;

/// The service's route with the rule that takes everything, or the rule the request numbers,
/// sending to the subsets by weight.
///
/// # Errors
/// When there is no such rule, or the result would not be valid.
pub fn split(
    existing: Option<&HttpRoute>,
    request: &SplitRequest,
) -> Result<Edited<HttpRoute>, EditError> {
    let mut route =
        existing.cloned().unwrap_or_else(|| new_route(&request.namespace, &request.service));
    let rules = &mut route.spec.rules;
    let at = match request.rule {
        0 => default_rule(rules).unwrap_or_else(|| {
            rules.push(everything_to(&request.service));
            rules.len() - 1
        }),
        number => numbered(number, rules.len())?,
    };
    let of = rules.len();
    if let Some(rule) = rules.get_mut(at) {
        rule.backend_refs = backends(request);
    }
    Ok(Edited { route: Some(valid_http(route)?), rule: at + 1, rules: of })
}

/// As [`split`], for a service whose connections are not HTTP.
///
/// # Errors
/// When there is no such rule, or the result would not be valid.
pub fn split_tcp(
    existing: Option<&TcpRoute>,
    request: &SplitRequest,
) -> Result<Edited<TcpRoute>, EditError> {
    let mut route = existing.cloned().unwrap_or_else(|| TcpRoute {
        metadata: Metadata::new(&request.namespace, &request.service),
        spec: TcpRouteSpec {
            parent_refs: vec![ParentRef::service(&request.service)],
            rules: Vec::new(),
        },
    });
    let rules = &mut route.spec.rules;
    if rules.is_empty() {
        rules.push(TcpRule::default());
    }
    let at = numbered(request.rule.max(1), rules.len())?;
    let of = rules.len();
    if let Some(rule) = rules.get_mut(at) {
        rule.backend_refs = backends(request);
    }
    Ok(Edited { route: Some(valid_tcp(route)?), rule: at + 1, rules: of })
}

fn backends(request: &SplitRequest) -> Vec<BackendRef> {
    let backend = |share: &crate::v1::Share| {
        BackendRef::new(&request.service, Some(&share.subset), Some(share.weight))
    };
    request.shares.iter().map(backend).collect()
}
