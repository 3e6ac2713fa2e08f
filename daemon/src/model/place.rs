//! An address as the network knows it.

use std::fmt;
use std::net::SocketAddr;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// A destination: port 53 of an address is one thing over TCP and another over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) transport: Transport,
    pub(crate) address: SocketAddr,
}

impl Place {
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        Self { transport: Transport::Tcp, address }
    }

    pub(crate) fn udp(address: SocketAddr) -> Self {
        Self { transport: Transport::Udp, address }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport, self.address)
    }
}
