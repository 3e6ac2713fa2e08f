//! A machine of the test's own: mounts, network and processes apart from the host's.
//!
//! `/etc`, `/usr/local`, `/var/lib`, `/var/log` and `/root` are copies on write, `/run` is empty, `/sys/fs/bpf`
//! is new. Cgroups are the one thing shared with the host; the settings give meshd one of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::Ran;
use crate::host::remove_cgroup;
use crate::programs::program;
use crate::wait::eventually;

/// Run first in a mount namespace of one's own, it gives it files of its own.
pub(crate) const OWN_FILES: &str = r"
set -e
mount -t tmpfs none /mnt
for d in etc usr/local var/lib var/log root; do
  mkdir -p /mnt/$d/up /mnt/$d/work
  mount -t overlay -o lowerdir=/$d,upperdir=/mnt/$d/up,workdir=/mnt/$d/work none /$d
done
mount -t tmpfs none /run
";

const SETUP: &str = r"
mount -t bpf none /sys/fs/bpf
ip link set lo up
ip addr add 198.51.100.1/32 dev lo
ip -6 addr add 2001:db8::1/128 dev lo || true
ip route add default dev lo
ip -6 route add default dev lo || true
mkdir -p /etc/meshd
printf 'cgroup: %s\nproxy: {workers: 1}\n' $1 > /etc/meshd/config.yaml
echo 'nameserver 192.0.2.53' > /etc/resolv.conf
touch /run/ready
set +e
# The first process of a machine waits for those nobody waits for.
while :; do sleep 0.2; done
";

/// What must be the same again after an uninstall: name → content.
pub type State = BTreeMap<String, String>;

pub struct Machine {
    /// `unshare`, and the pid of the machine's first process.
    outer: Child,
    init: i32,
    pub cgroup: String,
}

impl Machine {
    /// `name` keeps the machines of one test binary apart.
    pub fn boot(name: &str) -> Self {
        let cgroup = format!("mt{}-{name}.slice", std::process::id());
        let mut command = Command::new("unshare");
        let setup = [OWN_FILES, SETUP].concat();
        command
            .args(["-m", "-n", "-p", "-i", "-u", "--fork", "--kill-child", "--mount-proc"])
            .args(["--propagation", "private", "bash", "-c", &setup, "machine", &cgroup])
            .stdin(Stdio::null());
        let outer = command.spawn().expect("unshare");
        let init = eventually("the first process", Duration::from_secs(5), || {
            let path = format!("/proc/{0}/task/{0}/children", outer.id());
            let children = fs::read_to_string(path).map_err(|error| error.to_string())?;
            children.trim().parse::<i32>().map_err(|error| format!("{children}: {error}"))
        });
        let machine = Self { outer, init, cgroup };
        eventually("the machine's set-up", Duration::from_secs(10), || {
            let ready = format!("/proc/{init}/root/run/ready");
            if Path::new(&ready).exists() { Ok(()) } else { Err("not yet") }
        });
        machine
    }

