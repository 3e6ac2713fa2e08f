//! What besides the mesh a workload may reach, as people write it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{Allowed, AllowedHost, Egress};

/// What is wrong with an egress list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no host, *.suffix, address or address/prefix, each with an optional :port")]
pub(crate) struct InvalidEgress(String);

/// `any`, `mesh`, or entries separated by commas: `api.example.com:443,*.github.com,10.0.0.0/8`.
impl FromStr for Egress {
    type Err = InvalidEgress;

    fn from_str(text: &str) -> Result<Self, InvalidEgress> {
        match text {
            "" | "any" => Ok(Self::Any),
            "mesh" => Ok(Self::Mesh),
            list => {
                let entries = list.split(',').map(|entry| entry.trim().parse());
                Ok(Self::List(entries.collect::<Result<Vec<Allowed>, _>>()?.into()))
            }
        }
    }
}

impl FromStr for Allowed {
    type Err = InvalidEgress;

    fn from_str(text: &str) -> Result<Self, InvalidEgress> {
        let invalid = || InvalidEgress(text.to_owned());
        let (host, port) = split_port(text).ok_or_else(invalid)?;
        let host = net(host).or_else(|| name(host)).ok_or_else(invalid)?;
        Ok(Self { host, port })
    }
}

/// `host`, `host:port`, `v6`, `[v6]:port`; `None` when the port is no port.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        // More than one colon: an IPv6 address without a port.
        Some((_, rest)) if rest.contains(':') => Some((text, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok().filter(|port| *port != 0)?))),
        None => Some((text, None)),
    }
}

fn net(text: &str) -> Option<AllowedHost> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(longest);
    let base = masked(address, prefix);
    (prefix <= longest).then_some(AllowedHost::Net { base, prefix })
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

fn name(text: &str) -> Option<AllowedHost> {
    let plain = text.strip_prefix("*.").unwrap_or(text).trim_end_matches('.');
    let is_label = |label: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(inside)
    };
    let is_name = plain.len() <= 253 && plain.split('.').all(is_label);
    let looks_like_address = plain.chars().all(|c| c.is_ascii_digit() || c == '.');
    let text = text.trim_end_matches('.').to_ascii_lowercase();
    (is_name && !looks_like_address).then_some(AllowedHost::Name(text))
}

/// As it was written, in one spelling.
impl fmt::Display for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Mesh => f.write_str("mesh"),
            Self::List(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{entry}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match &self.host {
            AllowedHost::Name(name) => name.clone(),
            AllowedHost::Net { base, prefix }
                if *prefix == if base.is_ipv4() { 32 } else { 128 } =>
            {
                base.to_string()
            }
            AllowedHost::Net { base, prefix } => format!("{base}/{prefix}"),
        };
        match self.port {
            Some(port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Some(port) => write!(f, "{host}:{port}"),
            None => f.write_str(&host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_printed_in_one_spelling() {
        for (written, printed) in [
            ("any", "any"),
            ("mesh", "mesh"),
            ("API.example.com.:443, *.GitHub.com", "api.example.com:443,*.github.com"),
            ("10.1.2.3/8,192.0.2.7,[2001:db8::1]:53", "10.0.0.0/8,192.0.2.7,[2001:db8::1]:53"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(written.parse::<Egress>().unwrap().to_string(), printed, "{written}");
        }
    }

    #[test]
    fn what_is_neither_name_nor_network_is_refused() {
        for wrong in ["a b", "host:0", "host:x", "10.0.0.0/33", "1.2.3.999", "*", "a,,b", "[::1"] {
            assert!(wrong.parse::<Egress>().is_err(), "{wrong}");
        }
    }
}
