//! Questions over UDP. The kernel tells which address each one was sent to.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::{Ipv4OrigDstAddr, Ipv6OrigDstAddr};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
};
use socket2::Socket;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tracing::debug;

use super::answer::{Question, Verdict, consider};
use super::report::{Asked, Outcome};
use super::{Door, Shared, forward, told};
use crate::record::{Flag, Protocol};

/// Questions are small; what is longer is none.
const LARGEST_QUESTION: usize = 4096;

/// Lets the socket receive what was sent to addresses of others, and learn which ones.
pub(super) fn accept_foreign_destinations(socket: &Socket, is_ipv6: bool) -> io::Result<()> {
    if is_ipv6 {
        setsockopt(socket, Ipv6OrigDstAddr, &true)?;
        let on: libc::c_int = 1;
        let (fd, value) = (socket.as_raw_fd(), (&raw const on).cast());
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: `value` points at `size` bytes.
        let result =
            unsafe { libc::setsockopt(fd, libc::SOL_IPV6, libc::IPV6_TRANSPARENT, value, size) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    } else {
        setsockopt(socket, Ipv4OrigDstAddr, &true)?;
        socket.set_ip_transparent_v4(true)?;
    }
    Ok(())
}

/// One question as it came in.
#[derive(Debug)]
struct Datagram {
    message: Vec<u8>,
    client: SocketAddr,
    /// The address it was sent to, as this host routes it.
    local: SocketAddr,
}

/// A socket questions come in at, and the way back for their answers.
#[derive(Debug)]
struct Inlet {
    socket: UdpSocket,
    door: Door,
}

pub(super) async fn serve(
    socket: std::net::UdpSocket,
    door: Door,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let inlet = Arc::new(Inlet { socket: UdpSocket::from_std(socket)?, door });
    let socket = &inlet.socket;
    loop {
        let datagram = socket.async_io(Interest::READABLE, || receive(socket)).await;
        match datagram {
            Ok(Some(datagram)) => answer(&inlet, datagram, &shared).await,
            Ok(None) => {}
            // Errors of earlier answers (a client that has gone) are reported here too.
            Err(error) => debug!(%error, "no question received"),
        }
    }
}

async fn answer(inlet: &Arc<Inlet>, datagram: Datagram, shared: &Arc<Shared>) {
    let at = Instant::now();
    let gate = inlet.door.gate;
    let Ok(origin) = shared.origins.of_datagram(datagram.client, datagram.local, gate) else {
        debug!(client = %datagram.client, "a question nobody captured");
        return;
    };
    let bytes = datagram.message.len();
    let asked = Asked { client: datagram.client, origin, protocol: Protocol::Udp, at, bytes };
    let snapshot = shared.snapshot();
    match consider(&datagram.message, &snapshot) {
        Verdict::Drop => {}
        Verdict::Answer(answer) => {
            let bytes = answer.message.len();
            inlet.send(&datagram, &answer.message).await;
            let (flag, upstream) = (Flag::None, Duration::ZERO);
            let (name, text, service) = (&*answer.name, &*answer.text, answer.service);
            let outcome = Outcome { name, text, service, flag, bytes, upstream };
            shared.report.push(&snapshot, &asked, &outcome);
        }
        Verdict::Forward(question) => {
            let Ok(permit) = Arc::clone(&shared.forwarded).try_acquire_owned() else {
                let reply = question.server_failure(&datagram.message);
                inlet.send(&datagram, &reply).await;
                report_forwarded(shared, &asked, &question, &Err(Flag::Overload));
                return;
            };
            let (inlet, asking) = (Arc::clone(inlet), Arc::clone(shared));
            let task = async move {
                ask(&inlet, datagram, question, asked, &asking).await;
                drop(permit);
            };
            shared.tasks.spawn(shared.stop.clone().run_until_cancelled_owned(task));
        }
    }
}

/// Asks the resolver the application meant, and passes its answer on.
async fn ask(inlet: &Inlet, datagram: Datagram, question: Question, asked: Asked, shared: &Shared) {
    let resolver = asked.origin.destination;
    let start = inlet.door.start(shared.mark);
    let reply = forward::over_udp(&datagram.message, &question, resolver, start).await;
    let reply = reply.map_err(|error| {
        debug!(%error, %resolver, name = question.name, "no answer");
        flag_of(&error)
    });
    let failure;
    let message = match &reply {
        Ok(message) => {
            told::remember(shared, &asked, &question, message);
            message
        }
        Err(_) => {
            failure = question.server_failure(&datagram.message);
            &failure
        }
    };
    inlet.send(&datagram, message).await;
    report_forwarded(shared, &asked, &question, &reply);
}

pub(super) fn flag_of(error: &io::Error) -> Flag {
    if error.kind() == io::ErrorKind::TimedOut {
        Flag::UpstreamTimeout
    } else if error.kind() == io::ErrorKind::UnexpectedEof {
        Flag::UpstreamClosed
    } else {
        Flag::UpstreamConnect
    }
}

/// The record of a question another resolver answered, or did not.
pub(super) fn report_forwarded(
    shared: &Shared,
    asked: &Asked,
    question: &Question,
    reply: &Result<Vec<u8>, Flag>,
) {
    let (text, flag, bytes) = match reply {
        Ok(reply) => ("forwarded", Flag::None, reply.len()),
        Err(flag) => ("SERVFAIL", *flag, 0),
    };
    let upstream = asked.at.elapsed();
    let outcome = Outcome { name: &question.name, text, service: 0, flag, bytes, upstream };
    shared.report.push(&shared.snapshot(), asked, &outcome);
}

/// `None`: the kernel did not say where it was sent, or it is too long to be a question.
fn receive(socket: &UdpSocket) -> io::Result<Option<Datagram>> {
    let mut message = vec![0; LARGEST_QUESTION];
    let mut control = nix::cmsg_space!(libc::sockaddr_in6);
    let mut parts = [IoSliceMut::new(&mut message)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let received =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let whole = !received.flags.contains(MsgFlags::MSG_TRUNC);
    let length = received.bytes;
    let client = received.address.as_ref().and_then(socket_addr);
    let local = received.cmsgs()?.find_map(|part| {
        if let ControlMessageOwned::Ipv4OrigDstAddr(address) = part {
            Some(v4(&address))
        } else if let ControlMessageOwned::Ipv6OrigDstAddr(address) = part {
            Some(v6(&address))
        } else {
            None
        }
    });
    let (Some(client), Some(local), true) = (client, local, whole) else { return Ok(None) };
    message.truncate(length);
    Ok(Some(Datagram { message, client, local }))
}

fn socket_addr(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
}

fn v4(address: &libc::sockaddr_in) -> SocketAddr {
    let ip = u32::from_be(address.sin_addr.s_addr).into();
    SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into()
}

fn v6(address: &libc::sockaddr_in6) -> SocketAddr {
    let ip = address.sin6_addr.s6_addr.into();
    SocketAddrV6::new(ip, u16::from_be(address.sin6_port), 0, address.sin6_scope_id).into()
}

impl Inlet {
    /// Sends from the address that was asked. Our own port means a fake address, which is as good
    /// as ours; any other port belongs to a resolver that may run on this host.
    async fn send(&self, question: &Datagram, message: &[u8]) {
        let socket = &self.socket;
        let own_port = socket.local_addr().map_or(0, |local| local.port());
        let sent = if question.local.port() == own_port {
            let send = || send_from(socket, question.local, question.client, message);
            socket.async_io(Interest::WRITABLE, send).await
        } else {
            self.door.raw.send(question.local, question.client, message)
        };
        if let Err(error) = sent {
            debug!(%error, client = %question.client, "an answer was not sent");
        }
    }
}

fn send_from(
    socket: &UdpSocket,
    from: SocketAddr,
    to: SocketAddr,
    message: &[u8],
) -> io::Result<()> {
    let (fd, parts, flags) = (socket.as_raw_fd(), [IoSlice::new(message)], MsgFlags::MSG_DONTWAIT);
    let to = SockaddrStorage::from(to);
    match from {
        SocketAddr::V4(from) => {
            let source = libc::in_addr { s_addr: from.ip().to_bits().to_be() };
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: source,
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            sendmsg(fd, &parts, &[ControlMessage::Ipv4PacketInfo(&info)], flags, Some(&to))?;
        }
        SocketAddr::V6(from) => {
            let source = libc::in6_addr { s6_addr: from.ip().octets() };
            let info = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 };
            sendmsg(fd, &parts, &[ControlMessage::Ipv6PacketInfo(&info)], flags, Some(&to))?;
        }
    }
    Ok(())
}
