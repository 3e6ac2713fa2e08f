//! What every declared object has: metadata, a kind, a key.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{HttpRoute, Kind, Service, TcpRoute};

pub const DEFAULT_NAMESPACE: &str = "default";

/// One declared object, canonical: defaults filled in, short forms expanded.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    Service(Service),
    HttpRoute(HttpRoute),
    TcpRoute(TcpRoute),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    pub name: String,
    #[serde(default = "default_namespace", skip_serializing_if = "is_default_namespace")]
    pub namespace: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

fn default_namespace() -> String {
    DEFAULT_NAMESPACE.to_owned()
}

fn is_default_namespace(namespace: &str) -> bool {
    namespace == DEFAULT_NAMESPACE
}

impl Metadata {
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        let namespace = if namespace.is_empty() { DEFAULT_NAMESPACE } else { namespace };
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }
}

/// What identifies an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

/// `service/web`, or `service/shop/web` outside the default namespace.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace == DEFAULT_NAMESPACE {
            write!(f, "{}/{}", self.kind.short(), self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind.short(), self.namespace, self.name)
        }
    }
}

impl Object {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Service(_) => Kind::Service,
            Self::HttpRoute(_) => Kind::HttpRoute,
            Self::TcpRoute(_) => Kind::TcpRoute,
        }
    }

    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Service(object) => &object.metadata,
            Self::HttpRoute(object) => &object.metadata,
            Self::TcpRoute(object) => &object.metadata,
        }
    }

    #[must_use]
    pub fn key(&self) -> Key {
        let Metadata { namespace, name, .. } = self.metadata();
        Key { kind: self.kind(), namespace: namespace.clone(), name: name.clone() }
    }

    /// Canonical and minimal: fields that have their default are left out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let spec = match self {
            Self::Service(object) => serde_json::to_value(&object.spec),
            Self::HttpRoute(object) => serde_json::to_value(&object.spec),
            Self::TcpRoute(object) => serde_json::to_value(&object.spec),
        };
        let metadata = serde_json::to_value(self.metadata());
        let mut json = Map::new();
        json.insert("apiVersion".to_owned(), self.kind().api_version().into());
        json.insert("kind".to_owned(), self.kind().name().into());
        // Plain structs with string keys: turning them into a Value cannot fail.
        json.insert("metadata".to_owned(), metadata.unwrap_or_default());
        json.insert("spec".to_owned(), spec.unwrap_or_default());
        Value::Object(json)
    }

    /// Reads what [`Self::to_json`] wrote. It does not validate: what people write goes through
    /// [`super::parse`].
    ///
    /// # Errors
    /// When `json` is not such an object.
    pub fn from_json(json: Value) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Envelope<Spec> {
            metadata: Metadata,
            spec: Spec,
        }
        fn read<S: DeserializeOwned>(json: Value) -> Result<(Metadata, S), serde_json::Error> {
            let Envelope { metadata, spec } = serde_json::from_value(json)?;
            Ok((metadata, spec))
        }
        let kind = json.get("kind").and_then(Value::as_str).unwrap_or_default();
        match Kind::ALL.into_iter().find(|known| known.name() == kind) {
            Some(Kind::Service) => {
                read(json).map(|(metadata, spec)| Self::Service(Service { metadata, spec }))
            }
            Some(Kind::HttpRoute) => {
                read(json).map(|(metadata, spec)| Self::HttpRoute(HttpRoute { metadata, spec }))
            }
            Some(Kind::TcpRoute) => {
                read(json).map(|(metadata, spec)| Self::TcpRoute(TcpRoute { metadata, spec }))
            }
            None => Err(serde::de::Error::custom(format!("unknown kind {kind:?}"))),
        }
    }
}
