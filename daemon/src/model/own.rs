//! Addresses of meshd's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SOURCE4: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);
const SOURCE6: Ipv6Addr = Ipv6Addr::new(0xfd6d, 0x6573, 0x6864, 0, 0, 0, 0, 6);
/// 127.6.0.0/16 and fd6d:6573:6864:0:6::/80.
const DISGUISED4: u32 = 0x7f06_0000;
const DISGUISED6: u128 = 0xfd6d_6573_6864_0000_0006 << 48;

/// Where meshd comes from when it reaches an application whose port is taken to meshd: what comes
/// from there passes.
pub(crate) fn own_source(to: IpAddr) -> IpAddr {
    match to {
        IpAddr::V4(_) => SOURCE4.into(),
        IpAddr::V6(_) => SOURCE6.into(),
    }
}

/// One of many such addresses, for connections that appear to be their client's.
pub(crate) fn disguised_source(to: IpAddr, number: u16) -> IpAddr {
    match to {
        IpAddr::V4(_) => Ipv4Addr::from_bits(DISGUISED4 | u32::from(number)).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(DISGUISED6 | u128::from(number)).into(),
    }
}
