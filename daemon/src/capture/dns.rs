//! DNS for captured processes: mesh names are answered here, every other question goes to the
//! resolver the application asked, byte for byte.
//!
//! A name below `mesh.` never leaves the host, whether it exists or not. The answer leaves from
//! the address that was asked, so the application cannot tell us from its resolver.

mod answer;
mod forward;
mod raw;
mod report;
mod tcp;
mod udp;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use socket2::{Domain, Socket, Type};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::Origins;
use crate::config;
use crate::record::Ring;
use crate::state::{Reader, Snapshot};
use report::Report;

/// Questions waiting for another resolver; one more is answered SERVFAIL.
const MAX_FORWARDED: usize = 1024;
/// Open TCP connections; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 256;

/// The bound sockets of the DNS server: both families, UDP and TCP.
#[derive(Debug)]
pub(crate) struct Sockets {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
}

impl Sockets {
    /// # Errors
    /// The port is in use, or there is no IPv4.
    pub(crate) fn bind(config: &config::Capture) -> io::Result<Self> {
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, config.dns_port));
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, config.dns_port));
        let mut sockets = Self { udp: vec![bind_udp(v4)?], tcp: vec![bind_tcp(v4)?] };
        if super::host::has_ipv6() {
            sockets.udp.push(bind_udp(v6)?);
            sockets.tcp.push(bind_tcp(v6)?);
        }
        Ok(sockets)
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
}

/// What every question needs.
#[derive(Debug)]
struct Shared {
    origins: Origins,
    reader: Mutex<Reader>,
    report: Report,
    mark: u32,
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

/// Serves until `stop`, then ends at once: clients ask again elsewhere.
pub(crate) async fn serve(sockets: Sockets, server: Server, stop: CancellationToken) {
    let wake = server.reader.wake();
    let shared = Arc::new(Shared {
        origins: server.origins,
        reader: Mutex::new(server.reader),
        report: Report::new(server.ring),
        mark: server.mark,
        forwarded: Arc::new(Semaphore::new(MAX_FORWARDED)),
        connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        tasks: TaskTracker::new(),
        stop: stop.clone(),
    });
    let mut listeners = JoinSet::new();
    for socket in sockets.udp {
        listeners.spawn(udp::serve(socket, Arc::clone(&shared)));
    }
    for listener in sockets.tcp {
        listeners.spawn(tcp::serve(listener, Arc::clone(&shared)));
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // A new snapshot is in use from the next question on; say so even if none comes.
            () = wake.changed() => drop(shared.snapshot()),
            Some(ended) = listeners.join_next() => match ended {
                Ok(Err(error)) => warn!(%error, "a DNS socket failed"),
                Err(error) => warn!(%error, "a DNS listener ended"),
                Ok(Ok(())) => {}
            },
        }
    }
    listeners.shutdown().await;
    shared.tasks.close();
    shared.tasks.wait().await;
}
