//! What must hold beyond the types: within one object, and between routes.

mod circle;
mod matches;
mod route;
mod service;

use std::collections::HashSet;
use std::hash::Hash;

use super::Object;
use super::error::Problem;
use crate::codes;

pub(super) use circle::circle;

/// Everything that is wrong with one object.
pub(super) fn problems(object: &Object) -> Vec<Problem> {
    match object {
        Object::Service(service) => service::problems(service),
        Object::HttpRoute(route) => route::http(route),
        Object::TcpRoute(route) => route::tcp(route),
    }
}

/// One problem for every value that was there before.
fn repeated<T: Eq + Hash>(
    values: impl IntoIterator<Item = T>,
    path: impl Fn(usize) -> String,
    what: &str,
) -> Vec<Problem> {
    let mut seen = HashSet::new();
    let again = values.into_iter().enumerate().filter_map(|(at, value)| {
        let message = format!("{what} is there twice");
        (!seen.insert(value)).then(|| Problem::new(path(at), codes::DUPLICATE, message))
    });
    again.collect()
}
