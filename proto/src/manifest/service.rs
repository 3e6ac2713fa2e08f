//! `Service` (mesh/v1): a named destination, its ports, and the endpoints behind it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Metadata, duration};

#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub metadata: Metadata,
    pub spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub compat: Compat,
    #[serde(default, skip_serializing_if = "is_default")]
    pub forward: Forward,
    #[serde(default, skip_serializing_if = "is_default")]
    pub inbound: Inbound,
    /// Subsets chosen by endpoints' labels, beside those that endpoints name themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subsets: Vec<SubsetSelector>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
}

impl ServiceSpec {
    /// The port `endpoint` serves: the one it names, the only one, the one of its own number;
    /// else it makes its own.
    #[must_use]
    pub fn port_of(&self, endpoint: &Endpoint) -> u16 {
        endpoint.service_port.or_else(|| self.only_port()).unwrap_or(endpoint.port)
    }

    /// The number all its ports have: there may be two, one of them of datagrams.
    #[must_use]
    pub fn only_port(&self) -> Option<u16> {
        let first = self.ports.first()?.port;
        self.ports.iter().all(|port| port.port == first).then_some(first)
    }

    /// What `endpoint` speaks: it serves every port of its number.
    pub fn protocols_of(&self, endpoint: &Endpoint) -> impl Iterator<Item = Protocol> {
        let number = self.port_of(endpoint);
        let declared = self.ports.iter().filter(move |port| port.port == number);
        let none = declared.clone().next().is_none().then(Protocol::default);
        declared.map(|port| port.protocol).chain(none)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    pub port: u16,
    #[serde(default, skip_serializing_if = "is_default")]
    pub protocol: Protocol,
}

impl ServicePort {
    /// Both cannot be declared: datagrams and connections have ports of their own.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let is_udp = |port: &Self| port.protocol == Protocol::Udp;
        self.port == other.port && is_udp(self) == is_udp(other)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The first bytes decide.
    #[default]
    Detect,
    Tcp,
    Http,
    Grpc,
    /// Datagrams, passed on unread.
    Udp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compat {
    #[default]
    Strict,
    Lenient,
}

/// How connections to the service get to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forward {
    #[default]
    Proxy,
    /// Straight: the endpoint is picked when the application connects.
    Connect,
}

/// What becomes of traffic that arrives at ports of endpoints whose processes are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inbound {
    /// Clients outside the mesh; `None`: as the whole mesh does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmeshed: Option<Unmeshed>,
    /// The application sees the client's address, not meshd's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preserve_client: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unmeshed {
    Allow,
    Refuse,
}

/// Every endpoint that carries all of `labels` belongs to the subset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubsetSelector {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The node whose network the address belongs to; `None` for the node that reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    pub address: IpAddr,
    pub port: u16,
    /// Which of the service's ports it serves; needed only when there are several and none
    /// has the endpoint's own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<String>,
    /// Share among the endpoints of its subset.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// How endpoints are probed. Absent numbers mean meshd's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "written::Health")]
pub struct HealthCheck {
    /// Path to GET; without it, opening a TCP connection is the probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<bool>,
    /// Passing status codes; empty for 200…399.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<u16>,
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_after: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_after: Option<u32>,
    /// What an endpoint counts as before its first probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<InitialHealth>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InitialHealth {
    /// Gets traffic only while nothing healthier exists.
    Unknown,
    Healthy,
}

impl HealthCheck {
    /// Probed when a check says `http` and no path.
    pub const DEFAULT_PATH: &'static str = "/health";

    /// Reads the short form: `tcp`, `http`, `http:/path`.
    #[must_use]
    pub fn short(text: &str) -> Option<Self> {
        let path = match text.split_once(':') {
            None if text == "tcp" => return Some(Self { tcp: Some(true), ..Self::default() }),
            None if text == "http" => Self::DEFAULT_PATH,
            Some(("http", path)) if path.starts_with('/') => path,
            _ => return None,
        };
        Some(Self { http: Some(path.to_owned()), ..Self::default() })
    }
}

/// The form people write, where a short string stands for a whole check.
mod written {
    use std::time::Duration;

    use serde::Deserialize;

    use super::{HealthCheck, InitialHealth, duration};

    #[derive(Deserialize)]
    #[serde(untagged)]
    pub(super) enum Health {
        Short(String),
        Long(Long),
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    pub(super) struct Long {
        http: Option<String>,
        tcp: Option<bool>,
        expect: Vec<u16>,
        #[serde(with = "duration")]
        interval: Option<Duration>,
        #[serde(with = "duration")]
        timeout: Option<Duration>,
        unhealthy_after: Option<u32>,
        healthy_after: Option<u32>,
        initial: Option<InitialHealth>,
    }

    impl From<Health> for HealthCheck {
        fn from(written: Health) -> Self {
            match written {
                // Validation has refused texts that are no short form.
                Health::Short(text) => Self::short(&text).unwrap_or_default(),
                Health::Long(long) => Self {
                    http: long.http,
                    tcp: long.tcp,
                    expect: long.expect,
                    interval: long.interval,
                    timeout: long.timeout,
                    unhealthy_after: long.unhealthy_after,
                    healthy_after: long.healthy_after,
                    initial: long.initial,
                },
            }
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one(weight: &u32) -> bool {
    *weight == 1
}
