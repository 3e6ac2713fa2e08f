//! Who calls from inside a namespace that meshd only has sockets in.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::namespace::{Blueprint, HOST4, HOST6};
use super::sockets::Sockets;
use crate::capture::diag::Protocol;
use crate::capture::inhabitants::Inhabitants;
use crate::capture::origin::{Origin, OriginError};
use crate::capture::{Counters, process};
use crate::model::canonical;

/// Looks callers up; shared by all workers.
#[derive(Debug)]
pub(in crate::capture) struct Callers {
    inhabitants: Inhabitants,
    /// Key in `Snapshot::workloads` of everything in the namespace.
    workload: u64,
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
            inhabitants: Inhabitants::new(sockets.diag.try_clone()?)?,
            workload,
            own_ports: [blueprint.tcp_port, blueprint.udp_port, blueprint.dns_port],
            counts,
        })
    }

    pub(in crate::capture) fn network(&self) -> u64 {
        self.inhabitants.network()
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
        let owner = self.inhabitants.owner(protocol, peer, local).map_err(OriginError::Unknown)?;
        let pid = self.inhabitants.pid(&owner).unwrap_or(0);
        Ok(Origin {
            destination: canonical(local),
            workload: Some(self.workload),
            pid,
            uid: owner.uid,
            process: process::comm(pid),
            connecting: Duration::ZERO,
        })
    }
}
