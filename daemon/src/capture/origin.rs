//! Where a captured connection wanted to go and who is calling, as the kernel knows it.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Everything the kernel says about one captured connection or question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// What the application asked for, as the snapshot's `destinations` spell it: an endpoint
    /// asked by another address of this node appears under the endpoint's own.
    pub(crate) destination: SocketAddr,
    /// The caller's run scope (inode of its directory): the key of `Snapshot::workloads`.
    pub(crate) cgroup: Option<u64>,
    /// 0 = not known.
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    /// `comm`, NUL-padded.
    pub(crate) process: [u8; 16],
    /// From the application's connect in the kernel to now; zero where it is not known.
    pub(crate) connecting: Duration,
}

/// The connection is not one we captured: refuse it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OriginError {
    /// Somebody connected to meshd's port directly.
    #[error("not a captured connection")]
    Direct,
    #[error("the kernel does not say where it wanted to go")]
    Unknown(#[source] std::io::Error),
}

/// Answers for accepted connections; cheap to clone, one system call per connection.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    fixed: Option<Origin>,
}

impl Origins {
    /// Nothing is captured: every connection is [`OriginError::Direct`].
    pub(crate) fn none() -> Self {
        Self { fixed: None }
    }

    /// Every connection wanted to go to `origin.destination`: for tests and benchmarks.
    pub(crate) fn fixed(origin: Origin) -> Self {
        Self { fixed: Some(origin) }
    }

    /// To be asked once per accepted connection, right after `accept`: it answers a second time
    /// with [`OriginError::Direct`].
    ///
    /// `peer` and `local` are the stream's two addresses.
    pub(crate) fn of(
        &self,
        _stream: BorrowedFd<'_>,
        _peer: SocketAddr,
        _local: SocketAddr,
    ) -> Result<Origin, OriginError> {
        self.fixed.ok_or(OriginError::Direct)
    }
}
