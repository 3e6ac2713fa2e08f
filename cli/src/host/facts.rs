//! What kind of host this is, and who is looking at it.

use std::path::{Path, PathBuf};
use std::{env, fs};

use nix::unistd::geteuid;

use super::process;

pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) system: String,
    pub(crate) kernel: String,
    pub(crate) arch: &'static str,
    /// Where cgroup v2 is mounted, which on some hosts is not /sys/fs/cgroup.
    pub(crate) cgroup2: Option<PathBuf>,
    /// systemd is PID 1.
    pub(crate) systemd: bool,
    pub(crate) root: bool,
    /// The address this session came from.
    pub(crate) ssh: Option<String>,
}

impl Facts {
    pub(crate) fn gather() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let release = read("/etc/os-release");
        let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        Self {
            name: read("/proc/sys/kernel/hostname"),
            system: pretty.unwrap_or("Linux").trim_matches('"').to_owned(),
            kernel: read("/proc/sys/kernel/osrelease"),
            arch: env::consts::ARCH,
            cgroup2: cgroup2(),
            systemd: Path::new("/run/systemd/system").exists(),
            root: geteuid().is_root(),
            ssh: ssh(),
        }
    }

    /// "n1, Debian GNU/Linux 12, kernel 6.18.44, cgroup v2, x86_64".
    pub(crate) fn line(&self) -> String {
        let Self { name, system, kernel, arch, .. } = self;
        let cgroups = if self.cgroup2.is_some() { "cgroup v2" } else { "no cgroup v2" };
        format!("{name}, {system}, kernel {kernel}, {cgroups}, {arch}")
    }
}

/// Where cgroup v2 is mounted.
pub(crate) fn cgroup2() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    })
}

/// sudo drops the variables of the session, but not the server among our ancestors.
fn ssh() -> Option<String> {
    if let Ok(connection) = env::var("SSH_CONNECTION") {
        return Some(client(&connection));
    }
    if env::var_os("SSH_TTY").is_some() {
        return Some("SSH".to_owned());
    }
    let above = process::ancestors();
    let server = above.iter().any(|pid| process::name(*pid).starts_with("sshd"));
    let told = above.iter().find_map(|pid| {
        let variables = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let text = String::from_utf8_lossy(&variables).into_owned();
        text.split('\0').find_map(|entry| entry.strip_prefix("SSH_CONNECTION=").map(client))
    });
    if server { Some(told.unwrap_or_else(|| "SSH".to_owned())) } else { None }
}

fn client(connection: &str) -> String {
    connection.split(' ').next().unwrap_or_default().to_owned()
}
