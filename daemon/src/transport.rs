//! From an endpoint to a connected stream, pooled per worker.

mod datagram;
mod pool;
mod socket;
mod source;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use datagram::connect_datagram;
pub(crate) use pool::{Connection, Idle, Pool, Reuse};
pub(crate) use socket::{Socket, prefer_loopback_speed, prepare, register, watch};
pub(crate) use source::{Source, bind_own};

/// Why there is no connection to an endpoint; another one may do better.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("{address} did not answer within {after:?}")]
    Timeout { address: SocketAddr, after: Duration },
    #[error("cannot connect to {address}")]
    Refused {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
}
