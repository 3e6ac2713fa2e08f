//! The upstream half of a session of datagrams: a socket that talks to one endpoint only.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use socket2::{Protocol, Socket, Type};

use super::source::Source;
use crate::capture::Worn;

/// Answers that wait while the worker is busy; the default holds some hundred small ones.
const BUFFER: usize = 2 << 20;

/// A socket connected to `upstream`: the kernel tells it when nobody listens there. The other
/// part is to be kept as long.
pub(crate) fn connect_datagram(
    upstream: SocketAddr,
    mark: u32,
    source: &Source,
) -> io::Result<(UdpSocket, Worn)> {
    let socket = Socket::new(source.domain(upstream), Type::DGRAM, Some(Protocol::UDP))?;
    if mark != 0 {
        socket.set_mark(mark)?;
    }
    if setsockopt(&socket, RcvBufForce, &BUFFER).is_err() {
        // As far as the host's limit lets an ordinary user go.
        socket.set_recv_buffer_size(BUFFER).ok();
    }
    let (upstream, worn) = source.bind(&socket, upstream)?;
    socket.set_nonblocking(true)?;
    socket.connect(&upstream.into())?;
    Ok((socket.into(), worn))
}
