//! What is never captured, as written and as checked.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Exclude, InvalidConfig, PortRange, invalid};
use crate::model::Transport;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawExclude {
    /// "9000", "tcp:22", "udp:9000-9010".
    ports: Vec<String>,
    cidrs: Vec<String>,
    uids: Vec<u32>,
    interfaces: Vec<String>,
    cgroups: Vec<String>,
}

impl RawExclude {
    pub(super) fn check(self) -> Result<Exclude, InvalidConfig> {
        let mut ports = Vec::new();
        for text in &self.ports {
            const RULE: &str = "must be a port or a range, 9000, tcp:9000 or udp:9000-9010";
            ports.extend(
                port_ranges(text).ok_or_else(|| invalid("capture.exclude.ports", text, RULE))?,
            );
        }
        let mut cidrs = Vec::new();
        for text in &self.cidrs {
            const RULE: &str = "must be an address or a range, 10.0.0.0/8 or fd00::/8";
            cidrs.push(cidr(text).ok_or_else(|| invalid("capture.exclude.cidrs", text, RULE))?);
        }
        let cgroups = self.cgroups.iter().map(|path| path.trim_matches('/').to_owned()).collect();
        Ok(Exclude { ports, cidrs, uids: self.uids, interfaces: self.interfaces, cgroups })
    }
}

fn port_ranges(text: &str) -> Option<Vec<PortRange>> {
    let (transports, numbers): (&[Transport], &str) = match text.split_once(':') {
        Some(("tcp", numbers)) => (&[Transport::Tcp], numbers),
        Some(("udp", numbers)) => (&[Transport::Udp], numbers),
        Some(_) => return None,
        None => (&[Transport::Tcp, Transport::Udp], text),
    };
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
    if first == 0 || first > last {
        return None;
    }
    Some(transports.iter().map(|&transport| PortRange { transport, first, last }).collect())
}

fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (base, prefix) = match text.split_once('/') {
        Some((base, prefix)) => (base.parse::<IpAddr>().ok()?, Some(prefix.parse::<u8>().ok()?)),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    let longest = if base.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(longest);
    (prefix <= longest).then_some((base, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_or_ranges_of_one_transport_or_both() {
        let one = |transport, first, last| PortRange { transport, first, last };
        let both = vec![one(Transport::Tcp, 9000, 9000), one(Transport::Udp, 9000, 9000)];
        assert_eq!(port_ranges("9000"), Some(both));
        assert_eq!(port_ranges("udp:9000-9010"), Some(vec![one(Transport::Udp, 9000, 9010)]));
        assert_eq!(port_ranges("sctp:1"), None);
        assert_eq!(port_ranges("9-8"), None);
    }

    #[test]
    fn an_address_alone_is_a_range_of_one() {
        assert_eq!(cidr("10.0.0.1"), Some(("10.0.0.1".parse().unwrap(), 32)));
        assert_eq!(cidr("fd00::/8"), Some(("fd00::".parse().unwrap(), 8)));
        assert_eq!(cidr("10.0.0.0/33"), None);
    }
}
