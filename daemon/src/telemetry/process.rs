//! What meshd itself uses, from /proc.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Bytes.
    pub(crate) resident: u64,
    pub(crate) virtual_memory: u64,
    pub(crate) descriptors: u64,
    pub(crate) max_descriptors: u64,
    pub(crate) threads: u64,
    /// Unix time.
    pub(crate) started: Duration,
}

/// `None` where /proc cannot be read.
pub(crate) fn usage() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may contain anything.
    let fields: Vec<u64> = stat
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .map(|field| field.parse().unwrap_or_default())
        .collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    let per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?.max(1);
    let page = u64::try_from(sysconf(SysconfVar::PAGE_SIZE).ok()??).ok()?;
    let ticks = |count: u64| Duration::from_millis(count * 1000 / per_second);
    Some(Usage {
        cpu: ticks(field(14) + field(15)),
        resident: field(24) * page,
        virtual_memory: field(23),
        descriptors: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        max_descriptors: getrlimit(Resource::RLIMIT_NOFILE).ok()?.0,
        threads: field(20),
        started: boot_time()? + ticks(field(22)),
    })
}

fn boot_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_seen() {
        let usage = usage().unwrap();
        assert!(usage.resident > 100_000 && usage.descriptors >= 3 && usage.threads >= 1);
        assert!(usage.started > Duration::from_secs(1_600_000_000));
    }
}
