//! What is declared, as values, and its form in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use mesh_proto::manifest::{self, Object};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::intent::{Domain, Key, Op, State};
use crate::model::{Bypass, Extent, Place, ServiceName};
use crate::registry::{Claim, ClaimKey};

/// A declared value, and how it came to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// Kept with the value, so that undoing a deletion brings it back too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Who declared it first.
    pub(crate) uid: u32,
    /// The set of manifests it belongs to (`apply --set`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) set: Option<String>,
    pub(crate) created_ms: u64,
    /// The change that made it what it is.
    pub(crate) generation: u64,
}

/// Everything people and this node declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Declared {
    pub(crate) objects: BTreeMap<manifest::Key, Arc<Held<Object>>>,
    pub(crate) claims: BTreeMap<ClaimKey, Arc<Held<Claim>>>,
    /// Those whose time is over among them, until that is written down.
    pub(crate) bypasses: BTreeMap<Extent, Arc<Held<Bypass>>>,
}

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// An object, or this node's claims in a service.
    Object(manifest::Key),
    Bypass(Extent),
}

/// A value of the log that this daemon cannot read.
#[derive(Debug, thiserror::Error)]
#[error("{key} cannot be read")]
pub(crate) struct BadValue {
    key: String,
    #[source]
    source: serde_json::Error,
}

#[derive(Deserialize)]
struct Stored {
    #[serde(flatten)]
    origin: Origin,
    value: Value,
}

impl Declared {
    pub(super) fn decode(state: &State) -> Result<Self, BadValue> {
        let mut declared = Self::default();
        for (key, text) in state.iter() {
            declared.insert(key, text)?;
        }
        Ok(declared)
    }

