//! The table's text, without what changes with a snapshot: pure.
//!
//! The order of decisions is the same with every backend: our own traffic, who is in scope, a
//! declared port of a virtual address, a question, any other port of a virtual address, what the
//! user excluded, a known endpoint, what is never captured, the rest of a workload whose egress
//! is restricted.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::{self, FailMode};
use crate::model::Transport;

/// What captures is in force this long after the last heartbeat.
pub(super) const LEASE: Duration = Duration::from_millis(800);
/// The table of what captures.
pub(super) const TABLE: &str = "meshd";
/// IPv4 that is never captured for its being no endpoint: the host itself, link-local (cloud
/// metadata), multicast, broadcast.
pub(in crate::capture) const NEVER4: [&str; 5] =
    ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"];
/// With the addresses that stand for what the BPF programs took.
pub(in crate::capture) const NEVER6: [&str; 4] =
    ["::1/128", "fe80::/10", "ff00::/8", "fd6d:6573:6864::/64"];
/// Never captured, whatever else is said.
pub(in crate::capture) const SSH: u16 = 22;

/// Everything in the table but scopes, destinations and inbound ports.
#[derive(Clone, Debug)]
pub(super) struct Ruleset {
    config: config::Capture,
}

impl Ruleset {
    pub(super) fn new(config: &config::Capture) -> Self {
        Self { config: config.clone() }
    }

    /// Replaces whatever has the name and nobody owns, in one transaction.
    pub(super) fn text(&self) -> String {
        let table = self.table(TABLE, self.owner());
        format!("add table inet {TABLE}\ndelete table inet {TABLE}\n{table}")
    }

    /// Replaces the table that was loaded with the rules of `old` before, if it is still there.
    /// The kernel wants to hear of the flags it has.
    pub(super) fn instead_of(&self, old: &Self) -> String {
        let table = self.table(TABLE, self.owner());
        let flags = old.owner();
        format!("add table inet {TABLE} {{ {flags} }}\ndelete table inet {TABLE}\n{table}")
    }

    /// Commands for the first port whose incoming traffic is taken. Every packet of the host is
    /// asked by these rules, where nothing is taken for nothing.
    pub(super) fn inbound(&self, table: &str) -> String {
        let (mask, captured) = (self.config.mark_mask, self.config.mark_captured);
        format!(
            "add rule inet {table} pre meta l4proto . th dport @inbound goto inbound
insert rule inet {table} udp_out ct direction reply ct mark & {mask:#x} == {captured:#x} goto back
"
        )
    }

    /// The same kinds of rules under a name of their own, for the kernel to check.
    pub(super) fn trial(&self) -> String {
        let mut text = self.table("meshd_trial", self.owner()) + &self.inbound("meshd_trial");
        text.push_str(
            "add set inet meshd_trial trial { type cgroupsv2; }
add rule inet meshd_trial tcp_scopes socket cgroupv2 level 1 @trial goto tcp_all
add rule inet meshd_trial tcp_scopes meta skuid @uids goto tcp_mesh
",
        );
        text
    }

    /// Rules of [`Self::text`].
    pub(super) fn rules(&self) -> u32 {
        let text = self.text();
        let of_chains = text.lines().skip_while(|line| !line.starts_with("  chain "));
        let is_rule = |line: &&str| line.starts_with("    ") && !line.starts_with("    type ");
        u32::try_from(of_chains.filter(is_rule).count()).unwrap_or(u32::MAX)
    }

    /// The kernel drops an owned table with its owner; a closed one has to outlive it.
    fn owner(&self) -> &'static str {
        match self.config.fail_mode {
            FailMode::Open => "flags owner;",
            FailMode::Closed => "",
        }
    }

