//! What the programs go by: settings, scopes, destinations, exclusions. There is one writer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError};

use crate::maps::destinations::Destinations;
use crate::maps::exclusions::Exclusions;
use crate::maps::scopes::Scopes;
use crate::maps::{or_gone, take};
use crate::shared::{RawConfig, RawNetns, flags, words};
use crate::{Destination, Excluded, LoadError, Rule, Scope, Transport};

/// What the programs are told at once; only the last two change while meshd runs.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Cookie of the network namespace with the listeners (`SO_NETNS_COOKIE`).
    pub netns: u64,
    pub mark_own: u32,
    pub mark_mask: u32,
    pub vip4: (Ipv4Addr, u8),
    /// A /64.
    pub vip6: Ipv6Addr,
    pub tcp_port: u16,
    pub udp_port: u16,
    pub dns_port: u16,
    /// Of questions only those to virtual addresses are captured.
    pub leaves_dns: bool,
    /// While meshd is gone, what it would have carried is refused.
    pub fail_closed: bool,
    /// While meshd is gone, virtual addresses are refused rather than led to an endpoint.
    pub strict: bool,
}

pub struct Rules {
    map: Array<MapData, RawConfig>,
    /// What is in the map.
    written: Option<RawConfig>,
    settings: Settings,
    /// What applications see as their source; unspecified = there is none.
    sources: (Ipv4Addr, Ipv6Addr),
    paced: bool,
    netns: HashMap<MapData, u64, RawNetns>,
    scopes: Scopes,
    destinations: Destinations,
    exclusions: Exclusions,
}

impl Rules {
    pub(crate) fn take(ebpf: &mut Ebpf, settings: Settings) -> Result<Self, LoadError> {
        let mut rules = Self {
            map: take(ebpf, "CONFIG")?,
            written: None,
            settings,
            sources: (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
            paced: true,
            netns: take(ebpf, "NETNS")?,
            scopes: Scopes::take(ebpf)?,
            destinations: Destinations::take(ebpf)?,
            exclusions: Exclusions::take(ebpf)?,
        };
        rules.write().map_err(|source| LoadError::Map { name: "CONFIG", source })?;
        Ok(rules)
    }

    /// The addresses applications see as their own; unspecified: the host has none.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn set_sources(&mut self, sources: (Ipv4Addr, Ipv6Addr)) -> Result<(), MapError> {
        self.sources = sources;
        self.write()
    }

    /// What becomes of calls while meshd is gone.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn set_absence(&mut self, fail_closed: bool, strict: bool) -> Result<(), MapError> {
        self.settings = Settings { fail_closed, strict, ..self.settings };
        self.write()
    }

    /// New connections have a congestion control of themselves that is slow on loopback, as long
    /// as nothing else is said: captured ones get another.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn set_paced(&mut self, paced: bool) -> Result<(), MapError> {
        self.paced = paced;
        self.write()
    }

    /// See [`Self::set_paced`].
    #[must_use]
    pub const fn is_paced(&self) -> bool {
        self.paced
    }

    /// Captures in the network namespace with this cookie too, where meshd listens; applications
    /// there see `sources` as their own.
    ///
    /// # Errors
    /// The map is full.
    pub fn set_netns(
        &mut self,
        cookie: u64,
        (source4, source6): (Ipv4Addr, Ipv6Addr),
    ) -> Result<(), MapError> {
        let [source4, ..] = words(source4.into());
        self.netns.insert(cookie, RawNetns { source4, source6: words(source6.into()) }, 0)
    }

    /// Captures nobody there any more.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn remove_netns(&mut self, cookie: u64) -> Result<(), MapError> {
        or_gone(self.netns.remove(&cookie))
    }

    /// In force for every call that starts after it returned.
    ///
    /// # Errors
    /// The map is full.
    pub fn set_scope(&mut self, scope: Scope, rule: Rule) -> Result<(), MapError> {
        self.scopes.insert(scope, rule)?;
        self.write()
    }

    /// # Errors
    /// The kernel refused.
    pub fn remove_scope(&mut self, scope: Scope) -> Result<(), MapError> {
        self.scopes.remove(scope)?;
        self.write()
    }

    /// Captures calls of the scopes to `address`.
    ///
    /// # Errors
    /// The map is full.
    pub fn set_destination(
        &mut self,
        address: SocketAddr,
        transport: Transport,
        how: Destination,
    ) -> Result<(), MapError> {
        self.destinations.insert(address, transport, how)
    }

    /// # Errors
    /// The kernel refused.
    pub fn remove_destination(
        &mut self,
        address: SocketAddr,
        transport: Transport,
    ) -> Result<(), MapError> {
        self.destinations.remove(address, transport)
    }

    /// Where calls to a virtual address go when no proxy is asked: each share is as likely as any
    /// other. At most [`crate::MOST_SHARES`] count.
    ///
    /// # Errors
    /// The map is full.
    pub fn set_endpoints(
        &mut self,
        address: SocketAddr,
        transport: Transport,
        shares: &[SocketAddr],
    ) -> Result<(), MapError> {
        self.destinations.set_endpoints(address, transport, shares)
    }

    /// Replaces what is left alone.
    ///
    /// # Errors
    /// A map is full.
    pub fn exclude(&mut self, excluded: Excluded) -> Result<(), MapError> {
        self.exclusions.replace(excluded)?;
        self.write()
    }

    /// Tells the programs where to look, if that changed.
    fn write(&mut self) -> Result<(), MapError> {
        let raw = self.raw();
        if self.written != Some(raw) {
            self.map.set(0, raw, 0)?;
            self.written = Some(raw);
        }
        Ok(())
    }

    fn raw(&self) -> RawConfig {
        let Settings { mark_own, mark_mask, vip4: (vip4, prefix), vip6, .. } = self.settings;
        let Settings { tcp_port, udp_port, dns_port, fail_closed, strict, .. } = self.settings;
        let [vip6_high, vip6_low, ..] = words(IpAddr::V6(vip6));
        let vip4_mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let shape = self.scopes.shape();
        let when = |set: bool, flag| if set { flag } else { 0 };
        let [source4, ..] = words(self.sources.0.into());
        RawConfig {
            netns: self.settings.netns,
            mark_own,
            mark_mask,
            vip4: vip4.to_bits().to_be(),
            vip4_mask: vip4_mask.to_be(),
            vip6: [vip6_high, vip6_low],
            flags: shape.flags
                | self.exclusions.flags()
                | when(fail_closed, flags::FAIL_CLOSED)
                | when(strict, flags::STRICT)
                | when(self.settings.leaves_dns, flags::LEAVES_DNS)
                | when(self.paced, flags::PACED),
            source4,
            source6: words(self.sources.1.into()),
            tcp_port,
            udp_port,
            dns_port,
            unused: 0,
            levels: shape.levels,
        }
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").field("settings", &self.settings).finish_non_exhaustive()
    }
}
