//! What capture can leave on a host, found and removed by name alone.

use std::fs;
use std::path::{Path, PathBuf};

use super::facts;
use super::places::Places;
use super::program::{answer, find, run};

const PINS: &str = "/sys/fs/bpf/meshd";
/// Number of our routes' protocol, and of our rule and its table.
const PROTOCOL: &str = "77";
const PREFERENCE: &str = "15002";
const CHAIN: &str = "MESHD_";

/// Everything of capture that is there, in words.
pub(crate) fn found(places: &Places) -> Vec<String> {
    let mut found: Vec<String> = nft_tables().iter().map(|name| format!("table {name}")).collect();
    for command in iptables() {
        let chains = chains(&answer(&[&format!("{command}-save")]));
        found.extend(chains.iter().map(|(table, name)| format!("{command} {table} chain {name}")));
    }
    for family in ["-4", "-6"] {
        found.extend(rules(family).iter().map(|_| format!("ip {family} rule {PREFERENCE}")));
        found.extend(routes(family));
    }
    found.extend(pins(places).map(|path| path.display().to_string()));
    found.extend(cgroup(places).map(|path| path.display().to_string()));
    found
}

/// Removes all of it; names what could not be. Links and rules go first: what captures before
/// what it leads to.
pub(crate) fn remove(places: &Places) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(pins) = pins(places) {
        // What captures before what it looks things up in.
        for folder in [pins.join("links"), pins].iter().filter(|folder| folder.exists()) {
            problems.extend(remove_pins(folder));
        }
        // The folder of all daemons goes with the last, and with it a mount of ours.
        if fs::remove_dir(PINS).is_ok() && is_our_mount() {
            problems.extend(refused("umount /sys/fs/bpf"));
        }
    }
    for table in nft_tables() {
        problems.extend(refused(&format!("nft delete table {table}")));
    }
    for command in iptables() {
        problems.extend(remove_chains(&command));
    }
    for family in ["-4", "-6"] {
        for _ in rules(family) {
            problems.extend(refused(&format!("ip {family} rule del pref {PREFERENCE}")));
        }
        for route in routes(family) {
            problems.extend(refused(&route.replacen(" route ", " route del ", 1)));
        }
    }
    if let Some(path) = cgroup(places) {
        problems.extend(dissolve(&path));
    }
    problems
}

/// Runs a line of plain words; what it complained about.
fn refused(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let said = run(&words)?;
    (!said.ok).then(|| format!("{line}: {}", said.stderr))
}

/// "inet meshd".
fn nft_tables() -> Vec<String> {
    let listing = answer(&["nft", "list", "tables"]);
    let tables = listing.lines().filter_map(|line| line.strip_prefix("table "));
    let ours = |name: &str| name == "meshd" || name.starts_with("meshd_");
    tables.filter(|table| table.split(' ').nth(1).is_some_and(ours)).map(str::to_owned).collect()
}

/// The programs of both kinds of iptables, whichever of them has the plain name.
fn iptables() -> Vec<String> {
    let mut found = Vec::new();
    for family in ["iptables", "ip6tables"] {
        let both = ["-nft", "-legacy"].map(|kind| format!("{family}{kind}"));
        let both: Vec<_> =
            both.into_iter().filter(|name| find(&format!("{name}-save")).is_some()).collect();
        found.extend(if both.is_empty() { vec![family.to_owned()] } else { both });
    }
    found
}

/// (table, chain) of every chain of ours in an iptables listing.
fn chains(listing: &str) -> Vec<(String, String)> {
    let mut table = String::new();
    let mut found = Vec::new();
    for line in listing.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name.to_owned();
        } else if let Some(chain) = line.strip_prefix(':').filter(|chain| chain.starts_with(CHAIN))
        {
            let name = chain.split(' ').next().unwrap_or_default();
            found.push((table.clone(), name.to_owned()));
        }
    }
    found
}

/// Deletes the rules that lead to our chains, then the chains.
fn remove_chains(command: &str) -> Vec<String> {
    let listing = answer(&[&format!("{command}-save")]);
    let chains = chains(&listing);
    let mut problems = Vec::new();
    let mut table = "";
    for line in listing.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(rule) = line.strip_prefix("-A ")
            && !rule.starts_with(CHAIN)
            && rule.split(' ').any(|word| word.starts_with(CHAIN))
        {
            problems.extend(refused(&format!("{command} -w -t {table} -D {rule}")));
        }
    }
    for flag in ["-F", "-X"] {
        for (table, name) in &chains {
            problems.extend(refused(&format!("{command} -w -t {table} {flag} {name}")));
        }
    }
    problems
}

/// Our policy rules of one family, one line each.
fn rules(family: &str) -> Vec<String> {
    let lookup = format!("lookup {PREFERENCE}");
    let listing = answer(&["ip", family, "rule"]);
    listing.lines().filter(|line| line.contains(&lookup)).map(str::to_owned).collect()
}

/// Our routes of one family, as `ip` shows them.
fn routes(family: &str) -> Vec<String> {
    let listing = answer(&["ip", family, "route", "show", "table", "all", "proto", PROTOCOL]);
    let line = |line: &str| {
        // Attributes in what is shown that `route del` does not read.
        let line = line.split(" pref ").next().unwrap_or(line).replace(" linkdown", "");
        format!("ip {family} route {}", line.trim_end())
    };
    listing.lines().filter(|line| !line.trim().is_empty()).map(line).collect()
}

/// The folder of the daemon that has this cgroup; the file system takes no dots.
fn pins(places: &Places) -> Option<PathBuf> {
    let name = places.cgroup.replace('.', "_").replace('/', "-");
    Some(Path::new(PINS).join(name)).filter(|path| path.exists())
}

/// meshd mounts the file system where it is missing, under a name of its own.
fn is_our_mount() -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.starts_with("meshd /sys/fs/bpf "))
}

/// Pins can only be unlinked one by one.
fn remove_pins(folder: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                problems.extend(remove_pins(&path));
                continue;
            }
            _ => fs::remove_file(&path),
        };
        problems.extend(removed.err().map(|error| format!("{}: {error}", path.display())));
    }
    let removed = fs::remove_dir(folder);
    problems.extend(removed.err().map(|error| format!("{}: {error}", folder.display())));
    problems
}

fn cgroup(places: &Places) -> Option<PathBuf> {
    facts::cgroup2().map(|mount| mount.join(&places.cgroup)).filter(|path| path.is_dir())
}

/// Moves the processes below `path` out, to the parent of the whole tree, and removes it. They
/// go on, uncaptured.
fn dissolve(path: &Path) -> Vec<String> {
    let Some(outside) = path.parent() else { return Vec::new() };
    let mut problems = Vec::new();
    dissolve_into(path, outside, &mut problems);
    problems
}

fn dissolve_into(path: &Path, outside: &Path, problems: &mut Vec<String>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            dissolve_into(&entry.path(), outside, problems);
        }
    }
    let members = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines() {
        // One that ended meanwhile need not move.
        drop(fs::write(outside.join("cgroup.procs"), pid));
    }
    if let Err(error) = fs::remove_dir(path) {
        problems.push(format!("cgroup {}: {error}", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_chains_of_ours_are_found() {
        let listing = "*nat\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n:MESHD_OUT - [0:0]\nCOMMIT\n\
                       *mangle\n:MESHD_PRE - [0:0]\nCOMMIT\n";
        let found = chains(listing);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(found, [pair("nat", "MESHD_OUT"), pair("mangle", "MESHD_PRE")]);
    }
}