    /// Makes one value what `op` says it was after.
    pub(super) fn replay(&mut self, op: &Op) -> Result<(), BadValue> {
        match (&op.after, &op.before) {
            (Some(text), _) => self.insert(&op.key, text),
            (None, Some(text)) => {
                let mut gone = Self::default();
                gone.insert(&op.key, text)?;
                self.objects.retain(|key, _| !gone.objects.contains_key(key));
                self.claims.retain(|key, _| !gone.claims.contains_key(key));
                self.bypasses.retain(|key, _| !gone.bypasses.contains_key(key));
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    /// Puts the value `text` says, as the log has it.
    pub(super) fn insert(&mut self, key: &Key, text: &str) -> Result<(), BadValue> {
        let bad = |source| BadValue { key: key.to_string(), source };
        let Stored { origin, value } = serde_json::from_str(text).map_err(bad)?;
        match key.domain {
            Domain::Intent => {
                let value = Object::from_json(value).map_err(bad)?;
                self.objects.insert(value.key(), Arc::new(Held { value, origin }));
            }
            Domain::Node if is_bypass(key) => {
                let value: Bypass = serde_json::from_value(value).map_err(bad)?;
                self.bypasses.insert(value.extent.clone(), Arc::new(Held { value, origin }));
            }
            Domain::Node => {
                let value: Claim = serde_json::from_value(value).map_err(bad)?;
                self.claims.insert(value.key(), Arc::new(Held { value, origin }));
            }
        }
        Ok(())
    }

    /// The text of a value as the log has it.
    pub(super) fn text_of(&self, key: &Key) -> Option<String> {
        let of = match (topic(key)?, key.domain) {
            (Topic::Bypass(extent), _) => {
                return self.bypasses.get(&extent).map(|held| text(&held.origin, &held.value));
            }
            (Topic::Object(of), Domain::Intent) => {
                return self.objects.get(&of).map(|held| text(&held.origin, &held.value.to_json()));
            }
            (Topic::Object(of), Domain::Node) => of,
        };
        let place = Place::from_short(key.path.rsplit('/').next()?)?;
        let service = ServiceName::new(&of.namespace, &of.name);
        let held = self.claims.get(&ClaimKey { service, place })?;
        Some(text(&held.origin, &held.value))
    }

    /// Claims of one service, by address.
    pub(crate) fn claims_of(
        &self,
        service: &ServiceName,
    ) -> impl Iterator<Item = &Arc<Held<Claim>>> {
        let claims = self.claims.values();
        let service = service.clone();
        claims.filter(move |held| held.value.service == service)
    }

    pub(crate) fn service_object(&self, service: &ServiceName) -> Option<&Arc<Held<Object>>> {
        self.objects.get(&service_key(service))
    }

    /// Whether anybody declared the service.
    pub(crate) fn has_service(&self, service: &ServiceName) -> bool {
        self.service_object(service).is_some() || self.claims_of(service).next().is_some()
    }

    /// Every declared service, by whomever.
    pub(crate) fn services(&self) -> Vec<ServiceName> {
        let objects = self.objects.keys().filter(|key| key.kind == manifest::Kind::Service);
        let declared = objects.map(|key| ServiceName::new(&key.namespace, &key.name));
        let claimed = self.claims.keys().map(|key| key.service.clone());
        let mut services: Vec<_> = declared.chain(claimed).collect();
        services.sort_unstable();
        services.dedup();
        services
    }

    /// Keys of every object there is, by whomever, in the order in which they are listed.
    pub(crate) fn keys(&self) -> BTreeSet<manifest::Key> {
        let services = self.services();
        self.objects.keys().cloned().chain(services.iter().map(service_key)).collect()
    }

    /// How an object, and the claims of a service, came to be.
    pub(crate) fn origins(&self, key: &manifest::Key) -> Vec<&Origin> {
        let mut origins: Vec<_> =
            self.objects.get(key).map(|held| &held.origin).into_iter().collect();
        if key.kind == manifest::Kind::Service {
            let name = ServiceName::new(&key.namespace, &key.name);
            let claims = self.claims.iter().filter(|(claim, _)| claim.service == name);
            origins.extend(claims.map(|(_, held)| &held.origin));
        }
        origins
    }

    /// The operations that lead from `self` to `after`.
    pub(super) fn difference(&self, after: &Self) -> Vec<Op> {
        let objects = operations(
            Domain::Intent,
            &self.texts_of_objects(after),
            &after.texts_of_objects(self),
        );
        let claims =
            operations(Domain::Node, &self.texts_of_claims(after), &after.texts_of_claims(self));
        let bypasses = operations(
            Domain::Node,
            &self.texts_of_bypasses(after),
            &after.texts_of_bypasses(self),
        );
        objects.into_iter().chain(claims).chain(bypasses).collect()
    }

    /// Log path and text of every object that is not the very same in `other`.
    fn texts_of_objects(&self, other: &Self) -> BTreeMap<String, String> {
        let text = |held: &Held<Object>| text(&held.origin, &held.value.to_json());
        changed(&self.objects, &other.objects)
            .map(|(key, held)| (object_path(key), text(held)))
            .collect()
    }

    fn texts_of_claims(&self, other: &Self) -> BTreeMap<String, String> {
        changed(&self.claims, &other.claims)
            .map(|(key, held)| (claim_path(key), text(&held.origin, &held.value)))
            .collect()
    }

    fn texts_of_bypasses(&self, other: &Self) -> BTreeMap<String, String> {
        changed(&self.bypasses, &other.bypasses)
            .map(|(extent, held)| (bypass_path(extent), text(&held.origin, &held.value)))
            .collect()
    }
}

/// What is not the very same in `theirs`.
fn changed<'a, K: Ord, T>(
    ours: &'a BTreeMap<K, Arc<Held<T>>>,
    theirs: &'a BTreeMap<K, Arc<Held<T>>>,
) -> impl Iterator<Item = (&'a K, &'a Arc<Held<T>>)> {
    let differs =
        |key: &K, held: &Arc<Held<T>>| !theirs.get(key).is_some_and(|same| Arc::ptr_eq(same, held));
    ours.iter().filter(move |(key, held)| differs(key, held))
}

fn operations(
    domain: Domain,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<Op> {
    let mut paths: Vec<_> = before.keys().chain(after.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    let op = |path: &String| Op {
        key: Key { domain, path: path.clone() },
        before: before.get(path).cloned(),
        after: after.get(path).cloned(),
    };
    changed.map(op).collect()
}

pub(crate) fn service_key(service: &ServiceName) -> manifest::Key {
    manifest::Key {
        kind: manifest::Kind::Service,
        namespace: service.namespace.clone(),
        name: service.name.clone(),
    }
}

/// What a value of the log is about; a claim: the service it is for.
pub(super) fn topic(key: &Key) -> Option<Topic> {
    let mut parts = key.path.splitn(4, '/');
    let (kind, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
    let kind = match key.domain {
        Domain::Intent => manifest::Kind::find(kind)?,
        Domain::Node if is_bypass(key) && name == ANY => {
            return Some(Topic::Bypass(Extent::Everything));
        }
        Domain::Node if is_bypass(key) => {
            return Some(Topic::Bypass(Extent::Service(ServiceName::new(namespace, name))));
        }
        Domain::Node => manifest::Kind::Service,
    };
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    Some(Topic::Object(manifest::Key { kind, namespace, name }))
}

fn object_path(key: &manifest::Key) -> String {
    format!("{}/{}/{}", key.kind.short(), key.namespace, key.name)
}

fn claim_path(key: &ClaimKey) -> String {
    format!("endpoint/{}/{}/{}", key.service.namespace, key.service.name, key.place.short())
}

fn bypass_path(extent: &Extent) -> String {
    match extent {
        Extent::Everything => format!("{BYPASS}{ANY}/{ANY}"),
        Extent::Service(ServiceName { namespace, name }) => format!("{BYPASS}{namespace}/{name}"),
    }
}

fn is_bypass(key: &Key) -> bool {
    key.path.starts_with(BYPASS)
}

const BYPASS: &str = "bypass/";
/// Stands for every name, and is none.
const ANY: &str = "*";

impl Topic {
    pub(crate) fn is(&self, key: &manifest::Key) -> bool {
        matches!(self, Self::Object(of) if of == key)
    }
}

/// `service/web`, `bypass/web`, `bypass/*`.
impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(key) => key.fmt(f),
            Self::Bypass(extent) => write!(f, "bypass/{extent}"),
        }
    }
}

/// The text a value has in the log. Plain structs with string keys: serialising cannot fail.
fn text(origin: &Origin, value: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Stored<'a, T> {
        #[serde(flatten)]
        origin: &'a Origin,
        value: &'a T,
    }
    serde_json::to_string(&Stored { origin, value }).unwrap_or_default()
}
