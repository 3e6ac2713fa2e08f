//! Ranges of addresses.

use std::net::{IpAddr, SocketAddr};

/// Whether `ip` is in `base/prefix`; an address of the other family never is.
pub(crate) fn contains(base: IpAddr, prefix: u8, ip: IpAddr) -> bool {
    match (base, ip) {
        (IpAddr::V4(base), IpAddr::V4(ip)) => {
            let differs = base.to_bits() ^ ip.to_bits();
            differs.leading_zeros() >= u32::from(prefix)
        }
        (IpAddr::V6(base), IpAddr::V6(ip)) => {
            let differs = base.to_bits() ^ ip.to_bits();
            differs.leading_zeros() >= u32::from(prefix)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// What an IPv6 socket that talks IPv4 shows as a mapped address, as IPv4.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_their_prefix_says() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(contains(ip("10.0.0.0"), 8, ip("10.255.1.2")));
        assert!(!contains(ip("10.0.0.0"), 8, ip("11.0.0.1")));
        assert!(contains(ip("0.0.0.0"), 0, ip("11.0.0.1")));
        assert!(contains(ip("fd00::"), 8, ip("fdff::1")));
        assert!(!contains(ip("fd00::"), 8, ip("10.0.0.1")));
        assert!(contains(ip("::"), 0, ip("fe80::1")));
        assert!(!contains(ip("10.0.0.1"), 32, ip("10.0.0.2")));
    }
}
