//! Others on this host that do what we do, or are called what we are called.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Check;
use crate::host::places::CONFIG;
use crate::host::receipt::Receipt;
use crate::host::{process, program, remains, settings};

/// Process name and what it is.
const MESHES: [(&str, &str); 7] = [
    ("envoy", "Envoy"),
    ("pilot-agent", "Istio"),
    ("linkerd2-proxy", "Linkerd"),
    ("consul", "Consul"),
    ("kuma-dp", "Kuma"),
    ("cilium-agent", "Cilium"),
    ("bluetooth-mesh", "BlueZ meshd"),
];
const VPNS: [(&str, &str); 4] = [
    ("tailscaled", "Tailscale"),
    ("openvpn", "OpenVPN"),
    ("mullvad-daemon", "Mullvad"),
    ("nordvpnd", "NordVPN"),
];

pub(super) fn checks(running: bool) -> Vec<Check> {
    let names = names();
    vec![mesh(&names), vpn(&names), program_in_path(), leftovers(running), files()]
}

fn names() -> BTreeSet<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.map(process::name).collect()
}

fn known<'a>(names: &BTreeSet<String>, list: &[(&str, &'a str)]) -> Vec<&'a str> {
    list.iter().filter(|(name, _)| names.contains(*name)).map(|(_, what)| *what).collect()
}

fn mesh(names: &BTreeSet<String>) -> Check {
    let id = "conflict/mesh";
    match known(names, &MESHES).as_slice() {
        [] => Check::ok(id, "no other mesh runs here"),
        found => Check::warn(id, format!("{} runs here", found.join(", ")))
            .because("two meshes may both want the same connections")
            .fixed_by("exclude it: --exclude-cgroup or --exclude-uid"),
    }
}

fn vpn(names: &BTreeSet<String>) -> Check {
    let id = "conflict/vpn";
    match known(names, &VPNS).as_slice() {
        [] => Check::ok(id, "no VPN that could cut traffic off"),
        found => Check::warn(id, format!("{} runs here", found.join(", ")))
            .because("a kill switch may drop what meshd sends for others")
            .fixed_by("meshctl check       (after the installation: the probes tell)"),
    }
}

/// Debian's bluez-meshd and Gloo Mesh have programs of our names.
fn program_in_path() -> Check {
    let id = "conflict/path";
    let ours = std::env::current_exe().ok().and_then(|path| fs::canonicalize(path).ok());
    let first = program::find("meshctl").and_then(|path| fs::canonicalize(path).ok());
    match (first, ours) {
        (None, _) => Check::ok(id, "no other meshctl in PATH"),
        (Some(first), Some(ours)) if first == ours || same_content(&first, &ours) => {
            Check::ok(id, "this meshctl is the first in PATH")
        }
        (Some(first), _) => Check::warn(id, format!("{} comes first in PATH", first.display()))
            .because("another meshctl would answer when you type its name")
            .fixed_by("put this one's folder first in PATH, or remove the other"),
    }
}

fn same_content(one: &Path, other: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map(|found| found.len()).ok();
    length(one) == length(other) && fs::read(one).ok() == fs::read(other).ok()
}

/// Rules, routes and cgroups that carry our names although nothing of ours runs.
fn leftovers(running: bool) -> Check {
    let id = "conflict/names";
    if running {
        return Check::ok(id, "what carries our names belongs to the running meshd");
    }
    let found = remains::found(&settings::places());
    // Routes, the table that refuses and an empty cgroup are ours by nature and replaced.
    let captures = |what: &&String| what.contains("chain") || what.as_str() == "table inet meshd";
    match found.iter().find(captures) {
        None => Check::ok(id, "nothing that captures carries our names"),
        Some(first) => Check::fail(id, format!("{first} is there, and no meshd runs"))
            .because("a crash left it, or it is somebody else's")
            .fixed_by("sudo meshctl uninstall       (removes what carries our names)"),
    }
}

fn files() -> Check {
    let id = "conflict/files";
    let places = settings::places();
    let installed = Receipt::read(&places).is_some();
    let paths = [places.program(), PathBuf::from(CONFIG)];
    let foreign =
        paths.iter().find(|path| !installed && path.exists() && !(path.ends_with("config.yaml")));
    match foreign {
        None => Check::ok(id, "no file of others is in the way"),
        Some(path) => Check::fail(id, format!("{} is there without a receipt", path.display()))
            .because("an installation would overwrite it")
            .fixed_by("sudo meshctl uninstall       (or move it away)"),
    }
}
