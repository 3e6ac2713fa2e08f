//! What HTTP and TCP routes share, and `TCPRoute`: where a route hangs and where it sends.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DEFAULT_NAMESPACE, Metadata};

#[derive(Clone, Debug, PartialEq)]
pub struct TcpRoute {
    pub metadata: Metadata,
    pub spec: TcpRouteSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TcpRouteSpec {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentRef>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<TcpRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TcpRule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<BackendRef>,
}

/// What a route hangs on. A `Service` makes it take effect; anything else is stored and reported
/// as not attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default = "gateway", skip_serializing_if = "is_gateway")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

fn gateway() -> String {
    "Gateway".to_owned()
}

fn is_gateway(kind: &str) -> bool {
    kind == "Gateway"
}

impl ParentRef {
    #[must_use]
    pub fn service(name: &str) -> Self {
        let kind = "Service".to_owned();
        let name = name.to_owned();
        Self { group: None, kind, namespace: None, name, section_name: None, port: None }
    }

    #[must_use]
    pub fn is_service(&self) -> bool {
        self.kind == "Service" && matches!(self.group.as_deref(), None | Some("" | "core" | "mesh"))
    }

    /// Whether it is the service `name` in `namespace`, for a route that lives in `home`.
    #[must_use]
    pub fn is(&self, namespace: &str, name: &str, home: &str) -> bool {
        self.is_service()
            && self.name == name
            && self.namespace.as_deref().unwrap_or(home) == namespace
    }
}

/// One weighted destination of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    /// Our addition to the Gateway API's fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Absent for 1, unless another backend of the rule has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Kept as written; refused where the route takes effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Value>,
}

impl BackendRef {
    #[must_use]
    pub fn new(name: &str, subset: Option<&str>, weight: Option<u32>) -> Self {
        Self {
            group: None,
            kind: None,
            namespace: None,
            name: name.to_owned(),
            subset: subset.map(str::to_owned),
            port: None,
            weight,
            filters: Vec::new(),
        }
    }

    #[must_use]
    pub fn share(&self) -> u32 {
        self.weight.unwrap_or(1)
    }

    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self.kind.as_deref(), None | Some("Service"))
            && matches!(self.group.as_deref(), None | Some("" | "core" | "mesh"))
    }

    /// Namespace of the service meant, for a route that lives in `home`.
    #[must_use]
    pub fn namespace<'a>(&'a self, home: &'a str) -> &'a str {
        match self.namespace.as_deref() {
            Some("") => DEFAULT_NAMESPACE,
            Some(namespace) => namespace,
            None => home,
        }
    }
}
