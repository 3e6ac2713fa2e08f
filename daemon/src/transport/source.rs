//! The address a connection to an endpoint comes from.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::Socket;

use crate::model::own_source;

/// Makes `socket` come from meshd's own address, which passes the capture of what comes in.
///
/// Without a way back to that address (IPv6, where packets are captured by their mark) it comes
/// from where the kernel says.
pub(crate) fn bind_own(socket: &Socket, upstream: SocketAddr) -> io::Result<()> {
    let source = own_source(upstream.ip());
    if source.is_ipv6() {
        if !leads_back(source) {
            return Ok(());
        }
        socket.set_freebind_v6(true)?;
    }
    // The port is chosen when it connects: then one port serves many endpoints.
    setsockopt(socket, IpBindAddressNoPort, &true)?;
    socket.bind(&SocketAddr::new(source, 0).into())
}

/// Sends nothing.
fn leads_back(source: IpAddr) -> bool {
    let socket = UdpSocket::bind((std::net::Ipv6Addr::UNSPECIFIED, 0));
    let connected = socket.and_then(|socket| {
        socket.connect((source, 9))?;
        socket.local_addr()
    });
    // A local route answers with the address itself, any other with one of the host's.
    connected.is_ok_and(|local| local.ip() == source || local.ip().is_loopback())
}
