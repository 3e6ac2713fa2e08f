//! DNS for captured processes: mesh names are answered here, every other question goes to the
//! resolver the application asked, byte for byte.
//!
//! A name below `mesh.` never leaves the host, whether it exists or not. The answer leaves from
//! the address that was asked, so the application cannot tell us from its resolver.

mod answer;
mod forward;
mod gates;
mod report;
mod tcp;
mod told;
mod udp;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use socket2::{Domain, Socket, Type};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::egress::Names;
use super::gate::Role;
use super::netns::Netns;
use super::{GateId, Origins, Raw};
use crate::record::Ring;
use crate::state::{Reader, Snapshot};
pub(crate) use gates::Gates;
use gates::{Order, Orders};
use report::Report;

/// Questions waiting for another resolver; one more is answered SERVFAIL.
const MAX_FORWARDED: usize = 1024;
/// Open TCP connections; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 256;

/// The bound sockets of the DNS server: both families, UDP and TCP.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
}

impl Sockets {
    /// # Errors
    /// The port is in use, or there is no IPv4.
    pub(crate) fn bind(port: u16) -> io::Result<Self> {
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let mut sockets = Self { udp: vec![bind_udp(v4)?], tcp: vec![bind_tcp(v4)?] };
        if super::host::has_ipv6() {
            sockets.udp.push(bind_udp(v6)?);
            sockets.tcp.push(bind_tcp(v6)?);
        }
        Ok(sockets)
    }

    /// The sockets, to be handed to another process.
    pub(crate) fn into_tagged(self) -> Vec<(Role, OwnedFd)> {
        let udp = self.udp.into_iter().map(|socket| (Role::DnsUdp, socket.into()));
        udp.chain(self.tcp.into_iter().map(|socket| (Role::DnsTcp, socket.into()))).collect()
    }

    /// Takes a datagram socket made elsewhere.
    pub(super) fn add_udp(&mut self, socket: OwnedFd) {
        self.udp.push(socket.into());
    }

    /// Takes a listener made elsewhere.
    pub(super) fn add_tcp(&mut self, socket: OwnedFd) {
        self.tcp.push(socket.into());
    }
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    udp::accept_foreign_destinations(&socket, address.is_ipv6())?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// What the server answers from and writes to.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) origins: Origins,
    pub(crate) reader: Reader,
    pub(crate) ring: Arc<Ring>,
    /// `SO_MARK` of our own questions to other resolvers.
    pub(crate) mark: u32,
    /// What workloads are told, for lists of names they may reach.
    pub(crate) names: Names,
}

/// What every question needs.
#[derive(Debug)]
struct Shared {
    origins: Origins,
    reader: Mutex<Reader>,
    report: Report,
    mark: u32,
    names: Names,
    forwarded: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    /// Questions and connections in progress.
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Shared {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(self.reader.lock().unwrap_or_else(PoisonError::into_inner).load())
    }
}

/// One network namespace's way in and back.
#[derive(Clone, Debug)]
struct Door {
    gate: GateId,
    /// Sends answers from addresses of others.
    raw: Arc<Raw>,
    /// Where other resolvers are asked; `None`: from meshd's own namespace.
    home: Option<Arc<Netns>>,
}

impl Door {
    fn start(&self, mark: u32) -> forward::Start<'_> {
        forward::Start { mark, home: self.home.as_deref() }
    }
}

/// Serves until `stop`, then ends at once: clients ask again elsewhere.
pub(crate) async fn serve(
    sockets: Sockets,
    mut orders: Orders,
    server: Server,
    stop: CancellationToken,
) {
    let own = Door { gate: GateId::OWN, raw: Arc::new(Raw::lazy(server.mark)), home: None };
    let wake = server.reader.wake();
    let shared = Arc::new(Shared {
        origins: server.origins,
        reader: Mutex::new(server.reader),
        report: Report::new(server.ring),
        mark: server.mark,
        names: server.names,
        forwarded: Arc::new(Semaphore::new(MAX_FORWARDED)),
        connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        tasks: TaskTracker::new(),
        stop: stop.clone(),
    });
    let mut listeners = Listeners::new();
    listen(&mut listeners, sockets, &own, &shared);
    let mut gates: HashMap<GateId, Vec<AbortHandle>> = HashMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // A new snapshot is in use from the next question on; say so even if none comes.
            () = wake.changed() => drop(shared.snapshot()),
            Some(order) = orders.recv() => match order {
                Order::Open { gate, sockets, raw, home } => {
                    let door = Door { gate, raw, home };
                    gates.insert(gate, listen(&mut listeners, sockets, &door, &shared));
                }
                Order::Close(gate) => {
                    gates.remove(&gate).iter().flatten().for_each(AbortHandle::abort);
                }
            },
            Some(ended) = listeners.join_next() => match ended {
                Ok(Err(error)) => warn!(%error, "a DNS socket failed"),
                Err(error) if !error.is_cancelled() => warn!(%error, "a DNS listener ended"),
                Err(_closed) => {}
                Ok(Ok(())) => {}
            },
        }
    }
    listeners.shutdown().await;
    shared.tasks.close();
    shared.tasks.wait().await;
}

type Listeners = JoinSet<io::Result<()>>;

/// Serves `sockets`; the handles end that.
fn listen(
    listeners: &mut Listeners,
    sockets: Sockets,
    door: &Door,
    shared: &Arc<Shared>,
) -> Vec<AbortHandle> {
    let Sockets { udp, tcp } = sockets;
    let mut handles = Vec::with_capacity(udp.len() + tcp.len());
    for socket in udp {
        handles.push(listeners.spawn(udp::serve(socket, door.clone(), Arc::clone(shared))));
    }
    for listener in tcp {
        handles.push(listeners.spawn(tcp::serve(listener, door.clone(), Arc::clone(shared))));
    }
    handles
}
