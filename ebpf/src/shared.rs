//! The structs of `programs/shared.h`, as the kernel lays them out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aya::Pod;

/// Captured connections appear to come in on 127.128.0.0/9 and `fd6d:6573:6864::/64`.
pub const FAKE4: (Ipv4Addr, u8) = (Ipv4Addr::new(127, 128, 0, 0), 9);
pub const FAKE6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd6d, 0x6573, 0x6864, 0, 0, 0, 0, 0), 64);

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawConfig {
    pub(crate) netns: u64,
    pub(crate) mark_own: u32,
    pub(crate) mark_mask: u32,
    pub(crate) vip4: u32,
    pub(crate) vip4_mask: u32,
    pub(crate) vip6: [u32; 2],
    pub(crate) source4: u32,
    pub(crate) source6: [u32; 4],
    pub(crate) tcp_port: u16,
    pub(crate) dns_port: u16,
    pub(crate) level: u32,
    pub(crate) unused: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawDestination {
    pub(crate) source: [u32; 4],
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawWish {
    pub(crate) cgroup: u64,
    pub(crate) at: u64,
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) comm: [u8; 16],
    pub(crate) wanted: Address,
    unused: u32,
}

// The header asserts the same numbers.
const _: () = assert!(size_of::<Address>() == 20);
const _: () = assert!(size_of::<RawConfig>() == 64);
const _: () = assert!(size_of::<RawDestination>() == 16);
const _: () = assert!(size_of::<RawWish>() == 64);

// SAFETY: `repr(C)` integers without padding (the sizes above are the sums of their fields), and
// every bit pattern is a value.
unsafe impl Pod for Address {}
// SAFETY: as above.
unsafe impl Pod for RawConfig {}
// SAFETY: as above.
unsafe impl Pod for RawDestination {}
// SAFETY: as above.
unsafe impl Pod for RawWish {}

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
