//! What a captured client can be asked to do, and doing it.
//!
//! Capture works on processes, so the client of a specification is one: `mesh-probe`, started by
//! `meshctl run`. It reads an [`Ask`] per line and writes an [`Answer`] per line.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::datagram::{self, Heard, Talk};
use crate::load::{self, Plan, Report};
use crate::wait::pause;
use crate::watch::{self, Watch, Watched};
use crate::wire::Digest;

#[derive(Debug, Deserialize, Serialize)]
pub enum Ask {
    /// Send the parts over one connection, then read until it closes or is silent.
    Exchange {
        address: String,
        parts: Vec<Part>,
        idle_ms: u64,
    },
    Load(Plan),
    /// Random bytes both ways at once; the peer sends as many with the same generator.
    Bulk {
        address: String,
        bytes: u64,
        half_close: bool,
    },
    /// Requests `from..to` of [`crate::mixed`] over one connection.
    Mixed {
        address: String,
        host: String,
        from: u64,
        to: u64,
    },
    /// The addresses of a name, by the C library.
    Resolve(String),
    Talk(Talk),
    Watch(Watch),
    /// Echo TCP and UDP at this address until the process ends.
    Serve(String),
    /// Open this many connections and keep them until the next `Hold`.
    Hold {
        address: String,
        count: usize,
    },
}

#[derive(Debug, Deserialize, Serialize)]
pub enum Part {
    Send(Vec<u8>),
    Wait(u64),
    HalfClose,
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::Send(text.as_bytes().to_vec())
    }
}

#[derive(Debug, Deserialize, Serialize)]
pub enum Answer {
    Exchanged(Exchanged),
    Loaded(Report),
    Bulked {
        received: u64,
        digest: u64,
        sent_digest: u64,
        took_ms: u64,
    },
    Resolved(Vec<String>),
    Held(usize),
    Heard(Heard),
    Watched(Watched),
    Serving,
    /// What differed.
    Mixed(Vec<String>),
    Failed(String),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Exchanged {
    pub received: Vec<u8>,
    /// The peer ended the connection (as opposed to falling silent).
    pub closed: bool,
    /// It ended with a reset.
    pub reset: bool,
    /// From connecting to the first byte received.
    pub first_byte_us: u64,
    pub local: String,
    pub peer: String,
}

impl Exchanged {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }
}

/// Does what is asked. Connections in `held` live until the next `Hold`.
pub fn carry_out(ask: Ask, held: &mut Vec<TcpStream>) -> Answer {
    let done = match ask {
        Ask::Exchange { address, parts, idle_ms } => {
            exchange(&address, &parts, Duration::from_millis(idle_ms)).map(Answer::Exchanged)
        }
        Ask::Load(plan) => Ok(Answer::Loaded(load::run(&plan))),
        Ask::Bulk { address, bytes, half_close } => bulk(&address, bytes, half_close),
        Ask::Resolve(name) => (name.as_str(), 0)
            .to_socket_addrs()
            .map(|found| Answer::Resolved(found.map(|address| address.ip().to_string()).collect())),
        Ask::Mixed { address, host, from, to } => {
            crate::mixed::check(&address, &host, from, to).map(Answer::Mixed)
        }
        Ask::Watch(plan) => Ok(Answer::Watched(watch::watch(&plan))),
        Ask::Talk(talk) => datagram::talk(&talk).map(Answer::Heard),
        Ask::Serve(address) => datagram::echo(&address).map(|()| Answer::Serving),
        Ask::Hold { address, count } => {
            held.clear();
            hold(&address, count, held)
        }
    };
    done.unwrap_or_else(|error| Answer::Failed(format!("{:?}: {error}", error.kind())))
}

fn hold(address: &str, count: usize, held: &mut Vec<TcpStream>) -> io::Result<Answer> {
    for _ in 0..count {
        held.push(TcpStream::connect(address)?);
    }
    Ok(Answer::Held(held.len()))
}

fn exchange(address: &str, parts: &[Part], idle: Duration) -> io::Result<Exchanged> {
    let start = Instant::now();
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let (local, peer) = (stream.local_addr()?.to_string(), stream.peer_addr()?.to_string());
    let reading = stream.try_clone()?;
    // Reading while sending, as a real peer does: a refusal may come before the last byte is out.
    let reader = std::thread::spawn(move || read_all(&reading, idle, start));
    for part in parts {
        let sent = match part {
            Part::Send(bytes) => (&stream).write_all(bytes),
            Part::HalfClose => stream.shutdown(Shutdown::Write),
            Part::Wait(ms) => {
                pause(Duration::from_millis(*ms));
                Ok(())
            }
        };
        if sent.is_err() {
            break; // the peer has gone: what it said before is being read
        }
    }
    let (received, closed, reset, first_byte_us) = reader.join().expect("reader");
    Ok(Exchanged { received, closed, reset, first_byte_us, local, peer })
}

fn read_all(mut stream: &TcpStream, idle: Duration, start: Instant) -> (Vec<u8>, bool, bool, u64) {
    let (mut received, mut buffer, mut first) = (Vec::new(), vec![0; 1 << 16], 0);
    if stream.set_read_timeout(Some(idle)).is_err() {
        return (received, true, true, 0);
    }
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (received, true, false, first),
            Ok(got) => {
                if first == 0 {
                    first = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                }
                received.extend_from_slice(&buffer[..got]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return (received, false, false, first);
            }
            Err(_) => return (received, true, true, first),
        }
    }
}

/// Bytes nobody can guess and both ends can make: xorshift64.
pub struct Noise(pub u64);

impl Noise {
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for word in buffer.chunks_mut(8) {
            let next = self.number().to_le_bytes();
            word.copy_from_slice(&next[..word.len()]);
        }
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Writes `bytes` of noise; their digest.
pub fn pour(mut stream: &TcpStream, bytes: u64, seed: u64) -> io::Result<Digest> {
    let (mut noise, mut digest, mut left) = (Noise(seed), Digest::default(), bytes);
    let mut buffer = vec![0; 1 << 16];
    while left > 0 {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        noise.fill(&mut buffer[..here]);
        digest.add(&buffer[..here]);
        stream.write_all(&buffer[..here])?;
        left -= here as u64;
    }
    Ok(digest)
}

fn bulk(address: &str, bytes: u64, half_close: bool) -> io::Result<Answer> {
    let start = Instant::now();
    let stream = TcpStream::connect(address)?;
    let writing = stream.try_clone()?;
    let writer = std::thread::spawn(move || {
        let sent = pour(&writing, bytes, 7)?;
        if half_close {
            writing.shutdown(Shutdown::Write)?;
        }
        Ok::<_, io::Error>(sent)
    });
    let (received, digest) = crate::backend::drain(&stream)?;
    let sent = writer.join().expect("writer")?;
    let took_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Answer::Bulked { received, digest: digest.0, sent_digest: sent.0, took_ms })
}
