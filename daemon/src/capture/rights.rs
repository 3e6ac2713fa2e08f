//! Capabilities without which nothing can be captured: named before anything is tried.

use std::fs;

use nix::unistd::{AccessFlags, access};

use super::cgroup::{self, Mount};
use crate::config::{self, BackendChoice};

/// As `linux/capability.h` numbers them. With `CAP_SYS_ADMIN` the kernel asks for neither
/// `CAP_BPF` nor `CAP_PERFMON`, and nothing does without it: namespaces are entered.
const NEEDED: [(&str, u32); 4] = [
    ("CAP_NET_ADMIN", 12),
    ("CAP_NET_RAW", 13),
    ("CAP_SYS_ADMIN", 21),
    // Cgroups are found by their ids.
    ("CAP_DAC_READ_SEARCH", 2),
];
/// The root of all cgroups is nobody's to write.
const DAC_OVERRIDE: (&str, u32) = ("CAP_DAC_OVERRIDE", 1);

/// Those of them meshd does not have.
pub(super) fn missing(config: &config::Capture) -> Vec<&'static str> {
    if matches!(config.backend, BackendChoice::Netns | BackendChoice::None) {
        return Vec::new();
    }
    let Some(held) = effective() else { return Vec::new() };
    let cgroup = (!may_make(&config.cgroup)).then_some(DAC_OVERRIDE);
    let needed = NEEDED.into_iter().chain(cgroup);
    needed.filter(|(_, number)| held & (1 << number) == 0).map(|(name, _)| name).collect()
}

fn effective() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

/// The cgroup of the runs can be made, or is there.
fn may_make(relative: &str) -> bool {
    let Ok(mount) = Mount::find() else { return true };
    let nearest = cgroup::living_ancestor(&mount, &mount.path(relative));
    access(&nearest, AccessFlags::W_OK).is_ok()
}
