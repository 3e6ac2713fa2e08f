//! Who is calling.

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
    /// "run-7f3a".
    pub(crate) run: String,
    /// Path below the cgroup2 mount.
    pub(crate) cgroup: String,
    pub(crate) uid: u32,
}
