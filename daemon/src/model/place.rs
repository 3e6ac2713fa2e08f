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

    /// For keys and people: TCP is not named.
    pub(crate) fn short(&self) -> String {
        match self.transport {
            Transport::Tcp => self.address.to_string(),
            Transport::Udp => self.to_string(),
        }
    }

    /// Reads [`Self::short`].
    pub(crate) fn from_short(text: &str) -> Option<Self> {
        match text.strip_prefix("udp:") {
            Some(address) => address.parse().ok().map(Self::udp),
            None => text.parse().ok().map(Self::tcp),
        }
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
