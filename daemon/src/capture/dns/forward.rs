//! Asks the resolver the application asked, from a socket of our own.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::answer::Question;
use crate::capture::netns::Netns;

/// Applications give up after five seconds; the answer has to come before that.
const PATIENCE: Duration = Duration::from_millis(4500);
const LARGEST: usize = 65_535;

/// From where other resolvers are asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'a> {
    pub(super) mark: u32,
    /// 127.0.0.11 is a resolver only inside a container; `None`: meshd's own namespace.
    pub(super) home: Option<&'a Netns>,
}

impl Start<'_> {
    fn make<S: Send>(self, make: impl FnOnce() -> io::Result<S> + Send) -> io::Result<S> {
        match self.home {
            Some(home) => home.inside(make),
            None => make(),
        }
    }
}

/// Sends `message` as it is and returns the answer as it comes.
///
/// Every question has its own socket, so its source port is the kernel's random choice, and
/// answers from anybody else or to anything else are not taken.
pub(super) async fn over_udp(
    message: &[u8],
    question: &Question,
    resolver: SocketAddr,
    start: Start<'_>,
) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::from_std(start.make(|| datagrams(resolver, start.mark))?)?;
    let ask = async {
        socket.send(message).await?;
        let mut reply = vec![0; LARGEST];
        loop {
            let length = socket.recv(&mut reply).await?;
            if question.is_answered_by(message, reply.get(..length).unwrap_or_default()) {
                reply.truncate(length);
                return Ok(reply);
            }
        }
    };
    timeout(PATIENCE, ask).await.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
}

/// Connected to `resolver`.
fn datagrams(resolver: SocketAddr, mark: u32) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(resolver), Type::DGRAM, None)?;
    if mark != 0 {
        socket.set_mark(mark)?;
    }
    socket.set_nonblocking(true)?;
    let any = match resolver {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    socket.bind(&any.into())?;
    socket.connect(&resolver.into())?;
    Ok(socket.into())
}

pub(super) async fn connect(resolver: SocketAddr, start: Start<'_>) -> io::Result<TcpStream> {
    let socket = start.make(|| match resolver {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    })?;
    if start.mark != 0 {
        socket2::SockRef::from(&socket).set_mark(start.mark)?;
    }
    let connect = timeout(PATIENCE, socket.connect(resolver)).await;
    connect.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
}

/// One question and its answer over a connection to the resolver.
pub(super) async fn over_tcp(
    message: &[u8],
    question: &Question,
    resolver: &mut TcpStream,
) -> io::Result<Vec<u8>> {
    let ask = async {
        write_message(resolver, message).await?;
        loop {
            let reply = read_message(resolver).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if question.is_answered_by(message, &reply) {
                return Ok(reply);
            }
        }
    };
    timeout(PATIENCE, ask).await.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
}

/// The next message of a stream; `None` where it ends.
pub(super) async fn read_message(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

pub(super) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_long| io::ErrorKind::InvalidData)?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend(length.to_be_bytes());
    framed.extend(message);
    stream.write_all(&framed).await
}
