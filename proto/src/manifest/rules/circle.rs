//! Routes that send from service to service in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::super::error::Problem;
use super::super::{BackendRef, Key, Object, ParentRef};
use crate::codes;

/// Namespace and name of a service.
type Name<'a> = (&'a str, &'a str);

/// Where each service's routes send, and the route that says so.
type Edges<'a> = BTreeMap<Name<'a>, BTreeMap<Name<'a>, Key>>;

/// The first circle there is, with a route that is part of it. A service that sends to itself
/// ends there, and is none.
pub(in super::super) fn circle<'a>(
    objects: impl IntoIterator<Item = &'a Object>,
) -> Option<(Key, Problem)> {
    let mut edges = Edges::new();
    for object in objects {
        let (parents, backends): (&[ParentRef], Vec<&BackendRef>) = match object {
            Object::Service(_) => continue,
            Object::HttpRoute(route) => {
                let rules = route.spec.rules.iter();
                (&route.spec.parent_refs, rules.flat_map(|rule| &rule.backend_refs).collect())
            }
            Object::TcpRoute(route) => {
                let rules = route.spec.rules.iter();
                (&route.spec.parent_refs, rules.flat_map(|rule| &rule.backend_refs).collect())
            }
        };
        let home = object.metadata().namespace.as_str();
        for parent in parents.iter().filter(|parent| parent.is_service()) {
            let from = (parent.namespace.as_deref().unwrap_or(home), parent.name.as_str());
            for backend in backends.iter().filter(|backend| backend.is_service()) {
                let to = (backend.namespace(home), backend.name.as_str());
                if from != to {
                    edges.entry(from).or_default().insert(to, object.key());
                }
            }
        }
    }
    let mut search = Search { edges: &edges, done: BTreeSet::new(), path: Vec::new() };
    let circle = edges.keys().find_map(|from| search.from(*from))?;
    let key = edges.get(circle.first()?)?.get(circle.get(1)?)?.clone();
    let names: Vec<&str> = circle.iter().map(|(_, name)| *name).collect();
    let message = format!("routes lead in a circle: {}", names.join(" -> "));
    Some((key, Problem::new("spec.rules", codes::ROUTE_CYCLE, message)))
}

/// Depth first, without recursion: a chain may be as long as there are services.
struct Search<'e, 'a> {
    edges: &'e Edges<'a>,
    /// Nothing reachable from these leads back.
    done: BTreeSet<Name<'a>>,
    path: Vec<(Name<'a>, Vec<Name<'a>>)>,
}

impl<'a> Search<'_, 'a> {
    /// A circle reachable from `start`, its first service again at the end.
    fn from(&mut self, start: Name<'a>) -> Option<Vec<Name<'a>>> {
        self.enter(start);
        while let Some((name, targets)) = self.path.last_mut() {
            let name = *name;
            let Some(next) = targets.pop() else {
                self.path.pop();
                self.done.insert(name);
                continue;
            };
            if let Some(at) = self.path.iter().position(|(known, _)| *known == next) {
                let circle = self.path.iter().skip(at).map(|(name, _)| *name);
                return Some(circle.chain([next]).collect());
            }
            self.enter(next);
        }
        None
    }

    fn enter(&mut self, name: Name<'a>) {
        if !self.done.contains(&name) {
            let targets = self.edges.get(&name).into_iter().flat_map(BTreeMap::keys);
            self.path.push((name, targets.rev().copied().collect()));
        }
    }
}
