//! The settings of capture as written, their defaults and checks.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::config::exclude::RawExclude;
use crate::config::{
    BackendChoice, Capture, CaptureScope, FailMode, InvalidConfig, IptablesVariant, Range, invalid,
};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawCapture {
    pub(in crate::config) backend: String,
    pub(in crate::config) tcp_port: u16,
    pub(in crate::config) udp_port: u16,
    pub(in crate::config) dns_port: u16,
    pub(in crate::config) inbound_tcp_port: u16,
    pub(in crate::config) inbound_udp_port: u16,
    dns: String,
    scope: String,
    pub(in crate::config) fail_mode: String,
    exclude: RawExclude,
    vip4: String,
    vip6: String,
    mark_own: u32,
    mark_captured: u32,
    mark_mask: u32,
}

impl Default for RawCapture {
    fn default() -> Self {
        Self {
            backend: "auto".to_owned(),
            tcp_port: 15001,
            udp_port: 15002,
            dns_port: 15053,
            inbound_tcp_port: 15006,
            inbound_udp_port: 15007,
            dns: "on".to_owned(),
            scope: "services".to_owned(),
            fail_mode: "open".to_owned(),
            exclude: RawExclude::default(),
            vip4: "240.0.0.0/16".to_owned(),
            vip6: "fd6d:6573:6800::/64".to_owned(),
            mark_own: 0x4d00_0000,
            mark_captured: 0x4e00_0000,
            mark_mask: 0xff00_0000,
        }
    }
}

impl RawCapture {
    pub(in crate::config) fn check(
        self,
        cgroup: String,
        strict: bool,
    ) -> Result<Capture, InvalidConfig> {
        let backend = match self.backend.as_str() {
            "auto" => BackendChoice::Auto,
            "ebpf" => BackendChoice::Ebpf,
            "nft" => BackendChoice::Nft,
            "iptables" => BackendChoice::Iptables(IptablesVariant::Any),
            "iptables-nft" => BackendChoice::Iptables(IptablesVariant::Nft),
            "iptables-legacy" => BackendChoice::Iptables(IptablesVariant::Legacy),
            "netns" => BackendChoice::Netns,
            "none" => BackendChoice::None,
            other => {
                const RULE: &str = "must be auto, ebpf, nft, iptables, iptables-nft, \
                                    iptables-legacy, netns or none";
                return Err(invalid("capture.backend", other, RULE));
            }
        };
        let scope = match self.scope.as_str() {
            "services" => CaptureScope::Services,
            "host" => CaptureScope::Host,
            other => return Err(invalid("capture.scope", other, "must be services or host")),
        };
        let dns = match self.dns.as_str() {
            "on" => true,
            "off" => false,
            other => return Err(invalid("capture.dns", other, "must be on or off")),
        };
        let fail_mode = match self.fail_mode.as_str() {
            "open" => FailMode::Open,
            "closed" => FailMode::Closed,
            other => return Err(invalid("capture.fail_mode", other, "must be open or closed")),
        };
        self.check_ports()?;
        // Only who may administer the network can mark, and without host capture nothing needs it.
        let mark_own = if backend == BackendChoice::Netns { 0 } else { self.mark_own };
        let outside = |mark: u32| mark & !self.mark_mask != 0 || mark == 0;
        if outside(self.mark_own) || outside(self.mark_captured) {
            return Err(invalid("capture.mark_mask", &self.mark_mask, "must cover both marks"));
        }
        Ok(Capture {
            backend,
            cgroup,
            tcp_port: self.tcp_port,
            udp_port: self.udp_port,
            dns_port: self.dns_port,
            dns,
            inbound_tcp_port: self.inbound_tcp_port,
            inbound_udp_port: self.inbound_udp_port,
            scope,
            exclude: self.exclude.check()?,
            fail_mode,
            strict,
            vip4: range4(&self.vip4)?,
            vip6: range6(&self.vip6)?,
            mark_own,
            mark_captured: self.mark_captured,
            mark_mask: self.mark_mask,
        })
    }

    /// DNS listens on both transports, so its port must differ from all others.
    fn check_ports(&self) -> Result<(), InvalidConfig> {
        let tcp = [self.tcp_port, self.inbound_tcp_port, self.dns_port];
        let udp = [self.udp_port, self.inbound_udp_port, self.dns_port];
        let distinct = |ports: [u16; 3]| {
            let [a, b, c] = ports;
            !ports.contains(&0) && a != b && b != c && a != c
        };
        if distinct(tcp) && distinct(udp) {
            return Ok(());
        }
        let ports = format!("tcp {tcp:?}, udp {udp:?}");
        Err(invalid("capture.*_port", &ports, "must be different ports, none of them 0"))
    }
}

fn range4(text: &str) -> Result<Range<Ipv4Addr>, InvalidConfig> {
    const RULE: &str = "must be an IPv4 range with /8 to /24 and no host bits, 240.0.0.0/16";
    let parsed = text.split_once('/').and_then(|(base, prefix)| {
        let (base, prefix) = (base.parse::<Ipv4Addr>().ok()?, prefix.parse::<u8>().ok()?);
        let host_bits = u32::MAX.checked_shr(u32::from(prefix))?;
        ((8..=24).contains(&prefix) && base.to_bits() & host_bits == 0)
            .then_some(Range { base, prefix })
    });
    parsed.ok_or_else(|| invalid("capture.vip4", text, RULE))
}

fn range6(text: &str) -> Result<Range<Ipv6Addr>, InvalidConfig> {
    const RULE: &str = "must be an IPv6 range with /64, fd6d:6573:6800::/64";
    let parsed = text.split_once('/').and_then(|(base, prefix)| {
        let base = base.parse::<Ipv6Addr>().ok()?;
        (prefix == "64" && base.to_bits() & u128::from(u64::MAX) == 0)
            .then_some(Range { base, prefix: 64 })
    });
    parsed.ok_or_else(|| invalid("capture.vip6", text, RULE))
}
