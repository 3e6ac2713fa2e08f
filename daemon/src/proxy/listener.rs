//! Where captured traffic arrives: per worker and gate, one socket for each address family.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd as _, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use crate::capture::{GateId, Role, Tag};
use crate::transport::{prefer_loopback_speed, prepare, register};

const BACKLOG: i32 = 4096;

/// Out of descriptors: let some connections end before more are taken.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// What one worker serves of one gate: bound, not yet served.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(super) gate: GateId,
    tcp: Vec<TcpListener>,
}

/// The port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub(crate) struct BindError {
    pub(crate) address: SocketAddr,
    #[source]
    pub(crate) source: io::Error,
}

/// Binds `port` on every IPv4 and IPv6 address, once per worker; the kernel spreads connections.
///
/// A host without IPv6 gets IPv4 alone.
///
/// # Errors
/// [`BindError`] names the address that is taken or not allowed.
pub(crate) fn bind(port: u16, workers: NonZeroUsize) -> Result<Vec<Doors>, BindError> {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    probe_exclusive(v4).map_err(|source| BindError { address: v4, source })?;
    let mut doors = Vec::new();
    for _ in 0..workers.get() {
        let mut tcp = vec![listen(v4).map_err(|source| BindError { address: v4, source })?];
        match listen(v6) {
            Ok(socket) => tcp.push(socket),
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
            Err(source) => return Err(BindError { address: v6, source }),
        }
        doors.push(Doors { gate: GateId::OWN, tcp });
    }
    Ok(doors)
}

/// Fails when anybody listens there already: `SO_REUSEPORT` would let us share the port with
/// another daemon of the same user and take turns at its connections.
fn probe_exclusive(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
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

impl Doors {
    /// Nothing to serve in meshd's own network namespace.
    pub(crate) fn none() -> Self {
        Self { gate: GateId::OWN, tcp: Vec::new() }
    }

    /// The sockets, to be handed to another process.
    pub(crate) fn into_tagged(self) -> Vec<(Role, OwnedFd)> {
        self.tcp.into_iter().map(|socket| (Role::Tcp, socket.into())).collect()
    }

    /// Deals sockets made elsewhere out to `workers`.
    pub(crate) fn deal(gate: GateId, workers: usize, sockets: Vec<(Tag, OwnedFd)>) -> Vec<Self> {
        let mut doors: Vec<Self> = (0..workers).map(|_| Self { gate, tcp: Vec::new() }).collect();
        for (tag, socket) in sockets {
            let worker = usize::from(tag.worker) % workers.max(1);
            let Some(door) = doors.get_mut(worker) else { continue };
            match tag.role {
                Role::Tcp => door.tcp.push(socket.into()),
                // Not a worker's.
                Role::DnsUdp | Role::DnsTcp | Role::Raw | Role::Diag => drop(socket),
            }
        }
        doors
    }

    /// Registers the sockets with the worker's runtime.
    pub(super) fn serve(self) -> io::Result<Vec<Listener>> {
        let gate = self.gate;
        let register = |socket| Ok(Listener { gate, io: register(socket)? });
        self.tcp.into_iter().map(register).collect()
    }
}

/// One listening socket in its worker.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) gate: GateId,
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
