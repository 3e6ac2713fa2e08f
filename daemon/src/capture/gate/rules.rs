//! The nft rules of a namespace in which everything is captured: pure.
//!
//! Every address is local there, so what a program sends comes back on loopback, and prerouting
//! hands it to meshd's sockets with its destination untouched. No NAT, no connection tracking.

use super::namespace::{Blueprint, HOST4, HOST6};

/// What the raw sockets mark their answers with: they lead back to the program.
pub(super) const ANSWER: u32 = 0x4d00_0000;

pub(super) fn text(blueprint: &Blueprint) -> String {
    let Blueprint { tcp_port: tcp, udp_port: udp, dns_port: dns, .. } = *blueprint;
    // What the program itself listens to on loopback stays in the namespace; anything else there
    // is meant for the host's loopback.
    format!(
        "table inet meshd {{
  chain arriving {{
    type filter hook prerouting priority mangle; policy accept;
    meta mark {ANSWER:#x} accept
    meta l4proto != {{ tcp, udp }} goto others
    ip daddr {{ 127.0.0.0/8, {HOST4} }} goto inside
    ip6 daddr {{ ::1, {HOST6} }} goto inside
    goto captured
  }}
  chain inside {{
    socket wildcard 0 accept
    socket wildcard 1 accept
    goto captured
  }}
  chain captured {{
    ip daddr {{ 224.0.0.0/4, 255.255.255.255 }} accept
    ip6 daddr ff00::/8 accept
    tcp dport 53 tproxy to :{dns} accept
    udp dport 53 tproxy to :{dns} accept
    meta l4proto tcp tproxy to :{tcp} accept
    meta l4proto udp tproxy to :{udp} accept
  }}
  chain others {{
    ip daddr != {{ 127.0.0.0/8, {HOST4} }} icmp type echo-request reject with icmp type admin-prohibited
    ip6 daddr != {{ ::1, {HOST6} }} icmpv6 type echo-request reject with icmpv6 type admin-prohibited
  }}
}}
"
    )
}
