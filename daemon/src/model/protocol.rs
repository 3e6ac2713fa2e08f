//! What a service says it speaks.

use super::Transport;

/// The protocol declared for a service port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Declared {
    /// Undeclared: the first bytes decide, and a server that speaks first is not kept waiting.
    #[default]
    Detect,
    Tcp,
    Http,
    Grpc,
    /// Datagrams, passed on unread.
    Udp,
}

impl Declared {
    pub(crate) const fn transport(self) -> Transport {
        match self {
            Self::Detect | Self::Tcp | Self::Http | Self::Grpc => Transport::Tcp,
            Self::Udp => Transport::Udp,
        }
    }
}

/// How HTTP that is wrong but harmless is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compat {
    /// Refused with the reason.
    #[default]
    Strict,
    /// Repaired and forwarded clean, never passed on as it came.
    Lenient,
}