    /// A command inside, as root, without a terminal.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.init.to_string(), "-m", "-n", "-p", "-i", "-u", "--"])
            .args(words)
            .stdin(Stdio::null())
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", "/root")
            .env_remove("MESHCTL_SOCKET")
            .env_remove("MESHD_CONFIG")
            .env_remove("SSH_CONNECTION")
            .env_remove("SSH_TTY")
            .env_remove("CI");
        command
    }

    pub fn run(&self, words: &[&str]) -> Ran {
        let output = self.command(words).output().expect("nsenter");
        Ran::new(words.join(" "), &output)
    }

    /// A shell line that must succeed; its standard output.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        self.run(&["bash", "-c", line]).exits(0).stdout
    }

    pub fn meshctl(&self, args: &[&str]) -> Ran {
        let meshctl = program("meshctl").display().to_string();
        self.run(&[&[meshctl.as_str()], args].concat())
    }

    pub fn meshctl_command(&self, args: &[&str]) -> Command {
        let meshctl = program("meshctl").display().to_string();
        self.command(&[&[meshctl.as_str()], args].concat())
    }

    /// Everything an installation could change.
    pub fn state(&self) -> State {
        let questions = [
            ("nft", "nft -s list ruleset"),
            ("iptables", "iptables-save | grep -E '^-A|^:[A-Z_]+ -|DROP' || true"),
            ("ip6tables", "ip6tables-save | grep -E '^-A|^:[A-Z_]+ -|DROP' || true"),
            ("legacy", "iptables-legacy-save | grep -E '^-A|^:[A-Z_]+ -|DROP' || true"),
            ("legacy6", "ip6tables-legacy-save | grep -E '^-A|^:[A-Z_]+ -|DROP' || true"),
            ("rule", "ip rule; ip -6 rule"),
            ("route", "ip route show table all; ip -6 route show table all"),
            (
                "sysctl",
                "sysctl net 2>/dev/null | grep -vE 'conntrack_count|_secret|fastopen_key|^net.netfilter|nf_conntrack' || true",
            ),
            ("pins", "find /sys/fs/bpf | sort"),
            // The service manager's tools keep notes of their own.
            ("run", "find /run -mindepth 1 -not -path '/run/systemd/*' | sort"),
            (
                "files",
                "{ find /etc -printf '%p %y %m %u:%g %l\\n'
                   find /usr/local /var/lib /root -maxdepth 2 -printf '%p %y %m %u:%g %l\\n'
                   find /etc /usr/local/libexec -type f -exec sha256sum {} +
                 } 2>/dev/null | grep -vE '/(passwd|group|shadow|gshadow)-( |$)' | sort",
            ),
        ];
        // One shell for all: entering the machine costs more than most questions.
        let script: String =
            questions.iter().map(|(name, line)| format!("echo '=== {name}'\n{line}\n")).collect();
        let mut state = State::new();
        for part in self.sh(&script).split("=== ").skip(1) {
            let (name, answer) = part.split_once('\n').expect("a name and its answer");
            state.insert(name.to_owned(), answer.to_owned());
        }
        let cgroup = crate::host::cgroup2().join(&self.cgroup);
        state.insert("cgroup".to_owned(), cgroup.exists().to_string());
        state.insert("processes".to_owned(), self.sh("pgrep -x meshd || true"));
        state
    }

    /// Ends every process at once, as a power cut does; what the kernel holds stays.
    pub fn power_cut(&self) {
        let killed = self.run(&["bash", "-c", "kill -KILL -1"]);
        assert!([0, 137].contains(&killed.code), "{killed}");
        eventually("every process to end", Duration::from_secs(10), || {
            let left = self.run(&["pgrep", "-x", "meshd|meshctl|strace"]);
            if left.code == 1 { Ok(()) } else { Err(left.stdout) }
        });
    }

    /// A power cut after which the kernel starts empty.
    pub fn reboot(&self) {
        self.power_cut();
        self.sh("nft flush ruleset; ip route flush proto 77; ip -6 route flush proto 77
             while ip rule del pref 15002 2>/dev/null; do :; done
             while ip -6 rule del pref 15002 2>/dev/null; do :; done
             rm -rf /sys/fs/bpf/meshd /run/meshd");
        remove_cgroup(&self.cgroup).expect("the cgroup of a machine that was cut off");
    }
}

/// What differs between two states, line by line.
pub fn changes(before: &State, after: &State) -> Vec<String> {
    let mut found = Vec::new();
    for (name, before) in before {
        let now = after.get(name).map(String::as_str).unwrap_or_default();
        let only = |a: &str, b: &str, sign: char| -> Vec<String> {
            let b: Vec<&str> = b.lines().collect();
            let lines = a.lines().filter(|line| !b.contains(line));
            lines.map(|line| format!("{sign} {name}: {line}")).collect()
        };
        found.extend(only(before, now, '-'));
        found.extend(only(now, before, '+'));
    }
    found
}

impl Drop for Machine {
    fn drop(&mut self) {
        kill(Pid::from_raw(self.init), Signal::SIGKILL).unwrap_or_default();
        self.outer.wait().expect("unshare ends");
        remove_cgroup(&self.cgroup).expect("remove the machine's cgroup");
    }
}
