//! Whose a socket is: `sock_diag`, one exact question at a time.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use nix::sys::socket::SockProtocol;

use super::netlink::{self, HEADER, attribute, u16_at, u32_at};
use crate::model::canonical;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_CGROUP_ID: u16 = 21;
/// `struct inet_diag_req_v2`.
const BODY: usize = 56;
/// States of `net/tcp_states.h` in which a socket is nobody's end of a connection. The kernel
/// offers a listener where it finds no connection, and what it keeps of one that has ended.
const TIME_WAIT: u8 = 6;
const LISTEN: u8 = 10;
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
        let answer = netlink::ask(&netlink, &request(protocol, local, remote))?;
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
    parse(&netlink::ask(netlink, &request(protocol, local, remote))?)
}

/// A socket to ask with, in the calling thread's network namespace.
pub(super) fn open() -> io::Result<OwnedFd> {
    netlink::open(SockProtocol::NetlinkSockDiag)
}

fn request(protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    // An IPv6 socket that talks IPv4 is found among the IPv4 ones.
    let (local, remote) = (canonical(local), canonical(remote));
    let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // For UDP the kernel looks up the receiver of a packet, so the ends swap.
    let (number, source, destination) = match protocol {
        Protocol::Tcp => (libc::IPPROTO_TCP, local, remote),
        Protocol::Udp => (libc::IPPROTO_UDP, remote, local),
    };
    let mut bytes = Vec::with_capacity(BODY);
    bytes.extend([family as u8, number as u8, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes()); // any state
    bytes.extend(source.port().to_be_bytes());
    bytes.extend(destination.port().to_be_bytes());
    bytes.extend(address(source.ip()));
    bytes.extend(address(destination.ip()));
    bytes.extend(0_u32.to_ne_bytes()); // any interface
    bytes.extend([0xff; 8]); // any cookie
    netlink::request(SOCK_DIAG_BY_FAMILY, &bytes)
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
    if [TIME_WAIT, LISTEN].contains(message.get(1).ok_or_else(short)?) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let uid = u32_at(message, 64).ok_or_else(short)?;
    let inode = u32_at(message, 68).ok_or_else(short)?;
    let attributes = message.get(MESSAGE..).ok_or_else(short)?;
    let cgroup = attribute(attributes, INET_DIAG_CGROUP_ID)
        .and_then(|value| value.get(..8)?.try_into().ok())
        .map_or(0, u64::from_ne_bytes);
    Ok(Owner { uid, inode, cgroup })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_listener_is_nobodys_end_of_a_connection() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = server.local_addr().unwrap();
        let client = TcpStream::connect(remote).unwrap();
        let local = client.local_addr().unwrap();
        let found = owner(Protocol::Tcp, local, remote).unwrap();
        assert_ne!((found.inode, found.cgroup), (0, 0));

        let elsewhere = SocketAddr::new(remote.ip(), 9);
        let error = owner(Protocol::Tcp, remote, elsewhere).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
