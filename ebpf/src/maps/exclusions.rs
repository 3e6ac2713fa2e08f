//! What is left alone although somebody in a scope wants it.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData, MapError};

use super::or_gone;
use crate::LoadError;
use crate::shared::{Transport, flags, words};

const WORDS_PER_TRANSPORT: u32 = 1024;

/// Everything the programs leave alone; port 22 of TCP is left alone without being named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excluded {
    pub ports: Vec<(Transport, RangeInclusive<u16>)>,
    /// The longest range decides; `false`: not left alone.
    pub nets: Vec<(IpAddr, u8, bool)>,
    pub uids: Vec<u32>,
}

pub(crate) struct Exclusions {
    ports: Array<MapData, u64>,
    nets: LpmTrie<MapData, [u32; 4], u32>,
    uids: HashMap<MapData, u32, u32>,
    current: Excluded,
}

impl Exclusions {
    pub(crate) fn take(ebpf: &mut aya::Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            ports: super::take(ebpf, "EXCLUDED_PORTS")?,
            nets: super::take(ebpf, "EXCLUDED_NETS")?,
            uids: super::take(ebpf, "EXCLUDED_UIDS")?,
            current: Excluded::default(),
        })
    }

    /// Replaces all of them; what stays excluded is so throughout.
    pub(crate) fn replace(&mut self, new: Excluded) -> Result<(), MapError> {
        for (net, length, left_alone) in &new.nets {
            self.nets.insert(&net_key(*net, *length), u32::from(*left_alone), 0)?;
        }
        let kept = |old: &&(IpAddr, u8, bool)| {
            new.nets.iter().any(|(net, length, _)| (*net, *length) == (old.0, old.1))
        };
        for (net, length, _) in self.current.nets.iter().filter(|old| !kept(old)) {
            or_gone(self.nets.remove(&net_key(*net, *length)))?;
        }
        for uid in &new.uids {
            self.uids.insert(uid, 1, 0)?;
        }
        for uid in self.current.uids.iter().filter(|uid| !new.uids.contains(uid)) {
            or_gone(self.uids.remove(uid))?;
        }
        let (old, bits) = (bits(&self.current.ports), bits(&new.ports));
        let changed = (0_u32..).zip(bits.iter().zip(&old)).filter(|(_, (new, old))| new != old);
        for (index, (word, _)) in changed {
            self.ports.set(index, word, 0)?;
        }
        self.current = new;
        Ok(())
    }

    pub(crate) fn flags(&self) -> u32 {
        let when = |some: bool, flag| if some { flag } else { 0 };
        when(!self.current.nets.is_empty(), flags::EXCLUDES_NETS)
            | when(!self.current.uids.is_empty(), flags::EXCLUDES_UIDS)
    }
}

fn bits(ports: &[(Transport, RangeInclusive<u16>)]) -> Vec<u64> {
    let mut bits = vec![0_u64; 2 * WORDS_PER_TRANSPORT as usize];
    for (transport, range) in ports {
        let first = if *transport == Transport::Udp { WORDS_PER_TRANSPORT } else { 0 };
        for port in range.clone() {
            let word = first + u32::from(port) / 64;
            if let Some(word) = bits.get_mut(word as usize) {
                *word |= 1 << (port % 64);
            }
        }
    }
    bits
}

/// IPv4 lies in `::ffff:0:0/96`.
fn net_key(net: IpAddr, length: u8) -> Key<[u32; 4]> {
    let (net, length): (Ipv6Addr, u32) = match net {
        IpAddr::V4(net) => (net.to_ipv6_mapped(), u32::from(length) + 96),
        IpAddr::V6(net) => (net, length.into()),
    };
    Key::new(length, words(net.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_per_port_and_transport() {
        let set = |ports: &[u64]| ports.iter().map(|word| word.count_ones()).sum::<u32>();
        let bits = bits(&[(Transport::Tcp, 9000..=9010), (Transport::Udp, 65535..=65535)]);
        assert_eq!(set(&bits), 12);
        assert_eq!(bits[9000 / 64] >> (9000 % 64) & 1, 1);
        assert_eq!(bits[2047], 1 << 63);
    }
}
