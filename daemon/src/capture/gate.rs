//! Where captured traffic comes in: the sockets of one network namespace.

/// Tells the network namespaces apart in which meshd has sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GateId(pub(crate) u32);

impl GateId {
    /// The namespace meshd itself is in.
    pub(crate) const OWN: Self = Self(0);
}
