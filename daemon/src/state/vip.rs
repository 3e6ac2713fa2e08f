//! Which virtual address a service has.
//!
//! The address follows from the name (a hash, then the next free one in name order), so every
//! node computes the same; a service keeps it while it exists.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::model::ServiceName;

/// The ranges virtual addresses come from; the host bits of both bases are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vips {
    pub(crate) base4: Ipv4Addr,
    pub(crate) prefix4: u8,
    /// Leaves at least as many host bits as `prefix4` does: both addresses of a service end in
    /// the same number.
    pub(crate) base6: Ipv6Addr,
}

/// Every address of the range is in use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no virtual address is left for {0}")]
pub(crate) struct NoFreeAddress(pub(crate) ServiceName);

impl Vips {
    /// An address pair for each of `names` (sorted); who had one in the range (`kept`) keeps it.
    pub(super) fn assign(
        &self,
        names: &[&ServiceName],
        kept: impl Fn(&ServiceName) -> Option<Ipv4Addr>,
    ) -> Result<Vec<(Ipv4Addr, Ipv6Addr)>, NoFreeAddress> {
        let mut taken = HashSet::with_capacity(names.len());
        let mut hosts = Vec::with_capacity(names.len());
        for name in names {
            let host = kept(name).and_then(|address| self.host(address));
            hosts.push(host.filter(|host| taken.insert(*host)));
        }
        let mut pairs = Vec::with_capacity(names.len());
        for (name, host) in names.iter().zip(hosts) {
            let host = host.or_else(|| self.probe(name, &mut taken));
            let host = host.ok_or_else(|| NoFreeAddress((*name).clone()))?;
            pairs.push(self.pair(host));
        }
        Ok(pairs)
    }

    /// The same for names that may go without, beside addresses that are `taken`.
    pub(super) fn assign_beside(
        &self,
        names: &[ServiceName],
        kept: impl Fn(&ServiceName) -> Option<Ipv4Addr>,
        taken: &HashSet<Ipv4Addr>,
    ) -> Vec<Option<(Ipv4Addr, Ipv6Addr)>> {
        let mut taken: HashSet<u32> = taken.iter().filter_map(|ip| self.host(*ip)).collect();
        let keep = |name| kept(name).and_then(|address| self.host(address));
        let hosts: Vec<_> =
            names.iter().map(|name| keep(name).filter(|host| taken.insert(*host))).collect();
        let all = names.iter().zip(hosts);
        all.map(|(name, host)| {
            host.or_else(|| self.probe(name, &mut taken)).map(|host| self.pair(host))
        })
        .collect()
    }

    fn pair(&self, host: u32) -> (Ipv4Addr, Ipv6Addr) {
        let v4 = Ipv4Addr::from_bits(self.base4.to_bits() | host);
        (v4, Ipv6Addr::from_bits(self.base6.to_bits() | u128::from(host)))
    }

    /// How many addresses there are.
    pub(super) fn room(&self) -> usize {
        usize::try_from(self.size()).unwrap_or(usize::MAX)
    }

    fn size(&self) -> u32 {
        1_u32.checked_shl(32 - u32::from(self.prefix4.min(32))).unwrap_or(u32::MAX)
    }

    /// The host number of an address in the range.
    fn host(&self, address: Ipv4Addr) -> Option<u32> {
        let host = address.to_bits() ^ self.base4.to_bits();
        (host < self.size() && usable(host)).then_some(host)
    }

    fn probe(&self, name: &ServiceName, taken: &mut HashSet<u32>) -> Option<u32> {
        let size = self.size();
        let start = u32::try_from(hash(name) % u64::from(size)).unwrap_or_default();
        let mut candidates = (start..size).chain(0..start);
        candidates.find(|&host| usable(host) && taken.insert(host))
    }
}

/// Addresses that end in 0 or 255 look like networks and broadcasts to some programs.
fn usable(host: u32) -> bool {
    !matches!(host & 0xff, 0 | 0xff)
}

/// FNV-1a: fixed for ever, since other nodes and other versions must agree.
fn hash(name: &ServiceName) -> u64 {
    let bytes = name.namespace.bytes().chain([b'/']).chain(name.name.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_from_the_names() {
        let pairs = addresses(&names(3), |_| None).unwrap();
        assert_eq!(pairs, addresses(&names(3), |_| None).unwrap());
        for (v4, v6) in pairs {
            assert_eq!(v4.octets()[..2], [240, 0]);
            let tail = v6.segments();
            assert_eq!(tail[..4], [0xfd6d, 0x6573, 0x6800, 0]);
            assert_eq!(u32::from(tail[7]), v4.to_bits() & 0xffff);
        }
    }

    #[test]
    fn a_service_keeps_its_address_whoever_comes_and_goes() {
        let before = addresses(&names(500), |_| None).unwrap();
        let names = names(1_000);
        let kept = |name: &ServiceName| {
            names[..500].iter().position(|known| known == name).map(|at| before[at].0)
        };
        let after = addresses(&names, kept).unwrap();
        assert_eq!(before, after[..500]);
        let all: HashSet<_> = after.iter().collect();
        assert_eq!(all.len(), after.len());
    }

    #[test]
    fn a_full_range_is_an_error_and_edges_are_never_used() {
        let small = Vips { base4: Ipv4Addr::new(240, 0, 7, 0), prefix4: 24, ..vips() };
        let all = names(255);
        let fits: Vec<&ServiceName> = all.iter().take(254).collect();
        let pairs = small.assign(&fits, |_| None).unwrap();
        assert!(pairs.iter().all(|(v4, _)| !matches!(v4.octets()[3], 0 | 255)));
        let full = small.assign(&all.iter().collect::<Vec<_>>(), |_| None);
        assert_eq!(full, Err(NoFreeAddress(all[254].clone())));
    }

    fn vips() -> Vips {
        let base6 = "fd6d:6573:6800::".parse().unwrap();
        Vips { base4: Ipv4Addr::new(240, 0, 0, 0), prefix4: 16, base6 }
    }

    fn names(count: usize) -> Vec<ServiceName> {
        (0..count).map(|n| ServiceName::new("", &format!("svc-{n:05}"))).collect()
    }

    fn addresses(
        names: &[ServiceName],
        kept: impl Fn(&ServiceName) -> Option<Ipv4Addr>,
    ) -> Result<Vec<(Ipv4Addr, Ipv6Addr)>, NoFreeAddress> {
        vips().assign(&names.iter().collect::<Vec<_>>(), kept)
    }
}
