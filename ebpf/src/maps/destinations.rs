//! Which addresses are captured, and the endpoints behind the virtual ones.

use std::net::{IpAddr, SocketAddr};

use aya::maps::{HashMap, MapData, MapError};

use super::or_gone;
use crate::LoadError;
use crate::shared::words;
use crate::shared::{Address, MOST_SHARES, RawDestination, RawEndpoint, RawEndpoints, Transport};

/// How calls to one address are captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// What applications see as their own address; `None`: what the kernel picks.
    pub source: Option<IpAddr>,
    pub straight: Straight,
}

/// When the kernel picks one of [`crate::Rules::set_endpoints`] and no proxy is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Straight {
    #[default]
    Never,
    /// At `connect()`; datagrams of sockets that are not connected go to the proxy.
    AtConnect,
    Always,
}

pub(crate) struct Destinations {
    known: HashMap<MapData, Address, RawDestination>,
    endpoints: HashMap<MapData, Address, RawEndpoints>,
}

impl Destinations {
    pub(crate) fn take(ebpf: &mut aya::Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            known: super::take(ebpf, "DESTINATIONS")?,
            endpoints: super::take(ebpf, "ENDPOINTS")?,
        })
    }

    pub(crate) fn insert(
        &mut self,
        address: SocketAddr,
        transport: Transport,
        how: Destination,
    ) -> Result<(), MapError> {
        let source = how.source.map_or([0; 4], words);
        let raw = RawDestination { source, straight: how.straight as u32 };
        self.known.insert(Address::new(address, transport), raw, 0)
    }

    pub(crate) fn remove(
        &mut self,
        address: SocketAddr,
        transport: Transport,
    ) -> Result<(), MapError> {
        or_gone(self.known.remove(&Address::new(address, transport)))
    }

    /// Replaces the endpoints of a virtual address at once.
    pub(crate) fn set_endpoints(
        &mut self,
        address: SocketAddr,
        transport: Transport,
        shares: &[SocketAddr],
    ) -> Result<(), MapError> {
        let key = Address::new(address, transport);
        if shares.is_empty() {
            return or_gone(self.endpoints.remove(&key));
        }
        let mut raw = RawEndpoints { count: 0, at: [RawEndpoint::NONE; MOST_SHARES] };
        for (slot, share) in raw.at.iter_mut().zip(shares) {
            *slot = RawEndpoint::new(*share);
            raw.count += 1;
        }
        self.endpoints.insert(key, raw, 0)
    }
}
