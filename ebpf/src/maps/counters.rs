//! What the programs did, since they were loaded.

use std::sync::Arc;

use aya::maps::{MapData, PerCpuArray};

use crate::LoadError;

#[derive(Clone)]
pub struct Counters {
    map: Arc<PerCpuArray<MapData, u64>>,
}

impl Counters {
    pub(crate) fn take(ebpf: &mut aya::Ebpf) -> Result<Self, LoadError> {
        Ok(Self { map: Arc::new(super::take(ebpf, "COUNTS")?) })
    }

    pub fn connections(&self) -> u64 {
        self.sum(0)
    }

    /// UDP sockets connected, and datagrams sent by those that are not.
    pub fn datagrams(&self) -> u64 {
        self.sum(1)
    }

    /// Sockets and datagrams taken to the DNS server.
    pub fn questions(&self) -> u64 {
        self.sum(2)
    }

    /// Calls to a virtual address's undeclared port, or to one from outside every scope.
    pub fn refused(&self) -> u64 {
        self.sum(3)
    }

    /// Sent to an endpoint without the proxy, as its service says.
    pub fn balanced(&self) -> u64 {
        self.sum(4)
    }

    /// Left alone because the settings say so.
    pub fn excluded(&self) -> u64 {
        self.sum(5)
    }

    /// Left alone, or sent to an endpoint, because meshd did not renew its lease.
    pub fn bypassed(&self) -> u64 {
        self.sum(6)
    }

    /// Connections and datagrams that came in and were taken.
    pub fn inbound(&self) -> u64 {
        self.sum(7)
    }

    fn sum(&self, counter: u32) -> u64 {
        self.map.get(&counter, 0).map_or(0, |per_cpu| per_cpu.iter().sum())
    }
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}
