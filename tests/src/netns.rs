//! A network namespace of the test's own.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, setns};

/// A named namespace with `lo` up; removed by its exact name when dropped.
pub struct Netns {
    name: String,
    file: File,
}

impl Netns {
    /// Makes `mt<pid>-<suffix>`: the pid keeps parallel tests apart.
    pub fn new(suffix: &str) -> Self {
        sweep();
        let name = format!("mt{}-{suffix}", std::process::id());
        ip(&["netns", "add", &name]);
        ip(&["-n", &name, "link", "set", "lo", "up"]);
        // A host has a way to its name server; without one a program gives up before it asks.
        ip(&["-n", &name, "route", "add", "default", "dev", "lo"]);
        let file = File::open(Path::new("/run/netns").join(&name)).expect("namespace just made");
        Self { name, file }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// `ip ARGS` inside; panics when it fails.
    pub fn ip(&self, args: &[&str]) {
        ip(&[&["-n", &self.name], args].concat());
    }

    /// Gives `lo` one more address.
    pub fn add_address(&self, address: &str) {
        self.ip(&["addr", "add", address, "dev", "lo"]);
    }

    /// Moves the calling thread, and threads it starts, into the namespace.
    pub fn enter(&self) {
        setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET).expect("enter the test's namespace");
    }

    /// Runs `work` on a thread inside.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let file = self.file.try_clone().expect("one more descriptor");
        thread::spawn(move || {
            setns(file.as_fd(), CloneFlags::CLONE_NEWNET).expect("enter the test's namespace");
            work()
        })
    }

    /// Runs `work` inside and waits for its value.
    pub fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(work).join().expect("work inside the namespace")
    }

    /// A command that will run inside. `ip netns exec` would hide the cgroup tree from it.
    pub fn command(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new(program.into());
        let file = self.file.try_clone().expect("one more descriptor");
        // SAFETY: between fork and exec only async-signal-safe calls: setns and prctl.
        unsafe {
            command.pre_exec(move || {
                setns(file.as_fd(), CloneFlags::CLONE_NEWNET)?;
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
                Ok(())
            });
        }
        command
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.name]);
    }
}

/// Removes namespaces of test processes that were killed before they could.
fn sweep() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("mt").and_then(|rest| rest.split('-').next());
        let Some(pid) = owner.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            ip(&["netns", "del", &name]);
            crate::host::remove_pins(pid);
        }
    }
}

fn ip(args: &[&str]) {
    let done = Command::new("ip").args(args).output().expect("ip is installed");
    // A parallel test may have swept the same stale namespace first.
    let gone = args.contains(&"del") && !done.status.success();
    assert!(
        done.status.success() || gone,
        "ip {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&done.stderr)
    );
}
