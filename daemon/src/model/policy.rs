//! How a service's traffic gets to its endpoints.

/// How connections to the service's address get to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Forward {
    /// meshd carries them.
    #[default]
    Proxy,
    /// Straight: the endpoint is picked in the kernel when the application connects, where the
    /// backend can do that.
    Connect,
}

/// What becomes of what comes in at the ports of the service's endpoints on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InboundPolicy {
    /// Whether clients outside the mesh are refused; `None`: as the whole mesh does.
    pub(crate) refuse_unmeshed: Option<bool>,
    /// The application sees the client's address, not meshd's.
    pub(crate) preserve_client: bool,
}
