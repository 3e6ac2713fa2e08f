//! The address a connection to an endpoint comes from.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::Ordering::Relaxed;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::{Domain, Socket};

use crate::capture::{Disguise, Worn};
use crate::model::own_source;
use crate::state::Endpoint;

/// As whom meshd comes to an endpoint.
#[derive(Debug)]
pub(crate) enum Source {
    /// From where the kernel says.
    Any,
    /// From its own address.
    Own,
    Client(Disguise),
}

impl Source {
    pub(crate) fn to(endpoint: &Endpoint, disguise: Option<Disguise>) -> Self {
        match disguise {
            Some(disguise) => Self::Client(disguise),
            None if endpoint.live.intercepted.load(Relaxed) => Self::Own,
            None => Self::Any,
        }
    }

    pub(super) fn domain(&self, upstream: SocketAddr) -> Domain {
        match self {
            Self::Any | Self::Own => Domain::for_address(upstream),
            Self::Client(disguise) => disguise.domain(upstream),
        }
    }

    /// Returns where `socket` has to connect to in the end.
    pub(super) fn bind(
        &self,
        socket: &Socket,
        upstream: SocketAddr,
    ) -> io::Result<(SocketAddr, Worn)> {
        match self {
            Self::Any => Ok((upstream, Worn::default())),
            Self::Own => Ok((upstream, bind_own(socket, upstream).map(|()| Worn::default())?)),
            Self::Client(disguise) => disguise.put_on(socket, upstream),
        }
    }
}

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
