//! What /proc says about a process.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

pub(super) fn exists(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap_or(true)
}

/// Whether it has the socket open.
pub(super) fn holds_socket(pid: u32, inode: u32) -> bool {
    let socket = format!("socket:[{inode}]");
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files
        .into_iter()
        .any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == &*socket))
}

/// Its short name, NUL-padded; zeros where it is gone.
pub(super) fn comm(pid: u32) -> [u8; 16] {
    let mut padded = [0; 16];
    if pid != 0 {
        let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let name = name.trim_ascii_end();
        for (place, byte) in padded.iter_mut().zip(name) {
            *place = *byte;
        }
    }
    padded
}

/// Inode of its network namespace; `None` where it is gone or not ours to look at.
pub(super) fn network(pid: u32) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/net")).ok().map(|namespace| namespace.ino())
}

/// Every process that is in this network namespace, as far as it is ours to look at; what meshd
/// itself runs there is nobody's.
pub(super) fn in_network(namespace: u64) -> Vec<u32> {
    let own = std::process::id();
    processes(|pid| network(pid) == Some(namespace) && parent(pid) != Some(own))
}

/// Processes that `wanted` says yes to.
pub(super) fn processes(wanted: impl Fn(u32) -> bool) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| wanted(*pid)).collect()
}

/// A number of `/proc/PID/status`, such as the parent's `PPid`; of several the first `skip` are
/// left out.
fn status_of(pid: u32, field: &str, skip: usize) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().nth(skip)?.parse().ok()
}

pub(super) fn effective_uid(pid: u32) -> Option<u32> {
    status_of(pid, "Uid", 1)
}

pub(super) fn parent(pid: u32) -> Option<u32> {
    status_of(pid, "PPid", 0)
}

/// `pid` and every process that descends from it.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for child in processes(|_any| true) {
        parents.extend(parent(child).map(|parent| (child, parent)));
    }
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(&next) = found.get(at) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == next).map(|(child, _)| child));
        at += 1;
    }
    found
}

/// Which of the processes that ever had this pid it is: ticks from the boot to its start. `None`
/// where it is gone, or only waits to be reaped.
pub(crate) fn started_at(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything; states and numbers follow the last.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(started)
}
