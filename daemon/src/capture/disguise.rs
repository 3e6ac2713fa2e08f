//! An application sees its client, although it is meshd that comes.
//!
//! The BPF programs show it the client where it asks for its peer (`accept`, `getpeername`,
//! `recvfrom`). With rules meshd comes from the client's own address, and a mark on the connection
//! brings the answers back.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use mesh_ebpf::{Clients, Shown};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::{Domain, Socket, Type};

use super::datagram::accept_foreign;
use crate::model::disguised_source;

/// Whom an application is to see.
#[derive(Clone, Debug)]
pub(crate) struct Disguise {
    way: Way,
    client: SocketAddr,
    /// Where the client went.
    asked: SocketAddr,
}

/// How this backend does it.
#[derive(Clone, Debug)]
pub(super) enum Way {
    Shown(Clients),
    Bound,
}

/// To be kept for as long as the socket.
#[derive(Debug, Default)]
pub(crate) struct Worn {
    _shown: Option<Shown>,
}

impl Disguise {
    pub(super) fn new(way: Way, client: SocketAddr, asked: SocketAddr) -> Self {
        Self { way, client, asked }
    }

    /// Binds `socket`, which is about to connect to `endpoint`. Returns where it has to connect
    /// to instead.
    pub(crate) fn put_on(
        &self,
        socket: &Socket,
        endpoint: SocketAddr,
    ) -> io::Result<(SocketAddr, Worn)> {
        let to = self.destination(endpoint);
        match &self.way {
            Way::Shown(clients) => {
                let shown = show(clients, socket, to, self.client)?;
                Ok((to, Worn { _shown: Some(shown) }))
            }
            Way::Bound => {
                accept_foreign(socket, self.client.is_ipv6())?;
                setsockopt(socket, IpBindAddressNoPort, &true)?;
                socket.bind(&SocketAddr::new(self.client.ip(), 0).into())?;
                Ok((to, Worn::default()))
            }
        }
    }

    /// The family of the socket this needs.
    pub(crate) fn domain(&self, endpoint: SocketAddr) -> Domain {
        Domain::for_address(self.destination(endpoint))
    }

    /// The endpoint, or the address the client used: from that one the answer finds a way back to
    /// a client elsewhere, and an application that has it can see a client of that family.
    fn destination(&self, endpoint: SocketAddr) -> SocketAddr {
        match &self.way {
            Way::Shown(_) if endpoint.is_ipv4() == self.client.is_ipv4() => endpoint,
            Way::Shown(_) | Way::Bound => self.asked,
        }
    }
}

/// From an address of its own, for the ports of one last a minute after their connections.
fn show(
    clients: &Clients,
    socket: &Socket,
    endpoint: SocketAddr,
    client: SocketAddr,
) -> io::Result<Shown> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let source = disguised_source(endpoint.ip(), NEXT.fetch_add(1, Relaxed));
    if source.is_ipv6() {
        socket.set_freebind_v6(true)?;
    }
    socket.bind(&SocketAddr::new(source, 0).into())?;
    let own = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let transport = match socket.r#type()? {
        Type::DGRAM => mesh_ebpf::Transport::Udp,
        _ => mesh_ebpf::Transport::Tcp,
    };
    clients.show(transport, own, client)
}
