//! Addresses of meshd's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SOURCE4: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);
const SOURCE6: Ipv6Addr = Ipv6Addr::new(0xfd6d, 0x6573, 0x6864, 0, 0, 0, 0, 6);

/// Where meshd comes from when it reaches an application whose port is taken to meshd: what comes
/// from there passes.
pub(crate) fn own_source(to: IpAddr) -> IpAddr {
    match to {
        IpAddr::V4(_) => SOURCE4.into(),
        IpAddr::V6(_) => SOURCE6.into(),
    }
}
