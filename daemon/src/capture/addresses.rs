//! This host's own addresses, followed as they come and go: an endpoint on 127.0.0.1 is reached
//! under each of them.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use tokio::io::unix::AsyncFd;
use tracing::warn;

/// `RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR` and the same of routes (linux/rtnetlink.h): the
/// default route decides which of the addresses is this host's main one.
const ADDRESS_NEWS: u32 = 0x10 | 0x100 | 0x40 | 0x400;

/// Every unicast address of this network namespace but loopback, sorted.
pub(crate) fn own_addresses() -> Vec<IpAddr> {
    let interfaces = match nix::ifaddrs::getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            warn!(%error, "cannot list this host's addresses");
            return Vec::new();
        }
    };
    let ip = |address: nix::sys::socket::SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    let mut own: Vec<IpAddr> =
        interfaces.filter_map(|interface| ip(interface.address?)).filter(is_reachable).collect();
    own.sort_unstable();
    own.dedup();
    own
}

/// A link-local address means nothing without its interface.
fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

/// Tells when the addresses may have changed.
#[derive(Debug)]
pub(crate) struct AddressNews {
    socket: AsyncFd<OwnedFd>,
}

impl AddressNews {
    /// # Errors
    /// The kernel refused the netlink socket.
    pub(crate) fn subscribe() -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let family = AddressFamily::Netlink;
        let socket = socket(family, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, ADDRESS_NEWS))?;
        Ok(Self { socket: super::host::watched(socket)? })
    }

    /// Returns after news arrived; what they say is read from the kernel anew. Cancel-safe.
    ///
    /// # Errors
    /// The socket broke.
    pub(crate) async fn changed(&self) -> io::Result<()> {
        let mut guard = self.socket.readable().await?;
        let mut message = [0; 8192];
        // Overrun (ENOBUFS) is news too: something changed.
        while let Ok(1..) =
            recv(self.socket.get_ref().as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT)
        {}
        guard.clear_ready();
        Ok(())
    }
}
