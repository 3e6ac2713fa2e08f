//! Who calls from inside a namespace that meshd only has sockets in.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use std::os::unix::fs::MetadataExt as _;

use super::namespace::{Blueprint, HOST4, HOST6};
use super::sockets::Sockets;
use crate::capture::diag::{self, Owner, Protocol};
use crate::capture::origin::{Origin, OriginError};
use crate::capture::{Counters, process};
use crate::model::canonical;

/// Looks callers up; shared by all workers.
#[derive(Debug)]
pub(in crate::capture) struct Callers {
    /// Made inside; one question at a time.
    diag: Mutex<OwnedFd>,
    /// Key in `Snapshot::workloads` of everything in the namespace.
    workload: u64,
    /// The namespace's inode.
    network: u64,
    /// Processes that were found in it, the last caller first.
    known: Mutex<Vec<u32>>,
    own_ports: [u16; 3],
    counts: Arc<Counts>,
}

/// What came through gates, since start.
#[derive(Debug, Default)]
pub(in crate::capture) struct Counts {
    connections: AtomicU64,
    questions: AtomicU64,
}

impl Counts {
    pub(in crate::capture) fn read(&self) -> Counters {
        Counters {
            connections: self.connections.load(Relaxed),
            questions: self.questions.load(Relaxed),
            ..Counters::default()
        }
    }
}

impl Callers {
    pub(in crate::capture) fn new(
        sockets: &Sockets,
        workload: u64,
        blueprint: &Blueprint,
        counts: Arc<Counts>,
    ) -> io::Result<Self> {
        Ok(Self {
            network: network_of(&sockets.diag)?,
            diag: Mutex::new(sockets.diag.try_clone()?),
            workload,
            known: Mutex::default(),
            own_ports: [blueprint.tcp_port, blueprint.udp_port, blueprint.dns_port],
            counts,
        })
    }

    pub(in crate::capture) fn network(&self) -> u64 {
        self.network
    }

    /// The listener is transparent: `local` is what the program asked for.
    pub(in crate::capture) fn of_stream(
        &self,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Result<Origin, OriginError> {
        let ip = local.ip().to_canonical();
        let here = ip.is_loopback() || ip == HOST4 || ip == HOST6;
        if here && self.own_ports.contains(&local.port()) {
            return Err(OriginError::Direct);
        }
        if local.port() != 53 {
            self.counts.connections.fetch_add(1, Relaxed);
        }
        self.origin(Protocol::Tcp, peer, local)
    }

    pub(in crate::capture) fn of_datagram(
        &self,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Result<Origin, OriginError> {
        self.origin(Protocol::Udp, peer, local)
    }

    fn origin(
        &self,
        protocol: Protocol,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Result<Origin, OriginError> {
        if local.port() == 53 {
            self.counts.questions.fetch_add(1, Relaxed);
        }
        let owner = {
            let diag = self.diag.lock().unwrap_or_else(PoisonError::into_inner);
            diag::owner_by(&diag, protocol, peer, local).map_err(OriginError::Unknown)?
        };
        let pid = self.pid(&owner).unwrap_or(0);
        Ok(Origin {
            destination: canonical(local),
            workload: Some(self.workload),
            pid,
            uid: owner.uid,
            process: process::comm(pid),
            connecting: Duration::ZERO,
        })
    }

    /// The process that holds the socket.
    fn pid(&self, owner: &Owner) -> Option<u32> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |pid: &u32| process::holds_socket(*pid, owner.inode);
        let found = known.iter().copied().find(holds).or_else(|| {
            *known = process::in_network(self.network);
            // The newest processes first: short-lived clients are what runs start.
            known.reverse();
            known.iter().copied().find(holds)
        })?;
        if let Some(at) = known.iter().position(|pid| *pid == found) {
            known.swap(0, at);
        }
        Some(found)
    }
}

/// Inode of the namespace a socket was made in, as /proc/PID/ns/net shows it.
fn network_of(socket: &OwnedFd) -> io::Result<u64> {
    /// `SIOCGSKNS` (linux/sockios.h): allowed to whoever owns the user namespace.
    const NAMESPACE: libc::Ioctl = 0x894c;
    // SAFETY: no pointers; the descriptor is checked and owned by nobody else.
    let namespace = unsafe {
        let fd = libc::ioctl(socket.as_raw_fd(), NAMESPACE);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    Ok(fs::File::from(namespace).metadata()?.ino())
}
