//! What this host, in this network namespace, looks like.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use tokio::io::unix::AsyncFd;

/// The source address a connection to `destination` would have; sends nothing.
pub(super) fn source_to(destination: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match destination {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((destination, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// What the rest of the world sees this host as: towards the default route, else any address.
pub(super) fn main_addresses(own: &[IpAddr]) -> (Ipv4Addr, Ipv6Addr) {
    /// Addresses of documentation: nobody has them, so the default route decides.
    const ELSEWHERE: (IpAddr, IpAddr) = (
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    );
    let first4 = own.iter().find(|ip| ip.is_ipv4()).copied();
    let first6 = own.iter().find(|ip| ip.is_ipv6()).copied();
    let v4 = match source_to(ELSEWHERE.0).or(first4) {
        Some(IpAddr::V4(ip)) => ip,
        Some(IpAddr::V6(_)) | None => Ipv4Addr::UNSPECIFIED,
    };
    let v6 = match source_to(ELSEWHERE.1).or(first6) {
        Some(IpAddr::V6(ip)) => ip,
        Some(IpAddr::V4(_)) | None => Ipv6Addr::UNSPECIFIED,
    };
    (v4, v6)
}

/// Loopback speaks IPv6.
pub(super) fn has_ipv6() -> bool {
    UdpSocket::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))).is_ok()
}

/// New connections get a congestion control that is slow on loopback: any but the two that are
/// known not to be, above all bbr.
pub(super) fn paces_connections() -> bool {
    let default = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control");
    !default.is_ok_and(|name| ["reno", "cubic"].contains(&name.trim()))
}

/// Identifies this network namespace to BPF programs.
pub(super) fn netns_cookie() -> io::Result<u64> {
    cookie_of(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?)
}

/// `SO_NETNS_COOKIE`: the network namespace `socket` was made in.
pub(super) fn cookie_of(socket: impl AsFd) -> io::Result<u64> {
    /// Which the libc crate does not have.
    const NETNS_COOKIE: libc::c_int = 71;
    let mut cookie = MaybeUninit::<u64>::zeroed();
    let mut size = size_of::<u64>() as libc::socklen_t;
    let (fd, into) = (socket.as_fd().as_raw_fd(), cookie.as_mut_ptr().cast());
    // SAFETY: `into` has room for `size` bytes.
    let result =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, NETNS_COOKIE, into, &raw mut size) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed, and the kernel filled it.
    Ok(unsafe { cookie.assume_init() })
}

/// A descriptor whose readiness tokio reports.
pub(super) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, always the same, and owned by nobody else.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}

/// A helper program, also where a service manager's PATH does not look.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let also = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(also)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// New connections are lost, captured or not, once the kernel tracks as many as it may.
pub(super) fn conntrack_has_room() -> Result<(), String> {
    let read = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}"));
        text.ok()?.trim().parse::<u64>().ok()
    };
    match (read("count"), read("max")) {
        (Some(count), Some(max)) if max > 0 && count >= max - max / 20 => Err(format!(
            "{count} of {max} connections are tracked, more are dropped: raise \
             net.netfilter.nf_conntrack_max"
        )),
        _ => Ok(()),
    }
}

/// Tables of legacy iptables are in use in this network namespace.
pub(super) fn has_legacy_tables() -> bool {
    ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"]
        .into_iter()
        .any(|file| fs::read_to_string(file).is_ok_and(|names| !names.trim().is_empty()))
}
