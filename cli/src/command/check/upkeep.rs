//! Clock and disks.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::libc;
use nix::sys::statvfs::statvfs;

use super::Check;
use crate::host::settings;

/// 2024-01-01, before any release.
const EARLIEST: u64 = 1_704_067_200;
const MIB: u64 = 1024 * 1024;

pub(super) fn checks() -> Vec<Check> {
    let places = settings::places();
    vec![
        clock(),
        space("disk/state", &places.state, 20, 200),
        space("disk/program", &places.program(), 40, 100),
    ]
}

fn clock() -> Check {
    let id = "time/clock";
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let fix = "switch on time synchronisation: timedatectl set-ntp true, or chrony";
    if now < EARLIEST {
        return Check::fail(id, "the clock is years behind")
            .because("certificates, history and records carry its time")
            .fixed_by(fix);
    }
    // SAFETY: all zero is a valid timex, and with no mode set it is only written to.
    let state = unsafe {
        let mut asked: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut asked)
    };
    if state == libc::TIME_ERROR {
        return Check::ok(id, "the kernel calls the clock unsynchronised; one host needs no more");
    }
    Check::ok(id, "the clock is synchronised")
}

/// Free space where `path` is, or will be.
fn space(id: &str, path: &Path, least: u64, enough: u64) -> Check {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let Ok(disk) = statvfs(there) else {
        return Check::skip(id, format!("{} cannot be asked", there.display()));
    };
    let free = disk.blocks_available() * disk.fragment_size() / MIB;
    let summary = format!("{free} MiB free at {}", there.display());
    if free >= enough {
        return Check::ok(id, summary);
    }
    let check = if free < least { Check::fail(id, summary) } else { Check::warn(id, summary) };
    check
        .because(format!("less than {enough} MiB"))
        .fixed_by(format!("free space there, or move {}", path.display()))
}
