//! What comes in: the ports that are taken, and the sockets it goes to.

use std::os::fd::AsRawFd;

use aya::maps::{HashMap, MapData, MapError, SockMap};

use super::or_gone;
use crate::LoadError;
use crate::shared::{RawInbound, Transport};

/// Where meshd's listening sockets lie in their map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Listener {
    Tcp4 = 0,
    Tcp6 = 1,
    Udp4 = 2,
    Udp6 = 3,
}

/// The ports whose traffic is taken. There is one writer.
pub struct Inbound {
    ports: HashMap<MapData, RawInbound, u32>,
    listeners: SockMap<MapData>,
}

impl Inbound {
    pub(crate) fn take(ebpf: &mut aya::Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            ports: super::take(ebpf, "INBOUND")?,
            listeners: super::take(ebpf, "LISTENERS")?,
        })
    }

    /// Where taken traffic goes. Of sockets that share a port (`SO_REUSEPORT`) one is enough: the
    /// kernel spreads over all of them.
    ///
    /// # Errors
    /// The socket does not listen, or is none.
    pub fn set_listener(&mut self, which: Listener, socket: &impl AsRawFd) -> Result<(), MapError> {
        self.listeners.set(which as u32, socket, 0)
    }

    /// # Errors
    /// The map is full.
    pub fn open(&mut self, transport: Transport, port: u16) -> Result<(), MapError> {
        self.ports.insert(RawInbound::new(transport, port), 1, 0)
    }

    /// # Errors
    /// The kernel refused.
    pub fn close(&mut self, transport: Transport, port: u16) -> Result<(), MapError> {
        or_gone(self.ports.remove(&RawInbound::new(transport, port)))
    }
}

impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbound").finish_non_exhaustive()
    }
}
