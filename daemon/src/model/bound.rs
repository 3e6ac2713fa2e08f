//! Whose life an endpoint shares.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Subject;

/// The endpoint is served only while this runs, and what comes in for it passes the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Bound {
    /// Start time as `/proc/PID/stat` has it: pids are used again.
    Process {
        pid: u32,
        started: u64,
    },
    /// Id of a run scope, "run-7f3a".
    Run(String),
    Unit(String),
    Container(String),
}

impl Bound {
    /// It comes back under the same name; a process or run that ended never does.
    pub(crate) fn returns(&self) -> Option<Subject> {
        match self {
            Self::Unit(name) => Some(Subject::Unit(name.clone())),
            Self::Container(name) => Some(Subject::Container(name.clone())),
            Self::Process { .. } | Self::Run(_) => None,
        }
    }
}

/// "pid 812", "run-7f3a", "unit web.service"
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, .. } => write!(f, "pid {pid}"),
            Self::Run(id) => f.write_str(id),
            Self::Unit(name) => write!(f, "unit {name}"),
            Self::Container(name) => write!(f, "container {name}"),
        }
    }
}
