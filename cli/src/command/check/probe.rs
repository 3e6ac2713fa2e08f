//! Active probes: this process opens sockets and sees what becomes of them.
//!
//! A question for a mesh name is sent to a virtual address nobody has: only the mesh can answer
//! it, and without the mesh it leads nowhere.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(2);
const DNS: u16 = 53;
/// The port nobody declares (discard).
const UNDECLARED: u16 = 9;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
const HEADER: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// What came back for a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// By the one whose zone it is.
    pub(super) authoritative: bool,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) after: Duration,
}

/// Asks `server` for the addresses of `name`.
pub(super) fn ask(transport: Transport, server: IpAddr, name: &str) -> io::Result<Answer> {
    let started = Instant::now();
    let kind = if server.is_ipv4() { TYPE_A } else { TYPE_AAAA };
    let id = u16::try_from(std::process::id() & 0xffff).unwrap_or(1);
    let question = question(id, name, kind);
    let address = SocketAddr::from((server, DNS));
    let reply = match transport {
        Transport::Udp => over_udp(address, &question)?,
        Transport::Tcp => over_tcp(address, &question)?,
    };
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "the answer is no DNS message");
    let (authoritative, addresses) = read(&reply, id).ok_or_else(wrong)?;
    Ok(Answer { authoritative, addresses, after: started.elapsed() })
}

fn over_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    socket.send(question)?;
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer)?;
    Ok(buffer.get(..length).unwrap_or_default().to_vec())
}

fn over_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes()[..], question].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    // Recursion desired; one question.
    let mut message = [id, 0x0100, 1, 0, 0, 0].iter().flat_map(|word| word.to_be_bytes()).collect();
    let push = |message: &mut Vec<u8>, label: &str| {
        message.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        message.extend_from_slice(label.as_bytes());
    };
    name.split('.').for_each(|label| push(&mut message, label));
    message.push(0);
    message.extend([kind, CLASS_IN].iter().flat_map(|word| word.to_be_bytes()));
    message
}

/// Whether it is authoritative, and the addresses in it; `None`: not an answer to `id`.
fn read(message: &[u8], id: u16) -> Option<(bool, Vec<IpAddr>)> {
    let word = |at: usize| {
        let bytes = message.get(at..at + 2)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    };
    let (flags, count) = (word(2)?, word(6)?);
    if word(0)? != id || flags & 0x8000 == 0 {
        return None;
    }
    let mut at = skip_name(message, HEADER)? + 4;
    let mut addresses = Vec::new();
    for _ in 0..count {
        at = skip_name(message, at)?;
        let (kind, length) = (word(at)?, usize::from(word(at + 8)?));
        let data = message.get(at + 10..at + 10 + length)?;
        match kind {
            TYPE_A => addresses.push(IpAddr::from(<[u8; 4]>::try_from(data).ok()?)),
            TYPE_AAAA => addresses.push(IpAddr::from(<[u8; 16]>::try_from(data).ok()?)),
            _ => {}
        }
        at += 10 + length;
    }
    Some((flags & 0x0400 != 0, addresses))
}

fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += usize::from(length) + 1,
        }
    }
}

/// How long a connection to an undeclared port of a virtual address took to be refused.
pub(super) fn refused(virtual_address: IpAddr) -> io::Result<Duration> {
    let started = Instant::now();
    let address = SocketAddr::from((virtual_address, UNDECLARED));
    match TcpStream::connect_timeout(&address, PATIENCE) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(started.elapsed()),
        Err(error) => Err(error),
        Ok(mut stream) => {
            // Some backends accept first and close at once.
            stream.set_read_timeout(Some(PATIENCE))?;
            match stream.read(&mut [0; 1]) {
                Ok(0) => Ok(started.elapsed()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    Ok(started.elapsed())
                }
                Ok(_) => Err(io::Error::other("something answered")),
                Err(error) => Err(error),
            }
        }
    }
}

/// Connects and asks for `path` in plain HTTP; the status, or `None` where it is no HTTP.
pub(super) fn http(address: SocketAddr, host: &str, path: &str) -> io::Result<Option<u16>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: meshctl-check\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut start = [0; 64];
    let mut length = 0;
    while length < 12 {
        match stream.read(start.get_mut(length..).unwrap_or_default())? {
            0 => break,
            more => length += more,
        }
    }
    let text = String::from_utf8_lossy(start.get(..length).unwrap_or_default()).into_owned();
    Ok(text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok()))
}

pub(super) fn connect(address: SocketAddr) -> io::Result<Duration> {
    let started = Instant::now();
    TcpStream::connect_timeout(&address, PATIENCE).map(|_stream| started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_an_answer_to_our_question_only() {
        let mut reply = question(7, "web.mesh", TYPE_A);
        reply[2] = 0x85; // an answer, authoritative, recursion desired
        reply[7] = 1;
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 240, 0, 0, 7]);
        let address: IpAddr = "240.0.0.7".parse().unwrap();
        assert_eq!(read(&reply, 7), Some((true, vec![address])));
        assert_eq!(read(&reply, 8), None);
        assert_eq!(read(&reply[..reply.len() - 1], 7), None);
    }
}
