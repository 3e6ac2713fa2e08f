//! A small table that refuses what leads to loopback uncaptured.
//!
//! It has no owner and outlives a crash on purpose: without it a virtual address nobody captures
//! would not be refused but hang, and a process outside every run could connect to a fake address.

use std::io;
use std::net::IpAddr;

use super::cgroup::Mount;
use super::{host, nft};
use crate::config;

pub(super) const TABLE: &str = "meshd_vip";

/// Replaces the table, whole. `false`: there is no nft here.
pub(super) async fn install(config: &config::Capture) -> io::Result<bool> {
    let Some(program) = host::program("nft") else { return Ok(false) };
    nft::once::apply(&program, &text_here(config)).await?;
    Ok(true)
}

/// `false`: it was not there.
pub(super) async fn remove() -> io::Result<bool> {
    let Some(program) = host::program("nft") else { return Ok(false) };
    if nft::once::apply(&program, &format!("list table inet {TABLE}\n")).await.is_err() {
        return Ok(false);
    }
    nft::once::apply(&program, &format!("delete table inet {TABLE}\n")).await?;
    Ok(true)
}

/// The table as it would be loaded on this host.
pub(super) fn text_here(config: &config::Capture) -> String {
    text(config, Mount::find().ok().as_ref())
}

fn text(config: &config::Capture, mount: Option<&Mount>) -> String {
    // Every packet of the host passes here: all but a connection's first leave at the first rule.
    let vip4 = format!("{}/{}", config.vip4.base, config.vip4.prefix);
    let vip6 = format!("{}/{}", config.vip6.base, config.vip6.prefix);
    let (captured, mask) = (config.mark_captured, config.mark_mask);
    let from_run = mount.and_then(|mount| mount.nft_match(&config.cgroup));
    let (to_fake, fake) = from_run.map_or_else(Default::default, |run| fake_rules(config, &run));
    format!(
        "add table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
{fake}  chain refuse {{
    type filter hook output priority filter; policy accept;
    tcp flags & syn == 0 accept
    meta mark & {mask:#x} == {captured:#x} accept
    ip daddr {vip4} meta l4proto tcp reject with tcp reset
    ip daddr {vip4} reject
    ip6 daddr {vip6} meta l4proto tcp reject with tcp reset
    ip6 daddr {vip6} reject
{to_fake}  }}
}}
"
    )
}

/// Fake addresses are for captured sockets only; who could guess one would pass for its caller.
fn fake_rules(config: &config::Capture, from_run: &str) -> (String, String) {
    let ports = format!("{{ {}, {} }}", config.tcp_port, config.dns_port);
    let (fake4, fake6) = (mesh_ebpf::FAKE4, mesh_ebpf::FAKE6);
    let goto = |family: &str, base: IpAddr, length: u8| {
        let to = format!("    {family} daddr {base}/{length}");
        format!(
            "{to} tcp dport {ports} tcp flags & (syn | ack) == syn goto fake\n\
             {to} udp dport {ports} goto fake\n"
        )
    };
    let to_fake = goto("ip", fake4.0.into(), fake4.1) + &goto("ip6", fake6.0.into(), fake6.1);
    // Outside every cgroup that is deep enough the match is no match at all, so it cannot be
    // asked for the opposite.
    let fake = format!(
        "  chain fake {{
    {from_run} accept
    meta l4proto tcp reject with tcp reset
    reject
  }}
"
    );
    (to_fake, fake)
}
