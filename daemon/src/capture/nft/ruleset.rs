//! The table's text: pure.

use super::super::Counters;
use super::super::cgroup::{self, Mount};
use super::super::plan::Change;
use crate::config;
use crate::model::{Place, Transport};

/// Everything in the table but the known destinations.
#[derive(Clone, Debug)]
pub(super) struct Ruleset {
    /// Depth of the cgroup of all runs.
    pub(super) level: usize,
    /// Matches the sockets of captured processes.
    from_run: String,
    config: config::Capture,
}

impl Ruleset {
    /// `None` where nft cannot see the mount.
    pub(super) fn new(config: &config::Capture, mount: &Mount) -> Option<Self> {
        let from_run = mount.nft_match(&config.cgroup)?;
        let level = cgroup::depth(&config.cgroup);
        Some(Self { level, from_run, config: config.clone() })
    }

    pub(super) fn text(&self) -> String {
        self.table("meshd", "flags owner;", &self.from_run)
    }

    /// The same kinds of rules under a name of their own and without a cgroup, which need not
    /// exist yet: for the kernel to check.
    pub(super) fn trial(&self) -> String {
        let cgroup = format!("socket cgroupv2 level {} @trial", self.level);
        self.table("meshd_trial", "set trial { type cgroupsv2; }", &cgroup)
    }

    /// Rules of [`Self::text`].
    pub(super) fn rules(&self) -> u32 {
        let text = self.text();
        let is_rule = |line: &&str| RULES.iter().any(|start| line.trim_start().starts_with(start));
        u32::try_from(text.lines().filter(is_rule).count()).unwrap_or(u32::MAX)
    }

    // First match wins, as in the eBPF programs (`decide`): a declared port of a virtual address,
    // a question, any other port of a virtual address, a known endpoint. What is left of a virtual
    // address is refused by the table `meshd_vip`.
    fn table(&self, name: &str, first: &str, from_run: &str) -> String {
        let config = &self.config;
        let (own, captured, mask) = (config.mark_own, config.mark_captured, config.mark_mask);
        let (tcp, dns) = (config.tcp_port, config.dns_port);
        let vip4 = format!("{}/{}", config.vip4.base, config.vip4.prefix);
        let vip6 = format!("{}/{}", config.vip6.base, config.vip6.prefix);
        let keep = !mask;
        format!(
            "table inet {name} {{
  {first}
  set done {{ type mark; }}
  set known4 {{ type ipv4_addr . inet_service; }}
  set known6 {{ type ipv6_addr . inet_service; }}
  counter connections {{ }}
  counter questions {{ }}
  counter refused {{ }}
  chain nat_out {{
    type nat hook output priority -110; policy accept;
    meta l4proto != tcp accept
    meta mark & {mask:#x} == {own:#x} accept
    {from_run} goto nat_run
  }}
  chain nat_run {{
    ip daddr {vip4} ip daddr . tcp dport @known4 counter name connections redirect to :{tcp}
    ip6 daddr {vip6} ip6 daddr . tcp dport @known6 counter name connections redirect to :{tcp}
    tcp dport 53 counter name questions redirect to :{dns}
    ip daddr {vip4} counter name refused accept
    ip6 daddr {vip6} counter name refused accept
    tcp dport 22 accept
    ip daddr . tcp dport @known4 counter name connections redirect to :{tcp}
    ip6 daddr . tcp dport @known6 counter name connections redirect to :{tcp}
  }}
  chain route_out {{
    type route hook output priority mangle; policy accept;
    meta l4proto != udp accept
    udp dport != 53 accept
    meta mark & {mask:#x} == {own:#x} accept
    ct direction reply accept
    fib daddr type {{ broadcast, multicast, anycast }} accept
    {from_run} counter name questions meta mark set meta mark & {keep:#x} | {captured:#x}
  }}
  chain pre {{
    type filter hook prerouting priority mangle; policy accept;
    iif lo meta mark & {mask:#x} == {captured:#x} udp dport 53 tproxy to :{dns} accept
  }}
}}
"
        )
    }
}

/// How the rules of [`Ruleset::table`] start.
const RULES: [&str; 9] = ["meta ", "socket ", "ip ", "ip6 ", "tcp ", "udp ", "ct ", "fib ", "iif "];

/// Adds and takes out known destinations.
pub(super) fn change(change: &Change) -> String {
    let mut text = String::new();
    for (verb, addresses) in [("add", &change.added), ("delete", &change.removed)] {
        for (set, is_v4) in [("known4", true), ("known6", false)] {
            let elements: Vec<String> =
                addresses.iter().filter(|place| is_tcp(place, is_v4)).map(element).collect();
            if !elements.is_empty() {
                let elements = elements.join(", ");
                text.push_str(&format!("{verb} element inet meshd {set} {{ {elements} }}\n"));
            }
        }
    }
    text
}

fn is_tcp(place: &Place, is_v4: bool) -> bool {
    place.transport == Transport::Tcp && place.address.is_ipv4() == is_v4
}

fn element(place: &Place) -> String {
    format!("{} . {}", place.address.ip(), place.address.port())
}

/// Reads `list counters`.
pub(super) fn counters(listing: &str) -> Counters {
    let packets = |name: &str| {
        let (_, after) = listing.split_once(&format!("counter {name} {{"))?;
        let (_, after) = after.split_once("packets ")?;
        after.split_whitespace().next()?.parse().ok()
    };
    Counters {
        connections: packets("connections").unwrap_or(0),
        questions: packets("questions").unwrap_or(0),
        refused: packets("refused").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_command_per_set() {
        let at = |text: &str| Place::tcp(text.parse().unwrap());
        let added = vec![at("10.0.0.1:80"), at("[fd00::1]:80"), at("10.0.0.2:81")];
        let removed = vec![at("10.0.0.3:82")];
        let text = change(&Change { added, removed, ..Change::default() });
        assert_eq!(
            text,
            "add element inet meshd known4 { 10.0.0.1 . 80, 10.0.0.2 . 81 }\n\
             add element inet meshd known6 { fd00::1 . 80 }\n\
             delete element inet meshd known4 { 10.0.0.3 . 82 }\n"
        );
    }

    #[test]
    fn counters_are_read_by_name() {
        let listing = "table inet meshd {\n\tcounter connections {\n\t\tpackets 7 bytes 420\n\t}\n\
                       \tcounter refused {\n\t\tpackets 2 bytes 120\n\t}\n}\n";
        let counters = counters(listing);
        assert_eq!((counters.connections, counters.questions, counters.refused), (7, 0, 2));
    }
}
