//! A client that calls one address all the time and says how long it had to do without.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::wait::pause;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_millis(100);

/// Calls over connections of their own, one after the other.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Watch {
    pub address: SocketAddr,
    pub for_ms: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Watched {
    pub answered: u64,
    pub failed: u64,
    /// From one answer to the next, at worst.
    pub longest_gap_ms: u64,
}

pub fn watch(plan: &Watch) -> Watched {
    let start = Instant::now();
    let mut watched = Watched { answered: 0, failed: 0, longest_gap_ms: 0 };
    let mut last = start;
    while start.elapsed() < Duration::from_millis(plan.for_ms) {
        if call(plan.address).is_ok() {
            watched.answered += 1;
            watched.longest_gap_ms = watched.longest_gap_ms.max(gap(last));
            last = Instant::now();
        } else {
            watched.failed += 1;
            pause(Duration::from_millis(5));
        }
    }
    watched.longest_gap_ms = watched.longest_gap_ms.max(gap(last));
    watched
}

fn gap(last: Instant) -> u64 {
    u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn call(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: watched\r\nConnection: close\r\n\r\n")?;
    match stream.read(&mut [0; 64])? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
