//! The structs of `programs/shared.h`, as the kernel lays them out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aya::Pod;

/// Captured connections appear to come in on 127.128.0.0/9 and `fd6d:6573:6864::/64`.
pub const FAKE4: (Ipv4Addr, u8) = (Ipv4Addr::new(127, 128, 0, 0), 9);
pub const FAKE6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd6d, 0x6573, 0x6864, 0, 0, 0, 0, 0), 64);

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Cgroups at so many depths can be scopes.
pub(crate) const LEVELS: usize = 16;
/// A virtual address can have so many endpoints to pick from, each counted as often as its weight
/// deserves.
pub const MOST_SHARES: usize = 32;

/// Connects that can be under way; the low bits of a number say where it is noted.
pub(crate) const NOTES: usize = 32_768;

/// `enum mesh_flag`.
pub(crate) mod flags {
    pub(crate) const SCOPES_BY_UID: u32 = 1;
    pub(crate) const SCOPES_BY_NETNS: u32 = 2;
    pub(crate) const SCOPE_HOST: u32 = 4;
    pub(crate) const EXCLUDES_NETS: u32 = 8;
    pub(crate) const EXCLUDES_UIDS: u32 = 16;
    pub(crate) const FAIL_CLOSED: u32 = 32;
    pub(crate) const STRICT: u32 = 64;
    pub(crate) const LEAVES_DNS: u32 = 128;
    pub(crate) const PACED: u32 = 256;
}

/// Transport protocol numbers as in an IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Transport {
    Tcp = 6,
    Udp = 17,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    ip: [u32; 4],
    port: u16,
    family: u8,
    protocol: u8,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawConfig {
    pub(crate) netns: u64,
    pub(crate) mark_own: u32,
    pub(crate) mark_mask: u32,
    pub(crate) vip4: u32,
    pub(crate) vip4_mask: u32,
    pub(crate) vip6: [u32; 2],
    pub(crate) flags: u32,
    pub(crate) source4: u32,
    pub(crate) source6: [u32; 4],
    pub(crate) tcp_port: u16,
    pub(crate) udp_port: u16,
    pub(crate) dns_port: u16,
    pub(crate) unused: u16,
    pub(crate) levels: [u8; LEVELS],
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawNetns {
    pub(crate) source4: u32,
    pub(crate) source6: [u32; 4],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RawScopeKey {
    pub(crate) id: u64,
    pub(crate) kind: u32,
    pub(crate) unused: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawScope {
    pub(crate) workload: u64,
    pub(crate) egress: u32,
    pub(crate) excluded: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawDestination {
    pub(crate) source: [u32; 4],
    pub(crate) straight: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawEndpoint {
    ip: [u32; 4],
    port: u16,
    family: u16,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawEndpoints {
    pub(crate) count: u32,
    pub(crate) at: [RawEndpoint; MOST_SHARES],
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawWish {
    pub(crate) wanted: Address,
    pub(crate) uid: u32,
    pub(crate) workload: u64,
    pub(crate) at: u64,
    pub(crate) comm: [u8; 16],
    pub(crate) pid: u32,
    unused: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawInbound {
    port: u16,
    protocol: u8,
    unused: u8,
}

// The header asserts the same numbers.
const _: () = assert!(size_of::<Address>() == 20);
const _: () = assert!(size_of::<RawConfig>() == 80);
const _: () = assert!(size_of::<RawNetns>() == 20);
const _: () = assert!(size_of::<RawScopeKey>() == 16);
const _: () = assert!(size_of::<RawScope>() == 16);
const _: () = assert!(size_of::<RawDestination>() == 20);
const _: () = assert!(size_of::<RawEndpoint>() == 20);
const _: () = assert!(size_of::<RawEndpoints>() == 644);
const _: () = assert!(size_of::<RawWish>() == 64);
const _: () = assert!(size_of::<RawInbound>() == 4);

// SAFETY: `repr(C)` integers without padding (the sizes above are the sums of their fields), and
// every bit pattern is a value.
unsafe impl Pod for Address {}
// SAFETY: as above.
unsafe impl Pod for RawConfig {}
// SAFETY: as above.
unsafe impl Pod for RawNetns {}
// SAFETY: as above.
unsafe impl Pod for RawScopeKey {}
// SAFETY: as above.
unsafe impl Pod for RawScope {}
// SAFETY: as above.
unsafe impl Pod for RawDestination {}
// SAFETY: as above.
unsafe impl Pod for RawEndpoints {}
// SAFETY: as above.
unsafe impl Pod for RawWish {}
// SAFETY: as above.
unsafe impl Pod for RawInbound {}

impl RawEndpoint {
    pub(crate) const NONE: Self = Self { ip: [0; 4], port: 0, family: 0 };

    pub(crate) fn new(address: SocketAddr) -> Self {
        let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
        Self { ip: words(address.ip()), port: address.port().to_be(), family: family.into() }
    }
}

impl RawInbound {
    pub(crate) fn new(transport: Transport, port: u16) -> Self {
        Self { port, protocol: transport as u8, unused: 0 }
    }
}

impl Address {
    pub(crate) fn new(address: SocketAddr, transport: Transport) -> Self {
        let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
        let port = address.port().to_be();
        Self { ip: words(address.ip()), port, family, protocol: transport as u8 }
    }

    pub(crate) fn socket_addr(&self) -> SocketAddr {
        let [first, ..] = self.ip;
        let ip: IpAddr = if self.family == AF_INET {
            Ipv4Addr::from(first.to_ne_bytes()).into()
        } else {
            Ipv6Addr::from_bits(
                self.ip.iter().fold(0, |bits, word| bits << 32 | u128::from(u32::from_be(*word))),
            )
            .into()
        };
        SocketAddr::new(ip, u16::from_be(self.port))
    }
}

/// An address as four words in network order; IPv4 in the first.
pub(crate) fn words(ip: IpAddr) -> [u32; 4] {
    match ip {
        IpAddr::V4(ip) => [ip.to_bits().to_be(), 0, 0, 0],
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            [96, 64, 32, 0].map(|shift| ((bits >> shift) as u32).to_be())
        }
    }
}

/// The number in a fake address; `None` for any other address.
pub(crate) fn number(ip: IpAddr) -> Option<u64> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let host = u32::MAX >> FAKE4.1;
            (ip.to_bits() & !host == FAKE4.0.to_bits()).then(|| u64::from(ip.to_bits() & host))
        }
        IpAddr::V6(ip) => {
            let host = u128::from(u64::MAX);
            (ip.to_bits() & !host == FAKE6.0.to_bits()).then_some((ip.to_bits() & host) as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_went_in() {
        for text in ["240.0.1.2:80", "[fd6d:6573:6800::7]:443"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Address::new(address, Transport::Tcp).socket_addr(), address);
        }
    }

    #[test]
    fn only_fake_addresses_have_a_number() {
        let number = |text: &str| number(text.parse().unwrap());
        assert_eq!(number("127.128.0.9"), Some(9));
        assert_eq!(number("::ffff:127.255.255.255"), Some(0x7f_ffff));
        assert_eq!(number("fd6d:6573:6864::1:0"), Some(0x1_0000));
        assert_eq!(number("127.0.0.1"), None);
        assert_eq!(number("fd6d:6573:6800::1"), None);
    }
}
