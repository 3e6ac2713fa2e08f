//! A name server inside a namespace: the one the workload used before it was meshed.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use crate::netns::Netns;

/// Answers every A question with 192.0.2.7 and remembers the names asked.
pub struct NameServer {
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    /// Listens where the host's resolv.conf points.
    pub fn start(netns: &Netns) -> Self {
        let address = configured();
        if !address.is_loopback() {
            netns.add_address(&address.to_string());
        }
        Self::at(netns, SocketAddr::from((address, 53)))
    }

    /// Listens there, over UDP and TCP.
    pub fn at(netns: &Netns, address: SocketAddr) -> Self {
        let sockets = netns.inside(move || (UdpSocket::bind(address), TcpListener::bind(address)));
        let (socket, listener) = (sockets.0.expect("UDP port 53"), sockets.1.expect("TCP port 53"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        netns.spawn(move || {
            let mut packet = [0; 1_500];
            while let Ok((length, client)) = socket.recv_from(&mut packet) {
                let Some((name, reply)) = answer(&packet[..length]) else { continue };
                log.lock().unwrap().push(name);
                socket.send_to(&reply, client).unwrap_or_default();
            }
        });
        let log = Arc::clone(&asked);
        netns.spawn(move || {
            for stream in listener.incoming().flatten() {
                let name = converse(&stream);
                log.lock().unwrap().extend(name);
            }
        });
        Self { asked }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// One question over TCP.
fn converse(mut stream: &TcpStream) -> Option<String> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut query).ok()?;
    let (name, reply) = answer(&query)?;
    let length = u16::try_from(reply.len()).ok()?.to_be_bytes();
    stream.write_all(&[&length, &reply[..]].concat()).ok()?;
    Some(name)
}

/// The first name server of the host's resolv.conf.
fn configured() -> IpAddr {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text.lines().filter_map(|line| line.strip_prefix("nameserver "));
    let first = servers.filter_map(|address| address.trim().parse().ok()).next();
    first.unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

/// The question's name and a reply to it.
fn answer(query: &[u8]) -> Option<(String, Vec<u8>)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).into_owned());
        at += length;
    }
    let question_end = at + 4;
    let is_a = query.get(at..at + 2)? == [0, 1];
    let mut reply = query.get(..question_end)?.to_vec();
    // A response, recursion available; one question, one answer or none.
    reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    if is_a {
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    }
    Some((labels.join("."), reply))
}
