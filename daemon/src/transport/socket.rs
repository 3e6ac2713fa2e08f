//! One TCP connection of ours: non-blocking, used by one task through `&self`.
//!
//! Reads that do not fill the buffer tell tokio that the socket is empty, so the next read waits
//! for the kernel instead of asking it: with a request per read that halves the receive calls.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Protocol, SockRef, TcpKeepalive, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::source::Source;
use crate::capture::Worn;

/// The machine's default may be a congestion control made for long distances, which runs loopback
/// at a fifth of its speed.
const LOOPBACK_CONGESTION: &str = "reno";
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Sent bytes unacknowledged for so long mean that the peer is gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(crate) struct Socket {
    io: AsyncFd<TcpStream>,
    _worn: Worn,
}

impl Socket {
    /// Takes over an accepted connection; its options come from the listener ([`prepare`]).
    pub(crate) fn accepted(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { io: register(stream)?, _worn: Worn::default() })
    }

    /// Connects to `upstream`. Dropping the future closes the socket.
    pub(crate) async fn connect(
        upstream: SocketAddr,
        mark: u32,
        source: &Source,
    ) -> io::Result<Self> {
        let domain = source.domain(upstream);
        let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if mark != 0 {
            socket.set_mark(mark)?;
        }
        let (upstream, worn) = source.bind(&socket, upstream)?;
        prepare(&socket)?;
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
        if upstream.ip().is_loopback() {
            prefer_loopback_speed(socket.as_fd());
        }
        match socket.connect(&upstream.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let io = register(TcpStream::from(socket))?;
        // What "writable" means is told by the pending error; readiness itself stays noted.
        drop(io.writable().await?);
        match io.get_ref().take_error()? {
            Some(error) => Err(error),
            None => Ok(Self { io, _worn: worn }),
        }
    }

    /// Reads once; 0 is the end of the stream.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.io.poll_read_ready(cx))?;
            match self.io.get_ref().read(buffer) {
                Ok(read) => {
                    if read > 0 && read < buffer.len() {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(read));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes what the kernel takes, without waiting for room.
    pub(crate) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.io.get_ref().write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Writes what the kernel takes; waits while it takes nothing.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_out(cx, || self.io.get_ref().write(bytes))
    }

    /// Runs `call` until it is not told to wait for bytes.
    pub(crate) fn poll_in(
        &self,
        cx: &mut Context<'_>,
        mut call: impl FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.io.poll_read_ready(cx))?;
            match call() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                done => return Poll::Ready(done),
            }
        }
    }

    /// Runs `call` until it is not told to wait for room.
    pub(crate) fn poll_out(
        &self,
        cx: &mut Context<'_>,
        mut call: impl FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.io.poll_write_ready(cx))?;
            match call() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Ready once the peer has reset the connection or closed both ways. Bytes and a mere
    /// half-close are no end: whoever shut down its writing side may still want the answer.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.io.poll_read_ready(cx) {
            Poll::Ready(Ok(guard)) if !guard.ready().is_write_closed() => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Something has come on an idle connection: its end, or bytes nobody asked for. No system
    /// call while nothing has.
    pub(crate) fn is_stale(&self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        self.poll_read(&mut cx, &mut [0]).is_ready()
    }

    /// Tells the peer that nothing more comes; it may go on sending.
    pub(crate) fn finish(&self) {
        // A peer that is gone already needs no telling.
        let _gone = self.io.get_ref().shutdown(Shutdown::Write);
    }

    /// Something has come, or the end.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.io.poll_read_ready(cx).map(|_ready| ())
    }

    /// Makes the close a reset, so that the peer sees a failure and not an end.
    pub(crate) fn reset_on_close(&self) {
        let _closed_anyway = SockRef::from(self.io.get_ref()).set_linger(Some(Duration::ZERO));
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

/// Makes the runtime watch `socket`, which must not block.
pub(crate) fn register<S: AsRawFd + From<OwnedFd>>(socket: S) -> io::Result<AsyncFd<S>> {
    // SAFETY: the sockets of std own their descriptor and name the same one until they are dropped.
    unsafe { AsyncFd::register(socket) }.map_err(io::Error::from)
}

/// The same for what is only ever waited for to become readable.
pub(crate) fn watch<S: AsRawFd + From<OwnedFd>>(readable: S) -> io::Result<AsyncFd<S>> {
    // SAFETY: as for `register`.
    let watched = unsafe { AsyncFd::register_with_interest(readable, Interest::READABLE) };
    watched.map_err(io::Error::from)
}

/// Options every connection has; set on a listener, what it accepts inherits them.
pub(crate) fn prepare(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))
}

/// Loopback's congestion control; a kernel without it keeps its default.
pub(crate) fn prefer_loopback_speed(socket: BorrowedFd<'_>) {
    let _default = setsockopt(&socket, sockopt::TcpCongestion, &LOOPBACK_CONGESTION.into());
}
