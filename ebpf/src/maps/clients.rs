//! Whom applications see in meshd's place.

use std::io;
use std::net::SocketAddr;

use super::raw::Shared;
use crate::LoadError;
use crate::shared::{Address, Transport};

/// The clients meshd stands for. Cheap to clone, no lock.
#[derive(Clone, Debug)]
pub struct Clients {
    shown: Shared<Address, Address>,
}

/// An address of meshd's that appears to be a client's, for as long as this lives.
#[derive(Debug)]
pub struct Shown {
    clients: Clients,
    own: Address,
}

impl Clients {
    pub(crate) fn of(ebpf: &aya::Ebpf) -> Result<Self, LoadError> {
        Ok(Self { shown: Shared::of(ebpf, "CLIENTS")? })
    }

    /// What comes from `own` appears to come from `client`, to sockets that can have such a peer:
    /// those of IPv4 have none of IPv6.
    ///
    /// # Errors
    /// The map is full.
    pub fn show(
        &self,
        transport: Transport,
        own: SocketAddr,
        client: SocketAddr,
    ) -> io::Result<Shown> {
        let own = Address::new(own, transport);
        self.shown.put(own, Address::new(client, transport))?;
        Ok(Shown { clients: self.clone(), own })
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // Gone with the programs, if not here.
        self.clients.shown.remove(self.own).ok();
    }
}
