//! Processes of this host: who runs, since when, below whom.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PAUSE: Duration = Duration::from_millis(10);

/// Whether it is there and has not ended: one that nobody reaped yet has.
pub(crate) fn is_running(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != "Z" && state != "X")
}

fn state(pid: u32) -> Option<String> {
    stat(pid)?.first().cloned()
}

fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

pub(crate) fn name(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// The program it runs; a file that was replaced since is named as it was.
pub(crate) fn executable(pid: u32) -> Option<PathBuf> {
    let link = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let text = link.to_string_lossy();
    Some(PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(&text)))
}

/// This process's parent, its parent, and so on.
pub(crate) fn ancestors() -> Vec<u32> {
    let mut found = Vec::new();
    let mut pid = std::process::id();
    while let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse::<u32>().ok()) {
        if parent == 0 || found.contains(&parent) {
            break;
        }
        found.push(parent);
        pid = parent;
    }
    found
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        // It may have ended by itself; then there is nobody to tell.
        kill(Pid::from_raw(pid), signal).ok();
    }
}

/// Waits until it ended; `false` when it did not in time.
pub(crate) fn ends_within(pid: u32, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while is_running(pid) {
        if Instant::now() > deadline {
            return false;
        }
        pause(PAUSE);
    }
    true
}

#[allow(clippy::disallowed_methods, reason = "no runtime runs here; there is nothing to block")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
