//! A user without any rights, and what a meshd of that user's own leaves behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::command::Ran;
use crate::netns::Netns;
use crate::offline::finish;
use crate::programs::program;
use crate::wait::until;
use crate::{Probe, host};

/// How long whatever a user started may take to end.
const ENDED: Duration = Duration::from_secs(5);

/// Stands in a network namespace of the test's, which is the host as far as this user knows.
pub struct Visitor {
    pub netns: Netns,
    dir: TempDir,
    uid: u32,
}

impl Visitor {
    pub fn arrive() -> Self {
        let netns = Netns::new("v1");
        let dir = TempDir::with_prefix("mesh-visitor-").expect("a folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("readable");
        // The folder of the build may be out of this user's reach.
        for name in ["meshctl", "meshd", "mesh-probe"] {
            let (from, to) = (program(name), dir.path().join(name));
            fs::hard_link(&from, &to).or_else(|_other| fs::copy(&from, &to).map(drop)).expect(name);
        }
        // Nobody's number, and no other test's.
        let uid = 4_100_000 + std::process::id() % 1_000_000;
        let home = dir.path().join("home");
        fs::create_dir(&home).expect("a home");
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).expect("a home");
        chown(&home, Some(uid), Some(uid)).expect("a home");
        Self { netns, dir, uid }
    }

    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Where this user's own meshd has its sockets.
    pub fn runtime(&self) -> PathBuf {
        self.dir.path().join("home/meshd")
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Any command of this user's.
    pub fn command(&self, words: &[&str]) -> Command {
        let home = self.dir.path().join("home");
        let mut command = self.netns.command("setpriv");
        let uid = self.uid.to_string();
        command
            .args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--no-new-privs"])
            .args(["--bounding-set=-all", "--inh-caps=-all", "--"])
            .args(words)
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", self.dir.path().display()))
            .env("HOME", &home)
            .env("XDG_RUNTIME_DIR", &home)
            .env("LC_ALL", "C.UTF-8")
            .current_dir(&home)
            .stdin(Stdio::null());
        command
    }

    pub fn does(&self, words: &[&str]) -> Ran {
        finish(words, &mut self.command(words))
    }

    /// `meshctl run --rootless -- COMMAND`, to its end.
    pub fn run(&self, command: &[&str]) -> Ran {
        self.does(&[&["meshctl", "run", "--rootless", "--"], command].concat())
    }

    /// The same for a shell.
    pub fn script(&self, script: &str) -> Ran {
        self.run(&["sh", "-ec", script])
    }

    /// A captured client of this user's.
    pub fn probe(&self, flags: &[&str]) -> Probe {
        let words = [&["meshctl", "run", "--rootless"], flags, &["--", "mesh-probe"]].concat();
        Probe::start(self.command(&words))
    }

    /// Every process of this user.
    pub fn processes(&self) -> Vec<(u32, String)> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let ours = pids.filter(|pid: &u32| host::uid_of(*pid) == Some(self.uid));
        let name = |pid| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        ours.map(|pid| (pid, name(pid).trim().to_owned())).collect()
    }

    /// The meshd of this user, if one runs.
    pub fn daemon(&self) -> Option<u32> {
        let daemon = self.processes().into_iter().find(|(_, name)| name == "meshd");
        daemon.map(|(pid, _)| pid)
    }

    /// Waits until nothing of this user runs, and asserts that no socket is left.
    #[track_caller]
    pub fn until_nothing_is_left(&self) {
        until("this user's processes to end", ENDED, || self.processes().is_empty());
        assert_eq!(names(&self.runtime()), ["meshd.log"], "{}", self.log());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.runtime().join("meshd.log")).unwrap_or_default()
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- meshd log of the visitor\n{}", self.log());
        }
        for (pid, _) in self.processes() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid fits"));
            // It may have ended since.
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap_or_default();
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name != "state").collect();
    names.sort();
    names
}
