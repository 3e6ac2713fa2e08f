//! The kinds people write: parsing, validation, edits, diff and canonical printing.
//!
//! An [`Object`] is canonical: short forms are expanded and defaults filled in when it is read,
//! so equal meaning compares equal, and printing leaves the defaults out again. Fields are
//! described once, in `shape`; unknown-field errors, JSON Schemas and `explain` are views of it.

mod canonical;
mod check;
pub mod diff;
pub mod duration;
pub mod edit;
mod error;
mod explain;
mod http;
mod kind;
mod object;
mod parse;
mod pattern;
mod retry;
mod route;
mod rules;
mod scalar;
mod schema;
mod service;
mod shape;
mod suggest;
mod tree;
pub mod view;
mod yaml;

pub use diff::diff;
pub use error::ManifestError;
pub use explain::{Unexplained, explain};
pub use http::{
    HttpMatch, HttpRoute, HttpRouteSpec, HttpRule, PathKind, PathMatch, Timeouts, ValueKind,
    ValueMatch,
};
pub use kind::{GATEWAY_GROUP, Kind};
pub use object::{DEFAULT_NAMESPACE, Key, Metadata, Object};
pub use parse::{parse, validate};
pub use pattern::full_regex;
pub use retry::{Retry, status_codes};
pub use route::{BackendRef, ParentRef, TcpRoute, TcpRouteSpec, TcpRule};
pub use schema::{schema, schema_names};
pub use service::{
    Compat, Endpoint, Forward, HealthCheck, Inbound, InitialHealth, Protocol, Service, ServicePort,
    ServiceSpec, SubsetSelector, Unmeshed,
};
pub use suggest::suggest;
pub use yaml::{json_to_yaml, to_yaml, to_yaml_stream};

/// Whether `text` is an RFC 1123 label: what services, namespaces, nodes and subsets are called.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests;
