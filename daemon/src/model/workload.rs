//! Who is calling.

use std::net::IpAddr;
use std::sync::Arc;

use super::ServiceName;

/// Captured processes that share one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    /// Interned id of `label`, stable for the daemon's life ([`crate::state::Interner`]).
    pub(crate) id: u32,
    /// The service it runs as; `None` for an ephemeral run.
    pub(crate) service: Option<ServiceName>,
    /// What metrics and records call it: the service's name, or `-`.
    pub(crate) label: String,
    /// What people call these processes: "run-7f3a", "web.service", "uid 1000".
    pub(crate) run: String,
    /// Path below the cgroup2 mount; empty for those no cgroup holds.
    pub(crate) cgroup: String,
    /// Who brought them into the mesh.
    pub(crate) uid: u32,
    pub(crate) scope: Scope,
    pub(crate) egress: Egress,
}

impl Workload {
    /// Set in the keys of workloads that are no cgroup; those are keyed by their inode.
    pub(crate) const NO_CGROUP: u64 = 1 << 63;
    /// Key of the workload with [`Scope::Host`].
    pub(crate) const HOST: u64 = Self::NO_CGROUP;
}

/// Which processes a workload is. Where several match, the deepest cgroup wins, then the network
/// namespace, then the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything in this cgroup or below it (inode of its directory).
    Cgroup(u64),
    /// Everything in this network namespace (`SO_NETNS_COOKIE`).
    Netns(u64),
    /// Every process of this effective user in meshd's network namespace.
    Uid(u32),
    /// Every process of meshd's network namespace.
    Host,
}

impl Scope {
    /// Key of its workload in `Snapshot::workloads`.
    pub(crate) fn key(self) -> u64 {
        /// Cookies of namespaces are counted from 1 and never get here.
        const USER: u64 = 1 << 62;
        match self {
            Self::Cgroup(inode) => inode,
            Self::Netns(cookie) => Workload::NO_CGROUP | cookie,
            Self::Uid(uid) => Workload::NO_CGROUP | USER | u64::from(uid),
            Self::Host => Workload::HOST,
        }
    }
}

/// What besides the mesh a workload may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Egress {
    /// Everything, and none of it is captured.
    #[default]
    Any,
    /// Nothing: the rest is captured to be refused.
    Mesh,
    /// What one of these allows; the rest is captured to be refused.
    List(Arc<[Allowed]>),
}

impl Egress {
    /// Traffic to what is no part of the mesh has to be captured too.
    pub(crate) fn is_restricted(&self) -> bool {
        !matches!(self, Self::Any)
    }
}

/// One entry of an egress list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) host: AllowedHost,
    /// `None`: every port.
    pub(crate) port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AllowedHost {
    /// Lower case: exact, or `*.suffix` for everything below it.
    Name(String),
    Net {
        base: IpAddr,
        prefix: u8,
    },
}
