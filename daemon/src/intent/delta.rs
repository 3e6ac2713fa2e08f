//! One change: who, when, why, and what became of which value.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose word a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Domain {
    /// The mesh's: what people declared in manifests.
    Intent,
    /// This node's own: what it registered.
    Node,
}

/// Where a value is kept: `intent:service/default/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) domain: Domain,
    pub(crate) path: String,
}

/// A value put (`after`), replaced (both) or deleted (`before` alone).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Op {
    pub(crate) key: Key,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
}

/// Who made a change, from the socket's peer credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Author {
    pub(crate) uid: u32,
    /// Empty where the uid has no name here.
    pub(crate) user: String,
    pub(crate) pid: i32,
    pub(crate) command_line: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delta {
    /// Unix milliseconds, by this node's clock; the order is the revision's, never the time's.
    pub(crate) time_ms: u64,
    pub(crate) author: Author,
    pub(crate) reason: String,
    pub(crate) ops: Vec<Op>,
}

/// A delta in its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) revision: u64,
    pub(crate) delta: Delta,
}

impl Author {
    /// The daemon itself, because of `reason`.
    pub(crate) fn meshd(reason: &str) -> Self {
        Self {
            uid: nix::unistd::geteuid().as_raw(),
            user: "meshd".to_owned(),
            pid: i32::try_from(std::process::id()).unwrap_or_default(),
            command_line: reason.to_owned(),
        }
    }
}

impl Op {
    /// The operation that takes this one back.
    pub(crate) fn inverse(&self) -> Self {
        Self { key: self.key.clone(), before: self.after.clone(), after: self.before.clone() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = match self.domain {
            Domain::Intent => "intent",
            Domain::Node => "node",
        };
        write!(f, "{domain}:{}", self.path)
    }
}
