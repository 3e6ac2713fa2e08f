//! One address that serves, and how it is probed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the last probes, and nothing else, say about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub(crate) enum Health {
    /// No check is declared: taken for healthy.
    Unchecked = 0,
    /// Declared but not probed yet; gets traffic only while nothing healthier exists.
    Unknown = 1,
    Healthy = 2,
    Unhealthy = 3,
}

impl Health {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// An endpoint's active health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HealthCheck {
    pub(crate) probe: Probe,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// Failures in a row that make a healthy endpoint unhealthy.
    pub(crate) unhealthy_after: u32,
    /// Passes in a row that make an unhealthy endpoint healthy.
    pub(crate) healthy_after: u32,
    /// State before the first probe: `Unknown` by default, `Healthy` where declared.
    pub(crate) initial: Health,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            probe: Probe::Tcp,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            unhealthy_after: 3,
            healthy_after: 2,
            initial: Health::Unknown,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Probe {
    Tcp,
    /// GET of this path; `expect` lists the passing status codes, empty for 200…399.
    Http {
        path: String,
        expect: Vec<u16>,
    },
}
