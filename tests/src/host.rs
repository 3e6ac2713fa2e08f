//! What a daemon may leave on the host: nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::netns::Netns;

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whose the process is; `None` where it is gone.
pub fn uid_of(pid: u32) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(format!("/proc/{pid}")).ok().map(|process| process.uid())
}

/// Where cgroup v2 is mounted: on hybrid hosts that is not `/sys/fs/cgroup`.
pub fn cgroup2() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 ")).expect("cgroup v2");
    PathBuf::from(line.split(' ').nth(4).expect("mount point"))
}

/// Everything below the names the test gave its daemon that is still there.
pub fn leftovers(netns: &Netns, cgroup: &str) -> Vec<String> {
    let mut left = Vec::new();
    if cgroup2().join(cgroup).exists() {
        left.push(format!("cgroup {cgroup}"));
    }
    left.extend(capture_in(netns));
    left.extend(pins(Path::new("/sys/fs/bpf"), cgroup));
    left
}

/// Rules, chains, routing rules and routes of ours in the namespace.
pub fn capture_in(netns: &Netns) -> Vec<String> {
    let mut left = rules(netns);
    for rule in ["rule", "-6 rule"] {
        let mut ip = netns.command("ip");
        let shown = ip.args(rule.split(' ')).output().expect("ip");
        let shown = String::from_utf8_lossy(&shown.stdout);
        let foreign = shown
            .lines()
            .filter(|line| !["local", "main", "default"].iter().any(|table| line.contains(table)));
        left.extend(foreign.map(|line| format!("ip {rule}: {line}")));
    }
    for family in ["-4", "-6"] {
        let mut ip = netns.command("ip");
        let shown = ip.args([family, "route", "show", "table", "all", "proto", "77"]).output();
        let shown = shown.expect("ip").stdout;
        left.extend(String::from_utf8_lossy(&shown).lines().map(|line| format!("ip route {line}")));
    }
    left
}

/// Processes in the network namespace with this inode.
pub fn processes_in(namespace: u64) -> Vec<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir("/proc").expect("proc is mounted").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_in = |pid: &u32| {
        fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|found| found.ino() == namespace)
    };
    pids.filter(is_in).collect()
}

/// Rules and chains of nft and of both variants of iptables. Tables of iptables that hold no rule
/// stay: whoever lists one makes it.
fn rules(netns: &Netns) -> Vec<String> {
    let listed = |program: &str, arguments: &[&str]| {
        let output = netns.command(program).args(arguments).output().expect(program);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut left = Vec::new();
    let tables = listed("nft", &["list", "ruleset"]);
    let frame = |line: &str| {
        let base_chains = ["INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING"];
        let is_chain = |name: &&str| line == format!("chain {name} {{");
        let is_table = line.starts_with("table ip") && !line.contains("meshd");
        let framing = line.is_empty() || line == "}" || line.starts_with("type ");
        framing || is_table || base_chains.iter().any(is_chain)
    };
    if tables.lines().any(|line| !frame(line.trim())) {
        left.push(format!("nft rules:\n{tables}"));
    }
    for program in ["iptables-legacy-save", "ip6tables-legacy-save"] {
        let saved = listed(program, &[]);
        if saved.lines().any(|line| line.starts_with("-A") || line.contains("MESHD_")) {
            left.push(format!("{program}:\n{saved}"));
        }
    }
    left
}

/// Pinned BPF objects whose path names the test's cgroup.
fn pins(folder: &Path, cgroup: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let stem = cgroup.trim_end_matches(".slice");
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.to_string_lossy().contains(stem) {
            found.push(format!("pin {}", path.display()));
        }
        found.extend(pins(&path, cgroup));
    }
    found
}

/// Removes the BPF programs and maps that daemons of the test process `pid` pinned, which would
/// stay attached for ever.
pub fn remove_pins(pid: u32) {
    let mine = format!("mt{pid}-");
    let Ok(entries) = fs::read_dir("/sys/fs/bpf/meshd") else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&mine) {
            // A parallel test may be sweeping the same one.
            fs::remove_dir_all(entry.path()).unwrap_or_default();
        }
    }
}

/// Removes a cgroup and those below it, deepest first, after killing what is in it.
pub fn remove_cgroup(cgroup: &str) -> io::Result<()> {
    let root = cgroup2().join(cgroup);
    if !root.exists() {
        return Ok(());
    }
    // One write ends every process below: exact, unlike any name.
    fs::write(root.join("cgroup.kill"), "1")?;
    remove_below(&root)
}

fn remove_below(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_below(&entry.path())?;
        }
    }
    crate::wait::eventually("an empty cgroup", std::time::Duration::from_secs(5), || {
        fs::remove_dir(folder)
    });
    Ok(())
}

/// Whether a program can be run at all; a spec about a foreign client asks before.
pub fn installed(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program} >/dev/null")])
        .status()
        .is_ok_and(|status| status.success())
}
