//! The pure edits behind `meshctl route` and `meshctl split`.
//!
//! Both change the one route of a service: what a request leaves out keeps its value, rules are
//! numbered from 1, and a new rule with conditions goes before the rule without any, which takes
//! the rest.

mod route;
mod split;

use super::error::ManifestError;
use super::{
    BackendRef, HttpRoute, HttpRouteSpec, HttpRule, Key, Metadata, Object, ParentRef, TcpRoute,
};

pub use route::route;
pub use split::{split, split_tcp};

/// A route after an edit, and the rule it was about.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited<Route> {
    /// `None` when its last rule was removed: the route is to be deleted.
    pub route: Option<Route>,
    /// 1-based; of a removed rule, the number it had.
    pub rule: usize,
    /// How many rules the route has now.
    pub rules: usize,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EditError {
    #[error("the route has no rule {number}, it has {of}")]
    NoSuchRule { number: usize, of: usize },
    /// The service's route would have the name of one that hangs on something else.
    #[error("{0} exists and belongs to something else")]
    Taken(Key),
    #[error("{}", first(.0))]
    Invalid(Vec<ManifestError>),
}

fn first(errors: &[ManifestError]) -> String {
    errors.first().map(ToString::to_string).unwrap_or_default()
}

/// The HTTP route that edits of a service change: the one of its name, else the first that hangs
/// on it, else none yet.
///
/// # Errors
/// [`EditError::Taken`].
pub fn http_route_of<'a>(
    objects: impl IntoIterator<Item = &'a Object>,
    namespace: &str,
    service: &str,
) -> Result<Option<&'a HttpRoute>, EditError> {
    let routes = objects.into_iter().filter_map(|object| match object {
        Object::HttpRoute(route) => Some((object, &route.spec.parent_refs, route)),
        Object::Service(_) | Object::TcpRoute(_) => None,
    });
    choose(routes, namespace, service)
}

/// The TCP route of a service, as [`http_route_of`].
///
/// # Errors
/// [`EditError::Taken`].
pub fn tcp_route_of<'a>(
    objects: impl IntoIterator<Item = &'a Object>,
    namespace: &str,
    service: &str,
) -> Result<Option<&'a TcpRoute>, EditError> {
    let routes = objects.into_iter().filter_map(|object| match object {
        Object::TcpRoute(route) => Some((object, &route.spec.parent_refs, route)),
        Object::Service(_) | Object::HttpRoute(_) => None,
    });
    choose(routes, namespace, service)
}

fn choose<'a, Route>(
    routes: impl Iterator<Item = (&'a Object, &'a Vec<ParentRef>, &'a Route)>,
    namespace: &str,
    service: &str,
) -> Result<Option<&'a Route>, EditError> {
    let home = Metadata::new(namespace, service);
    let mut first: Option<(Key, &Route)> = None;
    for (object, parents, route) in routes {
        let metadata = object.metadata();
        let attached =
            |parent: &ParentRef| parent.is(&home.namespace, &home.name, &metadata.namespace);
        let named = metadata.namespace == home.namespace && metadata.name == home.name;
        match (named, parents.iter().any(attached)) {
            (true, true) => return Ok(Some(route)),
            (true, false) => return Err(EditError::Taken(object.key())),
            (false, true) if first.as_ref().is_none_or(|(key, _)| object.key() < *key) => {
                first = Some((object.key(), route));
            }
            (false, _) => {}
        }
    }
    Ok(first.map(|(_, route)| route))
}

/// The route a service gets with its first edit: no rules yet.
fn new_route(namespace: &str, service: &str) -> HttpRoute {
    let parent_refs = vec![ParentRef::service(service)];
    let spec = HttpRouteSpec { parent_refs, ..HttpRouteSpec::default() };
    HttpRoute { metadata: Metadata::new(namespace, service), spec }
}

/// The rule that sends everything to the service itself.
fn everything_to(service: &str) -> HttpRule {
    HttpRule { backend_refs: vec![BackendRef::new(service, None, None)], ..HttpRule::default() }
}

/// Index of the first rule that takes every request.
fn default_rule(rules: &[HttpRule]) -> Option<usize> {
    rules.iter().position(|rule| {
        rule.matches.is_empty() || rule.matches.iter().any(super::HttpMatch::is_unconditional)
    })
}

/// The index a request's 1-based rule number means.
fn numbered(number: u32, of: usize) -> Result<usize, EditError> {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    if (1..=of).contains(&number) {
        Ok(number - 1)
    } else {
        Err(EditError::NoSuchRule { number, of })
    }
}

/// The canonical form of what an edit made; refuses what a file could not say.
fn valid_http(route: HttpRoute) -> Result<HttpRoute, EditError> {
    let route = super::canonical::http_route(route);
    super::validate([&Object::HttpRoute(route.clone())], []).map_err(EditError::Invalid)?;
    Ok(route)
}

fn valid_tcp(route: TcpRoute) -> Result<TcpRoute, EditError> {
    let route = super::canonical::tcp_route(route);
    super::validate([&Object::TcpRoute(route.clone())], []).map_err(EditError::Invalid)?;
    Ok(route)
}

#[cfg(test)]
mod tests;
