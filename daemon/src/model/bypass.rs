//! A time in which traffic goes direct, not through meshd.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ServiceName;

/// What goes direct on this node, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bypass {
    pub(crate) extent: Extent,
    /// Unix milliseconds.
    pub(crate) until_ms: u64,
}

/// How much of the traffic goes direct.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Extent {
    Everything,
    Service(ServiceName),
}

impl Extent {
    pub(crate) fn covers(&self, service: &ServiceName) -> bool {
        match self {
            Self::Everything => true,
            Self::Service(name) => name == service,
        }
    }
}

/// The service's name, or `*`, which is no name of a service.
impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("*"),
            Self::Service(name) => name.fmt(f),
        }
    }
}
