//! Whose a socket is: `sock_diag`, one exact question at a time.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use crate::model::canonical;

const NETLINK_SOCK_DIAG: libc::c_int = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const INET_DIAG_CGROUP_ID: u16 = 21;
const HEADER: usize = 16;
const REQUEST: usize = HEADER + 56;
/// `struct inet_diag_msg`, after which attributes follow.
const MESSAGE: usize = 72;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) inode: u32,
    /// Id of the cgroup the socket was made in; 0 where the kernel does not say.
    pub(super) cgroup: u64,
}

thread_local! {
    /// One per worker: opening it costs more than asking.
    static NETLINK: RefCell<Option<OwnedFd>> = const { RefCell::new(None) };
}

/// The socket of this host that talks from `local` to `remote`.
pub(super) fn owner(
    protocol: Protocol,
    local: SocketAddr,
    remote: SocketAddr,
) -> io::Result<Owner> {
    NETLINK.with_borrow_mut(|slot| {
        let netlink = match slot.take() {
            Some(netlink) => netlink,
            None => open()?,
        };
        // After an error the socket may hold a stale answer, so it is not kept.
        let answer = exchange(&netlink, &request(protocol, local, remote))?;
        *slot = Some(netlink);
        parse(&answer)
    })
}

/// The same for the network namespace `netlink` was made in.
pub(super) fn owner_by(
    netlink: &OwnedFd,
    protocol: Protocol,
    local: SocketAddr,
    remote: SocketAddr,
) -> io::Result<Owner> {
    parse(&exchange(netlink, &request(protocol, local, remote))?)
}

/// A socket to ask with, in the calling thread's network namespace.
pub(super) fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; the descriptor is checked and owned by nobody else.
    unsafe {
        let fd = libc::socket(libc::AF_NETLINK, kind, NETLINK_SOCK_DIAG);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

fn exchange(netlink: &OwnedFd, request: &[u8; REQUEST]) -> io::Result<Vec<u8>> {
    let fd = netlink.as_raw_fd();
    let mut answer = vec![0_u8; 4096];
    // SAFETY: both buffers are as long as said. The kernel answers within the `send`.
    let length = unsafe {
        if libc::send(fd, request.as_ptr().cast(), request.len(), 0) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::recv(fd, answer.as_mut_ptr().cast(), answer.len(), 0)
    };
    let length = usize::try_from(length).map_err(|_negative| io::Error::last_os_error())?;
    answer.truncate(length);
    Ok(answer)
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn request(protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> [u8; REQUEST] {
    // An IPv6 socket that talks IPv4 is found among the IPv4 ones.
    let (local, remote) = (canonical(local), canonical(remote));
    let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // For UDP the kernel looks up the receiver of a packet, so the ends swap.
    let (number, source, destination) = match protocol {
        Protocol::Tcp => (libc::IPPROTO_TCP, local, remote),
        Protocol::Udp => (libc::IPPROTO_UDP, remote, local),
    };
    let mut bytes = Vec::with_capacity(REQUEST);
    bytes.extend((REQUEST as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend([0; 8]); // sequence, port
    bytes.extend([family as u8, number as u8, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes()); // any state
    bytes.extend(source.port().to_be_bytes());
    bytes.extend(destination.port().to_be_bytes());
    bytes.extend(address(source.ip()));
    bytes.extend(address(destination.ip()));
    bytes.extend(0_u32.to_ne_bytes()); // any interface
    bytes.extend([0xff; 8]); // any cookie
    let mut request = [0; REQUEST];
    request.copy_from_slice(&bytes);
    request
}

fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn parse(answer: &[u8]) -> io::Result<Owner> {
    let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    if u16_at(answer, 4).ok_or_else(short)? != SOCK_DIAG_BY_FAMILY {
        let error = u32_at(answer, HEADER).ok_or_else(short)?.cast_signed();
        return Err(io::Error::from_raw_os_error(-error));
    }
    let message = answer.get(HEADER..).ok_or_else(short)?;
    let uid = u32_at(message, 64).ok_or_else(short)?;
    let inode = u32_at(message, 68).ok_or_else(short)?;
    let attributes = message.get(MESSAGE..).ok_or_else(short)?;
    let cgroup = attribute(attributes, INET_DIAG_CGROUP_ID)
        .and_then(|value| value.get(..8)?.try_into().ok())
        .map_or(0, u64::from_ne_bytes);
    Ok(Owner { uid, inode, cgroup })
}

fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        let kind = u16_at(attributes, 2)?;
        if kind == wanted {
            return attributes.get(4..length);
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
