//! What is reached over an interface: no program sees which one a call will take, but the routing
//! table tells it by the destination.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model;

/// Address and prefix length.
type Net = (IpAddr, u8);

/// Every destination of the routing tables, and whether it is reached over one of `interfaces`.
/// The longest prefix decides. `own` are this host's addresses, which lead to loopback.
pub(super) fn nets(interfaces: &[String], own: &[IpAddr]) -> BTreeMap<Net, bool> {
    if interfaces.is_empty() {
        return BTreeMap::new();
    }
    let read = |path| fs::read_to_string(path).unwrap_or_default(); // a family that is off
    let v4 = read("/proc/thread-self/net/route");
    let v6 = read("/proc/thread-self/net/ipv6_route");
    let all = v4.lines().filter_map(route4).chain(v6.lines().filter_map(route6));
    let mut best = BTreeMap::<Net, (u32, bool)>::new();
    for Route { net, metric, interface } in all {
        let known = best.entry(net).or_insert((metric, false));
        if metric <= known.0 {
            *known = (metric, interfaces.iter().any(|name| name == interface));
        }
    }
    // IPv4's table of local addresses is not among them.
    let loopback = interfaces.iter().any(|name| name == "lo");
    let own = own.iter().filter(|ip| ip.is_ipv4()).map(|ip| (*ip, 32));
    let local = own.chain([(Ipv4Addr::new(127, 0, 0, 0).into(), 8)]);
    let routed = best.into_iter().map(|(net, (_, over))| (net, over));
    routed.chain(local.map(|net| (net, loopback))).collect()
}

/// The inner range is all in the outer.
pub(super) fn contains(outer: Net, inner: Net) -> bool {
    outer.1 <= inner.1 && model::contains(outer.0, outer.1, inner.0)
}

#[derive(Debug, PartialEq, Eq)]
struct Route<'a> {
    net: Net,
    metric: u32,
    interface: &'a str,
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, addresses in the machine's order.
fn route4(line: &str) -> Option<Route<'_>> {
    let mut fields = line.split_ascii_whitespace();
    let interface = fields.next()?;
    let address = |text: &str| Some(u32::from_str_radix(text, 16).ok()?.to_ne_bytes());
    let base = Ipv4Addr::from(address(fields.next()?)?);
    let metric = fields.nth(4)?.parse().ok()?;
    let mask = u32::from_be_bytes(address(fields.next()?)?);
    let length = u8::try_from(mask.leading_ones()).ok()?;
    Some(Route { net: (base.into(), length), metric, interface })
}

/// `destination length source length gateway metric references use flags interface`.
fn route6(line: &str) -> Option<Route<'_>> {
    let mut fields = line.split_ascii_whitespace();
    let base = Ipv6Addr::from_bits(u128::from_str_radix(fields.next()?, 16).ok()?);
    let length = u8::from_str_radix(fields.next()?, 16).ok()?;
    let metric = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let interface = fields.nth(3)?;
    Some(Route { net: (base.into(), length), metric, interface })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_as_the_kernel_prints_them() {
        let v4 = "w0\t004D0A0A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0";
        let net = |text: &str, length| (text.parse::<IpAddr>().unwrap(), length);
        let expected = Route { net: net("10.10.77.0", 24), metric: 100, interface: "w0" };
        assert_eq!(route4(v4), Some(expected));
        let zeros = "0".repeat(32);
        let v6 = format!(
            "fd770000000000000000000000000000 40 {zeros} 00 {zeros} 00000100 00000001 00000000 \
             00000001       w0"
        );
        let expected = Route { net: net("fd77::", 64), metric: 256, interface: "w0" };
        assert_eq!(route6(&v6), Some(expected));
    }

    #[test]
    fn nets_contain_what_is_below_them() {
        let net = |text: &str, length| (text.parse::<IpAddr>().unwrap(), length);
        assert!(contains(net("10.0.0.0", 8), net("10.9.0.0", 16)));
        assert!(!contains(net("10.9.0.0", 16), net("10.0.0.0", 8)));
        assert!(contains(net("::", 0), net("fd00::", 8)));
        assert!(!contains(net("0.0.0.0", 0), net("::", 0)));
    }
}