    fn table(&self, name: &str, owner: &str) -> String {
        let lease = LEASE.as_millis();
        let chains = [self.tcp(), self.udp(), self.shared(), self.arriving()].concat();
        format!(
            "table inet {name} {{
  {owner}
  set done {{ type mark; }}
  set alive {{ type mark; size 2; flags dynamic, timeout; timeout {lease}ms; }}
  set uids {{ type uid; }}
  set uids_all {{ type uid; }}
  set tcp4 {{ type ipv4_addr . inet_service; }}
  set tcp6 {{ type ipv6_addr . inet_service; }}
  set udp4 {{ type ipv4_addr . inet_service; }}
  set udp6 {{ type ipv6_addr . inet_service; }}
  set inbound {{ type inet_proto . inet_service; }}
  counter connections {{ }}
  counter datagrams {{ }}
  counter questions {{ }}
  counter refused {{ }}
  counter arrived {{ }}
{chains}}}
"
        )
    }

    /// Connections: redirected, which conntrack undoes for the application. Marked datagrams get
    /// the destination they have, or others would give them one later: Docker does so with
    /// questions to 127.0.0.11.
    fn tcp(&self) -> String {
        let (own, alive) = (self.own(), self.alive());
        let (vip4, vip6) = self.vips();
        let (tcp, dns) = (self.config.tcp_port, self.config.dns_port);
        let (mask, captured) = (self.config.mark_mask, self.config.mark_captured);
        let take = |family: &str, set: &str| {
            let redirect = format!("counter name connections redirect to :{tcp}");
            format!("{family} daddr . tcp dport @{set} {redirect}")
        };
        let (take4, take6) = (take("ip", "tcp4"), take("ip6", "tcp6"));
        let questions =
            self.questions(&format!("tcp dport 53 counter name questions redirect to :{dns}"));
        format!(
            "  chain tcp_out {{
    type nat hook output priority -110; policy accept;
    meta mark & {mask:#x} == {captured:#x} goto keep
    meta l4proto != tcp accept
    {own} accept
{alive}    jump tcp_scopes
  }}
  chain keep {{
    meta nfproto ipv4 dnat ip to ip daddr
    meta nfproto ipv6 dnat ip6 to ip6 daddr
  }}
  chain tcp_scopes {{
  }}
  chain tcp_mesh {{
    ip daddr {vip4} {take4}
    ip6 daddr {vip6} {take6}
{questions}    ip daddr {vip4} counter name refused accept
    ip6 daddr {vip6} counter name refused accept
    jump excluded
    {take4}
    {take6}
  }}
  chain tcp_all {{
    jump tcp_mesh
    jump never
    meta l4proto tcp counter name connections redirect to :{tcp}
  }}
"
        )
    }

    /// Datagrams: marked, routed to loopback and taken there with their destination as it was,
    /// because a redirected datagram leaves a NAT entry that would also catch our own from that
    /// port. Answers of a server are let go, or they would come back to it for ever; those to a
    /// client meshd stands for go back to meshd.
    fn udp(&self) -> String {
        let (own, alive) = (self.own(), self.alive());
        let (vip4, vip6) = self.vips();
        let (mask, captured) = (self.config.mark_mask, self.config.mark_captured);
        let (port, keep) = (self.config.udp_port, !mask);
        let questions = self.questions("udp dport 53 goto question");
        format!(
            "  chain udp_out {{
    type route hook output priority mangle; policy accept;
    meta l4proto != udp accept
    {own} goto own
{alive}    ct direction reply accept
    jump udp_scopes
  }}
  chain back {{
    meta mark set meta mark & {keep:#x} | {captured:#x} accept
  }}
  chain own {{
    ip daddr 127.0.0.1 udp dport {port} update @alive {{ meta mark & 0 }} drop
  }}
  chain udp_scopes {{
  }}
  chain udp_mesh {{
    ip daddr {vip4} ip daddr . udp dport @udp4 goto take
    ip6 daddr {vip6} ip6 daddr . udp dport @udp6 goto take
{questions}    ip daddr {vip4} counter name refused accept
    ip6 daddr {vip6} counter name refused accept
    jump excluded
    ip daddr . udp dport @udp4 goto take
    ip6 daddr . udp dport @udp6 goto take
  }}
  chain udp_all {{
    jump udp_mesh
    jump never
    goto take
  }}
  chain question {{
    fib daddr type {{ broadcast, multicast, anycast }} accept
    counter name questions meta mark set meta mark & {keep:#x} | {captured:#x} accept
  }}
  chain take {{
    counter name datagrams meta mark set meta mark & {keep:#x} | {captured:#x} accept
  }}
"
        )
    }

    fn shared(&self) -> String {
        let excluded: String =
            self.excluded().iter().map(|rule| format!("    {rule} accept\n")).collect();
        let (never4, never6) = (NEVER4.join(", "), NEVER6.join(", "));
        format!(
            "  chain excluded {{
{excluded}  }}
  chain never {{
    ip daddr {{ {never4} }} accept
    ip6 daddr {{ {never6} }} accept
    fib daddr type {{ broadcast, multicast, anycast }} accept
  }}
"
        )
    }

    /// What arrives over loopback because we marked it, and from outside at a service's port
    /// ([`Self::inbound`]), after others have looked: `fib` takes a packet that has its socket
    /// already for one that came from nowhere, and firewalld's check of the way back, at 10, would
    /// drop it.
    fn arriving(&self) -> String {
        let (own, alive) = (self.own(), self.alive());
        let (mask, captured) = (self.config.mark_mask, self.config.mark_captured);
        let (dns, udp, keep) = (self.config.dns_port, self.config.udp_port, !mask);
        let (in_tcp, in_udp) = (self.config.inbound_tcp_port, self.config.inbound_udp_port);
        format!(
            "  chain pre {{
    type filter hook prerouting priority 100; policy accept;
    meta l4proto udp iif lo meta mark & {mask:#x} == {captured:#x} goto taken
  }}
  chain taken {{
    ct direction reply accept
    udp dport 53 tproxy to :{dns} accept
    meta l4proto udp tproxy to :{udp} accept
    reject
  }}
  chain inbound {{
    {own} fib saddr type != local ct mark set ct mark & {keep:#x} | {captured:#x} accept
    {own} accept
{alive}    ct direction reply accept
    fib daddr type != local accept
    ct state new counter name arrived
    meta l4proto tcp tproxy to :{in_tcp} accept
    meta l4proto udp tproxy to :{in_udp} accept
  }}
"
        )
    }

    /// The rules that capture questions, whoever is asked or virtual addresses.
    fn questions(&self, rule: &str) -> String {
        let (vip4, vip6) = self.vips();
        match self.config.dns {
            true => format!("    {rule}\n"),
            false => format!("    ip daddr {vip4} {rule}\n    ip6 daddr {vip6} {rule}\n"),
        }
    }

    fn own(&self) -> String {
        let (mask, own) = (self.config.mark_mask, self.config.mark_own);
        format!("meta mark & {mask:#x} == {own:#x}")
    }

    /// The rule that lets everything pass once the lease is over.
    fn alive(&self) -> &'static str {
        match self.config.fail_mode {
            FailMode::Open => "    meta mark & 0 != @alive accept\n",
            FailMode::Closed => "",
        }
    }

    /// Begins a lease with the table itself, whose first heartbeat is yet to come.
    pub(super) fn first_lease(&self) -> String {
        match self.config.fail_mode {
            FailMode::Open => format!("add element inet {TABLE} alive {{ 0 }}\n"),
            FailMode::Closed => String::new(),
        }
    }

    fn vips(&self) -> (String, String) {
        let (vip4, vip6) = (self.config.vip4, self.config.vip6);
        (format!("{}/{}", vip4.base, vip4.prefix), format!("{}/{}", vip6.base, vip6.prefix))
    }

    /// Matches of what the user excluded.
    fn excluded(&self) -> Vec<String> {
        let exclude = &self.config.exclude;
        let excluded = |transport| {
            let of_it = exclude.ports.iter().filter(move |range| range.transport == transport);
            of_it.map(|range| ports(range.first, range.last))
        };
        let nets = |is_v4| {
            let of_it = exclude.cidrs.iter().filter(move |(ip, _)| ip.is_ipv4() == is_v4);
            of_it.map(|(ip, length)| network(*ip, *length))
        };
        let tcp = [format!("{SSH}")].into_iter().chain(excluded(Transport::Tcp));
        let interfaces = exclude.interfaces.iter().map(|name| format!("\"{name}\""));
        let uids = exclude.uids.iter().map(ToString::to_string);
        let matches = [
            ("tcp dport", list(tcp)),
            ("udp dport", list(excluded(Transport::Udp))),
            ("ip daddr", list(nets(true))),
            ("ip6 daddr", list(nets(false))),
            ("oifname", list(interfaces)),
            ("meta skuid", list(uids)),
        ];
        let matches = matches.into_iter().filter_map(|(what, set)| Some((what, set?)));
        matches.map(|(what, set)| format!("{what} {{ {set} }}")).collect()
    }
}

fn ports(first: u16, last: u16) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// nft wants no host bits.
pub(in crate::capture) fn network(ip: IpAddr, length: u8) -> String {
    let length = u32::from(length);
    match ip {
        IpAddr::V4(ip) => {
            let kept = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            format!("{}/{length}", std::net::Ipv4Addr::from_bits(ip.to_bits() & kept))
        }
        IpAddr::V6(ip) => {
            let kept = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            format!("{}/{length}", std::net::Ipv6Addr::from_bits(ip.to_bits() & kept))
        }
    }
}

/// `None`: nft knows no empty set.
fn list(items: impl Iterator<Item = String>) -> Option<String> {
    let items: Vec<String> = items.collect();
    (!items.is_empty()).then(|| items.join(", "))
}
