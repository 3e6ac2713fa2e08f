//! The states `wait --for` knows.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::jsonpath::{InvalidPath, Path};
use crate::command::get;
use crate::command::object::{Object, field};

#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Exists,
    /// One endpoint takes traffic; a route is attached.
    Ready,
    /// Every endpoint takes traffic.
    Healthy,
    /// Every node uses it.
    Live,
    Deleted,
    /// The path selects something, which equals the value where one is given.
    Selects(Path, Option<String>),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidCondition {
    #[error("the states are exists, ready, healthy, live, deleted and jsonpath=EXPR[=VALUE]")]
    Unknown,
    #[error(transparent)]
    Path(#[from] InvalidPath),
}

impl FromStr for Condition {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        match text {
            "exists" => Ok(Self::Exists),
            "ready" => Ok(Self::Ready),
            "healthy" => Ok(Self::Healthy),
            "live" => Ok(Self::Live),
            "deleted" | "delete" => Ok(Self::Deleted),
            _ => {
                let rest = text.strip_prefix("jsonpath=").ok_or(InvalidCondition::Unknown)?;
                let (path, value) = path_and_value(rest);
                Ok(Self::Selects(path.parse()?, value))
            }
        }
    }
}

/// `{.a}=b`, `.a=b`, or either without a value.
fn path_and_value(text: &str) -> (&str, Option<String>) {
    let end = if text.starts_with('{') {
        text.rfind('}').map_or(text.len(), |brace| brace + 1)
    } else {
        text.find('=').unwrap_or(text.len())
    };
    let (path, rest) = text.split_at(end);
    let value = rest.strip_prefix('=').map(|value| value.trim_matches(['"', '\'']).to_owned());
    (path, value)
}

impl Condition {
    /// Whether the object, or its absence, is in this state.
    pub(crate) fn holds(&self, object: Option<&Object>) -> bool {
        let Some(object) = object else {
            return matches!(self, Self::Deleted);
        };
        match self {
            Self::Exists => true,
            Self::Deleted => false,
            Self::Ready => ready(object),
            Self::Healthy => healthy(object),
            Self::Live => {
                let nodes = object.count("/status/live/nodes");
                nodes > 0 && object.count("/status/live/applied") == nodes
            }
            Self::Selects(path, wanted) => {
                let found = path.select(&object.0);
                match wanted {
                    None => !found.is_empty(),
                    Some(wanted) => found.iter().any(|value| text_of(value) == *wanted),
                }
            }
        }
    }
}

fn ready(object: &Object) -> bool {
    match object.0.pointer("/status/attached").and_then(Value::as_bool) {
        Some(attached) => attached,
        None => object.count("/status/ready") > 0,
    }
}

fn healthy(object: &Object) -> bool {
    if object.kind() != "service" {
        return ready(object);
    }
    let total = object.count("/status/total");
    total > 0 && object.count("/status/ready") == total
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a person is told about the state that was seen last.
pub(crate) fn seen(object: Option<&Object>) -> String {
    let Some(object) = object else {
        return "does not exist".to_owned();
    };
    if object.kind() != "service" {
        let reasons = get::reasons(object);
        return if reasons.is_empty() { "exists".to_owned() } else { reasons };
    }
    let ready =
        format!("{}/{} ready", object.count("/status/ready"), object.count("/status/total"));
    let unready = object
        .list("/status/endpoints")
        .iter()
        .find(|endpoint| field(endpoint, "health") == "unhealthy");
    match unready.map(|endpoint| field(endpoint, "reason")).filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("{ready}, {reason}"),
        None => ready,
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => formatter.write_str("exists"),
            Self::Ready => formatter.write_str("ready"),
            Self::Healthy => formatter.write_str("healthy"),
            Self::Live => formatter.write_str("live"),
            Self::Deleted => formatter.write_str("deleted"),
            Self::Selects(path, None) => write!(formatter, "{path}"),
            Self::Selects(path, Some(value)) => write!(formatter, "{path}={value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(ready: u64, total: u64) -> Object {
        Object(json!({"kind": "Service", "metadata": {"name": "web"},
            "status": {"ready": ready, "total": total, "live": {"applied": 1, "nodes": 1}}}))
    }

    fn holds(condition: &str, object: Option<&Object>) -> bool {
        condition.parse::<Condition>().unwrap().holds(object)
    }

    #[test]
    fn ready_needs_one_endpoint_and_healthy_all() {
        assert!(holds("ready", Some(&service(1, 2))));
        assert!(!holds("healthy", Some(&service(1, 2))));
        assert!(holds("healthy", Some(&service(2, 2))));
        assert!(!holds("healthy", Some(&service(0, 0))));
        assert!(holds("live", Some(&service(0, 1))));
    }

    #[test]
    fn what_is_missing_is_deleted_and_nothing_else() {
        assert!(holds("deleted", None));
        assert!(!holds("exists", None));
        assert!(!holds("deleted", Some(&service(1, 1))));
    }

    #[test]
    fn a_jsonpath_may_name_the_value_it_waits_for() {
        assert!(holds("jsonpath={.status.ready}=2", Some(&service(2, 2))));
        assert!(!holds("jsonpath={.status.ready}=3", Some(&service(2, 2))));
        assert!(holds("jsonpath=.metadata.name=web", Some(&service(2, 2))));
        assert!(!holds("jsonpath={.status.nothing}", Some(&service(2, 2))));
        assert!("sometime".parse::<Condition>().is_err());
    }
}
