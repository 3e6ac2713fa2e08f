//! Where everything of an installation is.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) const CONFIG: &str = "/etc/meshd/config.yaml";
pub(crate) const DEFAULT_PREFIX: &str = "/usr/local";
pub(crate) const DEFAULT_STATE: &str = "/var/lib/meshd";
pub(crate) const DEFAULT_CGROUP: &str = "meshd.slice";
pub(crate) const GROUP: &str = "mesh";
const UNIT_FOLDER: &str = "/etc/systemd/system";
const UNIT: &str = "meshd.service";

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Places {
    pub(crate) prefix: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) socket: PathBuf,
    /// Below the cgroup2 mount.
    pub(crate) cgroup: String,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            prefix: DEFAULT_PREFIX.into(),
            state: DEFAULT_STATE.into(),
            socket: crate::client::default_socket(),
            cgroup: DEFAULT_CGROUP.to_owned(),
        }
    }
}

impl Places {
    pub(crate) fn program(&self) -> PathBuf {
        self.prefix.join("libexec/meshd")
    }

    pub(crate) fn receipt(&self) -> PathBuf {
        self.state.join("install.json")
    }

    /// What meshd writes where no journal takes it.
    pub(crate) fn log(&self) -> PathBuf {
        self.state.join("meshd.log")
    }

    pub(crate) fn unit() -> PathBuf {
        Path::new(UNIT_FOLDER).join(UNIT)
    }

    /// What makes the unit start at boot.
    pub(crate) fn enabled() -> PathBuf {
        Path::new(UNIT_FOLDER).join("multi-user.target.wants").join(UNIT)
    }

    pub(crate) fn socket_folder(&self) -> Option<&Path> {
        self.socket.parent().filter(|folder| folder.ends_with("meshd"))
    }

    /// Every file an installation makes, replaces or causes to change, apart from what is kept
    /// in the state folder.
    pub(crate) fn touched(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = [
            "/etc/meshd",
            CONFIG,
            "/etc/passwd",
            "/etc/shadow",
            "/etc/group",
            "/etc/gshadow",
            "/etc/resolv.conf",
            "/etc/nsswitch.conf",
        ]
        .iter()
        .map(PathBuf::from)
        .collect();
        paths.extend([Self::unit(), Self::enabled(), self.state.clone(), self.socket.clone()]);
        paths.extend(self.socket_folder().map(Path::to_owned));
        paths.extend([self.prefix.clone(), self.prefix.join("libexec"), self.program()]);
        paths
    }
}
