//! Where captured traffic arrives: per worker and gate, one socket for each address family.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use crate::capture::{GateId, Raw, Role, Tag, datagram};
use crate::transport::{prefer_loopback_speed, prepare, register};

const BACKLOG: i32 = 4096;

/// Out of descriptors: let some connections end before more are taken.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// What one worker serves of one gate: bound, not yet served.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(super) gate: GateId,
    tcp: Vec<TcpListener>,
    pub(super) udp: Vec<UdpSocket>,
    /// What comes in for services of this node.
    inbound_tcp: Vec<TcpListener>,
    pub(super) inbound_udp: Vec<UdpSocket>,
    /// Answers datagrams in the name of whom they were sent to.
    pub(super) raw: Arc<Raw>,
}

/// How traffic came to meshd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A workload sent it; captured in this namespace.
    Out(GateId),
    /// It came to the port of a service of this node.
    In,
}

/// The port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub(crate) struct BindError {
    pub(crate) address: SocketAddr,
    #[source]
    pub(crate) source: io::Error,
}

/// Binds meshd's ports on every IPv4 and IPv6 address, once per worker; the kernel spreads what
/// comes in.
///
/// A host without IPv6 gets IPv4 alone.
///
/// # Errors
/// [`BindError`] names the address that is taken or not allowed.
pub(crate) fn bind(
    (tcp_port, udp_port): (u16, u16),
    mark: u32,
    workers: NonZeroUsize,
) -> Result<Vec<Doors>, BindError> {
    probe_exclusive(Type::STREAM, tcp_port)?;
    probe_exclusive(Type::DGRAM, udp_port)?;
    bind_at((tcp_port, udp_port), workers, GateId::OWN, &Arc::new(Raw::lazy(mark)))
}

/// The same in the calling thread's network namespace, for `gate`.
///
/// # Errors
/// As [`bind`], but a port that another daemon shares is not noticed.
pub(crate) fn bind_at(
    (tcp_port, udp_port): (u16, u16),
    workers: NonZeroUsize,
    gate: GateId,
    raw: &Arc<Raw>,
) -> Result<Vec<Doors>, BindError> {
    let door = |_| {
        Ok(Doors {
            gate,
            tcp: both_families(tcp_port, listen)?,
            udp: both_families(udp_port, |address| datagram::bind(address, raw.mark()))?,
            inbound_tcp: Vec::new(),
            inbound_udp: Vec::new(),
            raw: Arc::clone(raw),
        })
    };
    (0..workers.get()).map(door).collect()
}

/// Adds the sockets for what comes in at ports of services.
///
/// # Errors
/// As [`bind`].
pub(crate) fn bind_inbound(
    doors: &mut [Doors],
    (tcp_port, udp_port): (u16, u16),
) -> Result<(), BindError> {
    probe_exclusive(Type::STREAM, tcp_port)?;
    probe_exclusive(Type::DGRAM, udp_port)?;
    for door in doors {
        door.inbound_tcp = both_families(tcp_port, listen_for_others)?;
        let mark = door.raw.mark();
        door.inbound_udp = both_families(udp_port, |address| datagram::bind(address, mark))?;
    }
    Ok(())
}

fn both_families<S>(
    port: u16,
    bind: impl Fn(SocketAddr) -> io::Result<S>,
) -> Result<Vec<S>, BindError> {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let mut sockets = vec![bind(v4).map_err(|source| BindError { address: v4, source })?];
    match bind(v6) {
        Ok(socket) => sockets.push(socket),
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
        Err(source) => return Err(BindError { address: v6, source }),
    }
    Ok(sockets)
}

