//! Sockets that captured datagrams arrive at.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4OrigDstAddr, Ipv6OrigDstAddr, RcvBufForce, SndBufForce};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A worker that is busy for some milliseconds loses nothing.
const BUFFER: usize = 8 << 20;

/// A socket that receives what was sent to addresses of others and is told which; one of several
/// that share the port.
pub(crate) fn bind(address: SocketAddr, mark: u32) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if mark != 0 {
        socket.set_mark(mark)?;
    }
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        setsockopt(&socket, Ipv6OrigDstAddr, &true)?;
    } else {
        setsockopt(&socket, Ipv4OrigDstAddr, &true)?;
    }
    permitted(accept_foreign(&socket, address.is_ipv6()))?;
    enlarge(&socket);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Lets the socket have addresses that are not this host's.
pub(crate) fn accept_foreign(socket: &impl AsFd, is_ipv6: bool) -> io::Result<()> {
    if is_ipv6 {
        set_ipv6(socket, libc::IPV6_TRANSPARENT, 1)
    } else {
        SockRef::from(socket).set_ip_transparent_v4(true)
    }
}

/// Who may not do it does not capture either.
pub(crate) fn permitted(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

pub(super) fn enlarge(socket: &Socket) {
    let forced = setsockopt(socket, RcvBufForce, &BUFFER).is_ok()
        && setsockopt(socket, SndBufForce, &BUFFER).is_ok();
    if !forced {
        // As far as the host's limit lets an ordinary user go.
        socket.set_recv_buffer_size(BUFFER).ok();
        socket.set_send_buffer_size(BUFFER).ok();
    }
}

pub(super) fn set_ipv6(
    socket: &impl AsFd,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let (fd, size) = (socket.as_fd().as_raw_fd(), size_of::<libc::c_int>() as libc::socklen_t);
    let value = (&raw const value).cast();
    // SAFETY: `value` points at `size` bytes.
    let result = unsafe { libc::setsockopt(fd, libc::SOL_IPV6, option, value, size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
