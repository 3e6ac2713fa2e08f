//! The ports meshd listens on, and who has them.

use crate::host::program::answer;
use crate::host::settings::Plan;

use super::Check;

/// Check, setting, transport.
const PORTS: [(&str, &str, &str); 7] = [
    ("ports/tcp-out", "capture.tcp_port", "tcp"),
    ("ports/udp-out", "capture.udp_port", "udp"),
    ("ports/tcp-in", "capture.inbound_tcp_port", "tcp"),
    ("ports/udp-in", "capture.inbound_udp_port", "udp"),
    ("ports/dns-udp", "capture.dns_port", "udp"),
    ("ports/dns-tcp", "capture.dns_port", "tcp"),
    ("ports/admin", "admin", "tcp"),
];

pub(super) fn checks(plan: Option<&Plan>, running: bool) -> Vec<Check> {
    let Some(plan) = plan else { return Vec::new() };
    let listing = |option: &str| answer(&["ss", "-H", "-l", "-n", "-p", option]);
    let (tcp, udp) = (listing("-t"), listing("-u"));
    let check = |(id, setting, transport): &(&str, &str, &str)| {
        let port = plan.port(setting).unwrap_or(0);
        let listing = if *transport == "tcp" { &tcp } else { &udp };
        let Some(owner) = owner(listing, port) else {
            return Check::ok(*id, format!("{transport} {port} is free"));
        };
        if running && owner.contains("\"meshd\"") {
            return Check::ok(*id, format!("{transport} {port} is meshd's"));
        }
        Check::fail(*id, format!("{transport} port {port} is in use"))
            .because(format!("held by {owner}"))
            .fixed_by(format!("stop it, or choose another port: {setting} in the settings"))
    };
    PORTS.iter().map(check).collect()
}

/// Who listens on `port`, as `ss` names it.
fn owner(listing: &str, port: u16) -> Option<String> {
    listing.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let local = words.nth(3)?;
        if local.rsplit(':').next() != Some(&port.to_string()) {
            return None;
        }
        let users = line.split_once("users:((").and_then(|(_, users)| users.split("))").next());
        Some(users.map_or_else(|| "another process".to_owned(), readable))
    })
}

/// `"nc",pid=7,fd=3` → `"nc" (pid 7)`.
fn readable(users: &str) -> String {
    let mut parts = users.split(',');
    let name = parts.next().unwrap_or_default();
    let pid = parts.find_map(|part| part.strip_prefix("pid=")).unwrap_or("?");
    format!("{name} (pid {pid})")
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn the_owner_of_exactly_this_port_is_named() {
        let listing = "LISTEN 0 128 127.0.0.1:15020 0.0.0.0:* users:((\"nc\",pid=7,fd=3))\n";
        assert_eq!(owner(listing, 15020).as_deref(), Some("\"nc\" (pid 7)"));
        assert_eq!(owner(listing, 5020), None);
    }
}
