//! The sockets of one gate, and what each of them is for.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::capture::{Raw, dns, host};

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Role {
    /// Captured connections.
    Tcp = 1,
    DnsUdp = 2,
    DnsTcp = 3,
    /// Answers to datagrams.
    Raw = 4,
    /// Asks the namespace's `sock_diag` whose a socket is.
    Diag = 5,
    /// Captured datagrams.
    Udp = 6,
}

impl Role {
    const ALL: [Self; 6] =
        [Self::Tcp, Self::DnsUdp, Self::DnsTcp, Self::Raw, Self::Diag, Self::Udp];

    /// Takes connections.
    pub(crate) fn accepts(self) -> bool {
        matches!(self, Self::Tcp | Self::DnsTcp)
    }

    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as u8 == number)
    }
}

/// A socket's role, and which worker it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) role: Role,
    pub(crate) worker: u8,
}

/// What arrived of a gate, sorted.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// The workers'.
    pub(crate) doors: Vec<(Tag, OwnedFd)>,
    pub(crate) dns: dns::Sockets,
    pub(crate) raw: Arc<Raw>,
    pub(super) diag: OwnedFd,
    /// Names the network namespace for the kernel, and for as long as it runs.
    pub(crate) cookie: u64,
}

impl Sockets {
    /// # Errors
    /// Something every gate needs is missing, or is not what it is said to be.
    pub(crate) fn sort(tagged: Vec<(Tag, OwnedFd)>) -> io::Result<Self> {
        let mut dns = dns::Sockets::default();
        let (mut doors, mut raw, mut diag) = (Vec::new(), Vec::new(), None);
        for (tag, socket) in tagged {
            match tag.role {
                Role::Tcp | Role::Udp => doors.push((tag, socket)),
                Role::DnsUdp => dns.add_udp(socket),
                Role::DnsTcp => dns.add_tcp(socket),
                Role::Raw => raw.push(socket),
                Role::Diag => diag = Some(socket),
            }
        }
        let missing = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let (_, listener) = doors.first().ok_or_else(|| missing("no listening socket"))?;
        let cookie = host::cookie_of(listener)?;
        let diag = diag.ok_or_else(|| missing("no sock_diag socket"))?;
        Ok(Self { doors, dns, raw: Arc::new(Raw::taken(raw)?), diag, cookie })
    }
}