/// Fails when anybody has the port already: `SO_REUSEPORT` would let us share it with another
/// daemon of the same user and take turns at its connections.
fn probe_exclusive(kind: Type, port: u16) -> Result<(), BindError> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let probe = || {
        let socket = Socket::new(Domain::IPV4, kind, None)?;
        if kind == Type::STREAM {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&address.into())
    };
    probe().map_err(|source| BindError { address, source })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    prepare(&socket)?;
    // Whoever is captured is on this host.
    prefer_loopback_speed(socket.as_fd());
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The same for connections to any address of this host, whose port is another's.
fn listen_for_others(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = listen(address)?;
    datagram::permitted(datagram::accept_foreign(&listener, address.is_ipv6()))?;
    Ok(listener)
}

impl Doors {
    /// Nothing to serve in meshd's own network namespace.
    pub(crate) fn none() -> Self {
        Self::new(GateId::OWN, &Arc::new(Raw::lazy(0)))
    }

    /// Where what comes in goes, for the kernel: of sockets that share a port one is enough.
    pub(crate) fn inbound(&self) -> Vec<BorrowedFd<'_>> {
        let tcp = self.inbound_tcp.iter().map(TcpListener::as_fd);
        tcp.chain(self.inbound_udp.iter().map(UdpSocket::as_fd)).collect()
    }

    /// The sockets, to be handed to another process.
    pub(crate) fn into_tagged(self) -> Vec<(Role, OwnedFd)> {
        let tcp = self.tcp.into_iter().map(|socket| (Role::Tcp, socket.into()));
        let udp = self.udp.into_iter().map(|socket| (Role::Udp, socket.into()));
        tcp.chain(udp).collect()
    }

    /// One worker's sockets at `port`.
    #[cfg(test)]
    pub(super) fn at(port: u16) -> Self {
        let raw = Arc::new(Raw::lazy(0));
        let tcp = both_families(port, listen).unwrap();
        let udp = both_families(port, |address| datagram::bind(address, 0)).unwrap();
        Self { tcp, udp, ..Self::new(GateId::OWN, &raw) }
    }

    fn new(gate: GateId, raw: &Arc<Raw>) -> Self {
        let (tcp, inbound_tcp) = (Vec::new(), Vec::new());
        let (udp, inbound_udp) = (Vec::new(), Vec::new());
        Self { gate, tcp, udp, inbound_tcp, inbound_udp, raw: Arc::clone(raw) }
    }

    /// Deals sockets made elsewhere out to `workers`.
    pub(crate) fn deal(
        gate: GateId,
        workers: usize,
        sockets: Vec<(Tag, OwnedFd)>,
        raw: &Arc<Raw>,
    ) -> Vec<Self> {
        let mut doors: Vec<Self> = (0..workers).map(|_| Self::new(gate, raw)).collect();
        for (tag, socket) in sockets {
            let worker = usize::from(tag.worker) % workers.max(1);
            let Some(door) = doors.get_mut(worker) else { continue };
            match tag.role {
                Role::Tcp => door.tcp.push(socket.into()),
                Role::Udp => door.udp.push(socket.into()),
                // Not a worker's.
                Role::DnsUdp | Role::DnsTcp | Role::Raw | Role::Diag => drop(socket),
            }
        }
        doors
    }

    /// Registers the listening sockets with the worker's runtime.
    pub(super) fn listeners(&mut self) -> io::Result<Vec<Listener>> {
        let out = std::mem::take(&mut self.tcp).into_iter().map(|s| (Way::Out(self.gate), s));
        let inbound = std::mem::take(&mut self.inbound_tcp).into_iter().map(|s| (Way::In, s));
        let register = |(way, socket)| Ok(Listener { way, io: register(socket)? });
        out.chain(inbound).map(register).collect()
    }
}

/// One listening socket in its worker.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) way: Way,
    io: AsyncFd<TcpListener>,
}

impl Listener {
    pub(super) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        loop {
            let mut guard = ready!(self.io.poll_read_ready(cx))?;
            match self.io.get_ref().accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                accepted => return Poll::Ready(accepted),
            }
        }
    }
}

/// The process or the machine has no descriptor left for another connection.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
