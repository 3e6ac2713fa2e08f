//! Datagrams: a server that says whom it saw, and a client's socket doing what a spec asks.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::netns::Netns;

/// The largest datagram there is.
const LARGEST: usize = 65_535;

/// Answers every datagram with its own name, a space and the same bytes.
pub struct UdpServer {
    seen: Arc<Mutex<Vec<(SocketAddr, usize)>>>,
}

impl UdpServer {
    /// On `address`, for both families when that is `[::]:PORT`.
    ///
    /// Answers go out from the address the question came to only where one address is given.
    pub fn start(netns: &Netns, name: &str, address: &str) -> Self {
        let owned = address.to_owned();
        let socket = netns.inside(move || UdpSocket::bind(&owned));
        let socket = socket.unwrap_or_else(|error| panic!("{name} at {address}: {error}"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, prefix) = (Arc::clone(&seen), format!("{name} ").into_bytes());
        netns.spawn(move || {
            let mut buffer = vec![0; LARGEST];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                log.lock().unwrap().push((client, length));
                let reply = [&prefix, &buffer[..length]].concat();
                socket.send_to(&reply, client).unwrap_or_default();
            }
        });
        Self { seen }
    }

    /// Sender and length of every datagram so far.
    pub fn seen(&self) -> Vec<(SocketAddr, usize)> {
        self.seen.lock().unwrap().clone()
    }
}

/// What one socket of a client does: send, then take what comes back.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Talk {
    /// The socket is connected to it first.
    pub connect: Option<String>,
    /// Where to (`None`: where it is connected to) and what.
    pub send: Vec<(Option<String>, Vec<u8>)>,
    /// How many answers end the wait.
    pub expect: usize,
    pub wait_ms: u64,
}

impl Talk {
    /// One question over a connected socket.
    pub fn connected(to: &str, bytes: &[u8]) -> Self {
        let send = vec![(None, bytes.to_vec())];
        Self { connect: Some(to.to_owned()), send, expect: 1, wait_ms: 3_000 }
    }

    /// One question to each, all from one socket.
    pub fn unconnected(to: &[&str], bytes: &[u8]) -> Self {
        let send = to.iter().map(|&to| (Some(to.to_owned()), bytes.to_vec())).collect();
        Self { connect: None, send, expect: to.len(), wait_ms: 3_000 }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Heard {
    /// Sender and bytes of every answer, in order.
    pub answers: Vec<(String, Vec<u8>)>,
    /// Kinds of errors of sending and receiving.
    pub errors: Vec<String>,
    pub local: String,
    pub peer: Option<String>,
}

impl Heard {
    /// Senders and texts of the answers, sorted.
    pub fn texts(&self) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut texts: Vec<_> =
            self.answers.iter().map(|(from, bytes)| (from.clone(), text(bytes))).collect();
        texts.sort();
        texts
    }
}

/// Does it from the calling thread's network namespace.
pub fn talk(talk: &Talk) -> io::Result<Heard> {
    let first = talk.connect.as_ref().or_else(|| talk.send.first()?.0.as_ref());
    let is_ipv6 = first.is_some_and(|address| address.starts_with('['));
    let socket = UdpSocket::bind(if is_ipv6 { "[::]:0" } else { "0.0.0.0:0" })?;
    if let Some(to) = &talk.connect {
        socket.connect(to)?;
    }
    let mut errors = Vec::new();
    for (to, bytes) in &talk.send {
        let sent = match to {
            Some(to) => socket.send_to(bytes, to),
            None => socket.send(bytes),
        };
        errors.extend(sent.err().map(|error| format!("{:?}", error.kind())));
    }
    let (mut answers, mut buffer) = (Vec::new(), vec![0; LARGEST]);
    let end = Instant::now() + Duration::from_millis(talk.wait_ms);
    while answers.len() < talk.expect {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => answers.push((from.to_string(), buffer[..length].to_vec())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => {
                errors.push(format!("{:?}", error.kind()));
                break;
            }
        }
    }
    let peer = socket.peer_addr().ok().map(|peer| peer.to_string());
    Ok(Heard { answers, errors, local: socket.local_addr()?.to_string(), peer })
}

/// Asks [`echo`] whom it sees; `/whoami` over HTTP does so too.
pub const WHO: &[u8] = b"whoami";

/// Serves TCP and UDP at `address` for as long as the process lives: every byte goes back, but for
/// [`WHO`].
pub(crate) fn echo(address: &str) -> io::Result<()> {
    let (datagrams, listener) = (UdpSocket::bind(address)?, std::net::TcpListener::bind(address)?);
    std::thread::spawn(move || {
        let mut buffer = vec![0; LARGEST];
        while let Ok((length, client)) = datagrams.recv_from(&mut buffer) {
            let seen = client.to_string();
            let answer = if &buffer[..length] == WHO { seen.as_bytes() } else { &buffer[..length] };
            datagrams.send_to(answer, client).unwrap_or_default();
        }
    });
    std::thread::spawn(move || {
        while let Ok((stream, client)) = listener.accept() {
            std::thread::spawn(move || serve(&stream, client));
        }
    });
    Ok(())
}

/// `client` is what `accept` said.
fn serve(mut stream: &TcpStream, client: SocketAddr) -> io::Result<()> {
    let mut buffer = vec![0; LARGEST];
    loop {
        let length = stream.read(&mut buffer)?;
        let said = &buffer[..length];
        let seen = format!("{client} {}", stream.peer_addr()?);
        if said.is_empty() {
            return Ok(());
        } else if said == WHO {
            stream.write_all(seen.as_bytes())?;
        } else if said.starts_with(b"GET /whoami ") {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", seen.len());
            stream.write_all((head + &seen).as_bytes())?;
        } else {
            stream.write_all(said)?;
        }
    }
}
