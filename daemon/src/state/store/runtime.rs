//! What is true only while the daemon runs: workloads, and the node's own addresses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::timeout;

use super::{Declared, Store, Writer};
use crate::model::Workload;
use crate::state::{Interner, Snapshot};

pub(super) struct Runtime {
    pub(super) node: String,
    interner: Interner,
    /// By cgroup id.
    workloads: HashMap<u64, Arc<Workload>>,
    /// Addresses of this host besides loopback.
    addresses: Vec<IpAddr>,
}

impl Runtime {
    pub(super) fn new(node: &str, interner: Interner) -> Self {
        Self { node: node.to_owned(), interner, workloads: HashMap::new(), addresses: Vec::new() }
    }
}

impl Writer {
    /// The snapshot of `declared` and everything that runs, one revision after `previous`.
    pub(super) fn compile(
        &self,
        declared: &Declared,
        generation: u64,
        previous: &Snapshot,
    ) -> Snapshot {
        let _ = (declared, &self.runtime.interner, &self.runtime.addresses, &self.runtime.node);
        Snapshot {
            revision: previous.revision + 1,
            generation,
            workloads: self.runtime.workloads.clone(),
            ..Snapshot::default()
        }
    }
}

impl Store {
    /// Makes a run known by its cgroup id; returns once every reader knows it, or the names of
    /// those that do not in time.
    pub(crate) async fn add_workload(
        &self,
        cgroup: u64,
        workload: Workload,
    ) -> Result<(), Vec<String>> {
        self.run_time(|runtime| {
            runtime.workloads.insert(cgroup, Arc::new(workload));
        })
        .await
    }

    /// Forgets an ended run.
    pub(crate) async fn remove_workload(&self, cgroup: u64) -> Result<(), Vec<String>> {
        self.run_time(|runtime| {
            runtime.workloads.remove(&cgroup);
        })
        .await
    }

    /// Tells which addresses are this host's own.
    pub(crate) async fn set_addresses(&self, addresses: Vec<IpAddr>) -> Result<(), Vec<String>> {
        self.run_time(|runtime| runtime.addresses = addresses).await
    }

    async fn run_time(&self, change: impl FnOnce(&mut Runtime)) -> Result<(), Vec<String>> {
        let mut writer = self.writer.lock().await;
        change(&mut writer.runtime);
        let snapshot =
            writer.compile(&writer.declared, writer.generation(), &self.published.newest());
        let revision = self.publish(snapshot).revision;
        drop(writer);
        match timeout(super::APPLIED_WITHIN, self.published.applied(revision)).await {
            Ok(()) => Ok(()),
            Err(_elapsed) => Err(self.published.laggards(revision)),
        }
    }
}
