//! Objects as `get -o json` shows them: the manifest's own shape plus `status`.
//!
//! The daemon fills these and the CLI prints them. Unknown is `null`, never `-`; fields are only
//! ever added.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{HttpRouteSpec, Kind, Metadata, Protocol, ServiceSpec, TcpRouteSpec};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View<Spec, Status> {
    pub api_version: String,
    pub kind: String,
    pub metadata: MetadataView,
    pub spec: Spec,
    pub status: Status,
}

pub type ServiceView = View<ServiceSpec, ServiceStatus>;
pub type HttpRouteView = View<HttpRouteSpec, RouteStatus>;
pub type TcpRouteView = View<TcpRouteSpec, RouteStatus>;

impl<Spec, Status> View<Spec, Status> {
    pub fn new(kind: Kind, metadata: MetadataView, spec: Spec, status: Status) -> Self {
        let (api_version, kind) = (kind.api_version().to_owned(), kind.name().to_owned());
        Self { api_version, kind, metadata, spec, status }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataView {
    #[serde(flatten)]
    pub declared: Metadata,
    /// The change that made the object what it is.
    pub generation: u64,
    /// RFC 3339, UTC.
    pub creation_timestamp: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    pub ready: u32,
    pub total: u32,
    /// The virtual address with the first port, "240.0.0.7:80".
    pub address: Option<String>,
    pub subsets: Vec<SubsetStatus>,
    pub ports: Vec<PortStatus>,
    pub endpoints: Vec<EndpointStatus>,
    pub live: Live,
    pub stats: Stats,
    /// Until when its traffic goes direct, RFC 3339; `null` while meshd carries it.
    pub bypassed_until: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubsetStatus {
    pub name: String,
    /// Its share in the rule without matches; `null` where no rule names it.
    pub weight: Option<u32>,
    pub ready: u32,
    pub total: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortStatus {
    pub port: u16,
    pub protocol: Protocol,
    /// "240.0.0.7:80" and "[fd6d:6573:6800::7]:80".
    pub addresses: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    pub node: String,
    pub address: String,
    pub port: u16,
    pub subset: Option<String>,
    pub weight: u32,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub health: HealthStatus,
    /// What the last probe met, "200 in 2ms", "connection refused".
    pub reason: Option<String>,
    pub open: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    Unchecked,
    Unknown,
    Healthy,
    Unhealthy,
}

/// How many nodes use this state of the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    pub applied: u32,
    pub nodes: u32,
}

/// Traffic of the last `windowS` seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    #[serde(rename = "windowS")]
    pub window_s: u32,
    pub rps: f64,
    /// 0..1; `null` without requests.
    pub success: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Requests and connections under way.
    pub open: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    pub attached: bool,
    pub parents: Vec<ParentStatus>,
    pub live: Live,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub attached: bool,
    /// Why not: `not attached: no Gateway "x"`.
    pub reason: Option<String>,
}
