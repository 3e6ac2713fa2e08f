//! Processes that already run, by what they are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What `attach` and `register` are told: it survives what it names, so a restarted unit is
/// found again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Subject {
    /// One process with its descendants.
    Pid(u32),
    /// A systemd unit: the cgroup of that name, wherever it lies.
    Unit(String),
    /// Id, prefix of the id, or name of a container.
    Container(String),
    /// A name below `/run/netns`, or a path such as `/proc/812/ns/net`.
    Netns(String),
    /// An effective user.
    Uid(u32),
    /// A path below the cgroup2 mount.
    Cgroup(String),
}

impl Subject {
    /// What records call the processes: short, and telling without the word before it.
    pub(crate) fn short(&self) -> String {
        match self {
            Self::Pid(pid) => format!("pid {pid}"),
            Self::Unit(name) => name.clone(),
            Self::Container(name) => name.chars().take(12).collect(),
            Self::Netns(name) => format!("netns {name}"),
            Self::Uid(uid) => format!("uid {uid}"),
            Self::Cgroup(path) => path.rsplit('/').next().unwrap_or(path).to_owned(),
        }
    }
}

/// `unit:web.service`: the name of an attachment.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => write!(f, "pid:{pid}"),
            Self::Unit(name) => write!(f, "unit:{name}"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Netns(name) => write!(f, "netns:{name}"),
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::Cgroup(path) => write!(f, "cgroup:{path}"),
        }
    }
}
