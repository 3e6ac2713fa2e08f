//! What this node declares: one [`Claim`] per endpoint, made by `register`.
//!
//! A claim is the node's own word, durable in the intent log beside the manifests. Registering
//! again merges: what the caller leaves out keeps its value, so a second `register --subset v2`
//! cannot silently drop a health check.

mod merge;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::{Bound, Compat, Declared, HealthCheck, Place, ServiceName};

pub(crate) use merge::{CheckEdit, Registration};

/// One endpoint this node offers for a service; its service, address and transport are its
/// identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub(crate) service: ServiceName,
    /// The service port, as in `web.mesh:80`.
    pub(crate) port: u16,
    pub(crate) protocol: Declared,
    /// Where the endpoint listens, in the daemon's network namespace.
    pub(crate) address: SocketAddr,
    /// Empty for none.
    pub(crate) subset: String,
    pub(crate) weight: u32,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) health: Option<HealthCheck>,
    pub(crate) compat: Compat,
    /// Who claimed the name first; only this user, root and grantees may claim it again.
    pub(crate) owner_uid: u32,
    /// Whose life it shares; `None`: it is there until it is deregistered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bound: Option<Bound>,
}

/// What makes a claim the same claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClaimKey {
    pub(crate) service: ServiceName,
    pub(crate) place: Place,
}

impl Claim {
    pub(crate) fn key(&self) -> ClaimKey {
        ClaimKey { service: self.service.clone(), place: self.place() }
    }

    pub(crate) fn place(&self) -> Place {
        Place { transport: self.protocol.transport(), address: self.address }
    }
}
