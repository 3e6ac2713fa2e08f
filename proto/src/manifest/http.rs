//! `HTTPRoute` (gateway.networking.k8s.io/v1): where a service's requests go.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BackendRef, Metadata, ParentRef, duration, retry};

#[derive(Clone, Debug, PartialEq)]
pub struct HttpRoute {
    pub metadata: Metadata,
    pub spec: HttpRouteSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentRef>,
    /// Exact or `*.suffix`, lower case; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<HttpRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Any of them; empty matches every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<HttpMatch>,
    /// Kept as written; refused where the route takes effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Value>,
    #[serde(default, skip_serializing_if = "Timeouts::is_empty")]
    pub timeouts: Timeouts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<retry::Retry>,
    /// Kept as written; refused where the route takes effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<BackendRef>,
}

/// All of these must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpMatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<ValueMatch>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query_params: Vec<ValueMatch>,
}

impl HttpMatch {
    /// Whether every request fits, as with the `PathPrefix /` that Kubernetes adds.
    #[must_use]
    pub fn is_unconditional(&self) -> bool {
        let any_path = |path: &PathMatch| path.kind == PathKind::PathPrefix && path.value == "/";
        self.path.as_ref().is_none_or(any_path)
            && self.method.is_none()
            && self.headers.is_empty()
            && self.query_params.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathMatch {
    #[serde(rename = "type", default)]
    pub kind: PathKind,
    #[serde(default = "root")]
    pub value: String,
}

fn root() -> String {
    "/".to_owned()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathKind {
    Exact,
    #[default]
    PathPrefix,
    RegularExpression,
}

/// A header or query parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueMatch {
    #[serde(rename = "type", default, skip_serializing_if = "ValueKind::is_exact")]
    pub kind: ValueKind,
    pub name: String,
    pub value: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueKind {
    #[default]
    Exact,
    RegularExpression,
}

impl ValueKind {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_exact(&self) -> bool {
        *self == Self::Exact
    }
}

/// `0s` means none, as in the Gateway API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Timeouts {
    /// The whole request, retries included.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub request: Option<Duration>,
    /// One attempt.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub backend_request: Option<Duration>,
}

impl Timeouts {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
