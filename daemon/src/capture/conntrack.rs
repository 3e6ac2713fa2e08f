//! The client's own end of a redirected connection.
//!
//! Two clients may use one port towards different destinations. Redirected, both would be the same
//! connection, so the kernel gives one of them another port, which meshd sees; so it does while it
//! remembers a connection that has ended. Only conntrack knows the port of the client's socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::sys::socket::SockProtocol;

use super::netlink::{self, attribute, encoded, nested};
use super::netns::Site;
use crate::model::canonical;

/// Messages and attributes of `linux/netfilter/nfnetlink_conntrack.h`.
const CT_NEW: u16 = 1 << 8;
const CT_GET: u16 = (1 << 8) | 1;
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const V4_SRC: u16 = 1;
const V4_DST: u16 = 2;
const V6_SRC: u16 = 3;
const V6_DST: u16 = 4;
const PROTO_NUM: u16 = 1;
const PROTO_SRC_PORT: u16 = 2;
const PROTO_DST_PORT: u16 = 3;

/// The address the client's socket has whose connection came from `peer` to `local`.
///
/// # Errors
/// Not found: nobody tracks it (any more).
pub(super) fn client(site: &Site, peer: SocketAddr, local: SocketAddr) -> io::Result<SocketAddr> {
    let netlink = site.inside(|| netlink::open(SockProtocol::NetlinkNetFilter))?;
    let answer = netlink::ask(&netlink, &request(canonical(peer), canonical(local)))?;
    source(&answer).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Asks for the connection whose answers go from `local` to `peer`.
fn request(peer: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let (family, from, to) = match local.ip() {
        IpAddr::V4(_) => (libc::AF_INET, V4_SRC, V4_DST),
        IpAddr::V6(_) => (libc::AF_INET6, V6_SRC, V6_DST),
    };
    let ip = [encoded(from, &octets(local.ip())), encoded(to, &octets(peer.ip()))].concat();
    let ports = [
        encoded(PROTO_NUM, &[libc::IPPROTO_TCP as u8]),
        encoded(PROTO_SRC_PORT, &local.port().to_be_bytes()),
        encoded(PROTO_DST_PORT, &peer.port().to_be_bytes()),
    ];
    let tuple = [nested(TUPLE_IP, &ip), nested(TUPLE_PROTO, &ports.concat())].concat();
    let body = [vec![family as u8, 0, 0, 0], nested(TUPLE_REPLY, &tuple)].concat();
    netlink::request(CT_GET, &body)
}

/// Where the connection in an answer was opened from.
fn source(answer: &[u8]) -> Option<SocketAddr> {
    let tuple = attribute(netlink::of_netfilter(answer, CT_NEW)?, TUPLE_ORIG)?;
    let ip = attribute(tuple, TUPLE_IP)?;
    let v4 = || <[u8; 4]>::try_from(attribute(ip, V4_SRC)?).ok().map(Ipv4Addr::from);
    let v6 = || <[u8; 16]>::try_from(attribute(ip, V6_SRC)?).ok().map(Ipv6Addr::from);
    let ip = v4().map(IpAddr::V4).or_else(|| v6().map(IpAddr::V6))?;
    let port = attribute(attribute(tuple, TUPLE_PROTO)?, PROTO_SRC_PORT)?;
    Some(SocketAddr::new(ip, u16::from_be_bytes(port.try_into().ok()?)))
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
