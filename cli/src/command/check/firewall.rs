//! Other rules of this host, and how they get on with ours.

use crate::host::program::{answer, find};

use super::Check;

/// Bits of the marks that are ours.
const MARK_MASK: u64 = 0xff00_0000;
const OURS: [u64; 2] = [0x4d00_0000, 0x4e00_0000];

pub(super) fn checks(running: bool) -> Vec<Check> {
    let nft = answer(&["nft", "list", "ruleset"]);
    let legacy = answer(&["iptables-legacy-save"]) + &answer(&["ip6tables-legacy-save"]);
    vec![
        worlds(&nft, &legacy),
        manager(&nft, &legacy),
        docker(&nft, &legacy),
        marks(&nft, &legacy),
        loopback(&nft, &legacy),
        routes(running),
    ]
}

fn rules(listing: &str) -> usize {
    listing.lines().filter(|line| line.starts_with("-A ")).count()
}

fn worlds(nft: &str, legacy: &str) -> Check {
    let id = "firewall/worlds";
    let others = nft.lines().any(|line| line.starts_with("table ") && !line.contains("meshd"));
    match (others, rules(legacy)) {
        (true, count) if count > 0 => Check::warn(id, "nft and iptables-legacy are both in use")
            .because(format!(
                "{count} legacy rules beside nft tables: each world shows only its own"
            ))
            .fixed_by("move to one of them; both are honoured until then"),
        (_, count) if count > 0 => Check::ok(id, format!("iptables-legacy, {count} rules")),
        (true, _) => Check::ok(id, "nft tables of others; ours is a table of its own"),
        (false, _) => Check::ok(id, "no rules of others"),
    }
}

fn manager(nft: &str, legacy: &str) -> Check {
    let mut found = Vec::new();
    if nft.contains("ufw-") || legacy.contains("ufw-") {
        found.push("ufw");
    }
    if nft.contains("firewalld") || legacy.contains("_ZONES") {
        found.push("firewalld");
    }
    let summary = match found.as_slice() {
        [] => "no firewall manager is active".to_owned(),
        names => {
            format!("{} active; a reload is noticed and capture re-armed", names.join(" and "))
        }
    };
    Check::ok("firewall/manager", summary)
}

fn docker(nft: &str, legacy: &str) -> Check {
    let has = nft.contains("chain DOCKER") || legacy.contains(":DOCKER ");
    let summary = if has { "docker's rules are there and stay" } else { "no rules of docker" };
    Check::ok("firewall/docker", summary)
}

/// Numbers after the word `mark` in any listing.
fn mark_numbers(listing: &str) -> impl Iterator<Item = u64> + '_ {
    let lines = listing.lines().filter(|line| line.contains("mark") && !line.contains("meshd"));
    let words = lines.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()));
    words.filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
}

fn marks(nft: &str, legacy: &str) -> Check {
    let id = "firewall/marks";
    // Masks of others reach over all bits; a value in ours is what collides.
    let is_foreign = |number: &u64| {
        let bits = number & MARK_MASK;
        bits != 0 && bits != MARK_MASK && !OURS.contains(number) && *number <= u64::from(u32::MAX)
    };
    match mark_numbers(nft).chain(mark_numbers(legacy)).find(is_foreign) {
        None => Check::ok(id, "nobody else uses our bits of the mark"),
        Some(number) => Check::warn(id, format!("another rule uses mark {number:#x}"))
            .because("its bits overlap 0xff000000, which tell our packets apart")
            .fixed_by("move ours: capture.mark_own, mark_captured and mark_mask in the settings"),
    }
}

fn loopback(nft: &str, legacy: &str) -> Check {
    let id = "firewall/loopback";
    let drops = legacy.contains(":INPUT DROP") || nft_drops(nft);
    let accepts = legacy.contains("-A INPUT -i lo -j ACCEPT")
        || [
            "iif \"lo\" accept",
            "iif lo accept",
            "iifname \"lo\" accept",
            "iifname \"lo\" counter",
        ]
        .iter()
        .any(|rule| nft.contains(rule))
        || nft.contains("ufw-before-input");
    if !drops || accepts {
        return Check::ok(id, "traffic over loopback passes");
    }
    Check::warn(id, "input is dropped by default, and no rule accepts loopback")
        .because("captured traffic reaches meshd over loopback")
        .fixed_by("accept it: nft add rule … iif lo accept, or iptables -I INPUT -i lo -j ACCEPT")
}

fn nft_drops(listing: &str) -> bool {
    listing.lines().any(|line| line.contains("hook input") && line.contains("policy drop"))
}

fn routes(running: bool) -> Check {
    let id = "firewall/routes";
    if find("ip").is_none() {
        return Check::skip(id, "ip is not installed");
    }
    let rules = answer(&["ip", "rule"]) + &answer(&["ip", "-6", "rule"]);
    let at_ours = |line: &&str| line.starts_with("15002:");
    match rules.lines().find(at_ours) {
        None => Check::ok(id, "rule preference 15002 is free"),
        Some(_) if running => Check::ok(id, "rule preference 15002 is ours"),
        Some(rule) => Check::warn(id, "somebody uses rule preference 15002")
            .because(rule.to_owned())
            .fixed_by("sudo meshctl uninstall       (when it was left by us; else move it)"),
    }
}
