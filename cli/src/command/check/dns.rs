//! How names are resolved here, which is what capture of DNS has to meet.

use std::fs;
use std::net::IpAddr;

use crate::host::program::{answer, run};

use super::Check;

pub(super) fn checks() -> Vec<Check> {
    let resolvers = resolvers();
    vec![resolver(&resolvers), stub(&resolvers), route(&resolvers), switch()]
}

/// Name servers of /etc/resolv.conf.
pub(super) fn resolvers() -> Vec<IpAddr> {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|server| server.split('%').next()?.trim().parse().ok()).collect()
}

fn resolver(resolvers: &[IpAddr]) -> Check {
    let id = "dns/resolver";
    let names: Vec<String> = resolvers.iter().map(ToString::to_string).collect();
    let managed = fs::read_link("/etc/resolv.conf")
        .map(|link| format!(" (managed: {})", link.display()))
        .unwrap_or_default();
    if names.is_empty() {
        return Check::warn(id, "/etc/resolv.conf names no server")
            .because("programs then ask 127.0.0.1, which the mesh answers for captured ones only")
            .fixed_by("add a nameserver line, or use the host's network manager");
    }
    Check::ok(id, format!("{}{managed}", names.join(", ")))
}

fn stub(resolvers: &[IpAddr]) -> Check {
    let id = "dns/stub";
    match resolvers.iter().find(|server| server.is_loopback()) {
        Some(server) => {
            Check::ok(id, format!("{server} is a local stub; questions to it are captured too"))
        }
        None => Check::ok(id, "no local stub; resolv.conf stays untouched"),
    }
}

/// The kernel refuses a datagram nobody can route before any rule sees it.
fn route(resolvers: &[IpAddr]) -> Check {
    let id = "dns/route";
    let unreachable = resolvers.iter().find(|server| {
        let said = run(&["ip", "route", "get", &server.to_string()]);
        said.is_some_and(|said| !said.ok)
    });
    match unreachable {
        None => Check::ok(id, "every name server has a route"),
        Some(server) => Check::warn(id, format!("no route leads to the name server {server}"))
            .because("under nft and iptables such a question fails before it can be captured")
            .fixed_by("add a default route, or use --backend ebpf"),
    }
}

fn switch() -> Check {
    let id = "dns/nsswitch";
    let text = fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    let hosts = text.lines().find_map(|line| line.trim().strip_prefix("hosts:")).unwrap_or("");
    let active = !answer(&["pidof", "systemd-resolved"]).trim().is_empty();
    if active && hosts.split_whitespace().any(|word| word == "resolve") {
        return Check::warn(id, "names go to systemd-resolved past the network (nss-resolve)")
            .because(format!("/etc/nsswitch.conf has hosts:{hosts}"))
            .fixed_by("put dns before resolve in that line");
    }
    Check::ok(id, "programs ask over the network, where the mesh can answer")
}
