//! A small table that refuses virtual addresses nobody captures, for the nft backend.
//!
//! It has no owner and outlives a crash on purpose: without it a virtual address nobody captures
//! would not be refused but hang.

use std::io;

use super::netns::Site;
use super::{host, nft};
use crate::config;

pub(super) const TABLE: &str = "meshd_vip";

/// Replaces the table, whole. `false`: there is no nft here.
pub(super) async fn install(site: &Site, config: &config::Capture) -> io::Result<bool> {
    let Some(program) = host::program("nft") else { return Ok(false) };
    nft::once::apply(site, &program, &text(config)).await?;
    Ok(true)
}

/// Without nft there is none that could be missing.
pub(super) async fn is_there(site: &Site) -> bool {
    let Some(program) = host::program("nft") else { return true };
    nft::once::apply(site, &program, &format!("list table inet {TABLE}\n")).await.is_ok()
}

/// The table as the kernel has it; nothing where there is none.
pub(super) async fn listing(site: &Site) -> String {
    let Some(program) = host::program("nft") else { return String::new() };
    let listed = nft::once::list(site, &program, &format!("list table inet {TABLE}\n")).await;
    listed.unwrap_or_default()
}

/// `false`: it was not there.
pub(super) async fn remove(site: &Site) -> io::Result<bool> {
    let Some(program) = host::program("nft") else { return Ok(false) };
    if !is_there(site).await {
        return Ok(false);
    }
    nft::once::apply(site, &program, &format!("delete table inet {TABLE}\n")).await?;
    Ok(true)
}

/// The table as it is loaded.
pub(super) fn text(config: &config::Capture) -> String {
    // A chain for address translation sees a connection's first packet only, where a filter would
    // cost every packet of the host. The kernel asks it if it tracks connections, as the word
    // `ct` makes it do. The refusal itself passes too: it goes to where the caller came from,
    // which for an address of this host is the same.
    let vip4 = format!("{}/{}", config.vip4.base, config.vip4.prefix);
    let vip6 = format!("{}/{}", config.vip6.base, config.vip6.prefix);
    let (captured, mask) = (config.mark_captured, config.mark_mask);
    format!(
        "add table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  chain refuse {{
    type nat hook output priority filter; policy accept;
    tcp flags & syn == 0 accept
    ct direction original ip daddr {vip4} goto vip
    ct direction original ip6 daddr {vip6} goto vip
  }}
  chain vip {{
    meta mark & {mask:#x} == {captured:#x} accept
    meta l4proto tcp reject with tcp reset
    reject
  }}
}}
"
    )
}
