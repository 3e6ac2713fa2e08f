//! What is true only while the daemon runs: workloads, and the node's own addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use tokio::time::timeout;

use super::{Declared, Store, Writer};
use crate::model::Workload;
use crate::registry::{Claim, ClaimKey};
use crate::state::{Inputs, Interner, NoFreeAddress, Snapshot, Vips, compile};

pub(super) struct Runtime {
    pub(super) node: String,
    vips: Vips,
    names: Interner,
    /// `mtls.mode: strict`.
    strict: bool,
    /// By cgroup id.
    workloads: Arc<HashMap<u64, Arc<Workload>>>,
    /// Addresses of this host besides loopback.
    addresses: Vec<IpAddr>,
    /// Other network namespaces in which meshd listens.
    gates: BTreeMap<u64, (Ipv4Addr, Ipv6Addr)>,
    /// Bound claims whose processes run.
    present: BTreeSet<ClaimKey>,
    /// The same of claims about to be made.
    presumed: BTreeSet<ClaimKey>,
}

impl Runtime {
    pub(super) fn new(node: &str, vips: Vips, names: Interner) -> Self {
        let node = node.to_owned();
        Self {
            node,
            vips,
            names,
            strict: false,
            workloads: Arc::default(),
            addresses: Vec::new(),
            gates: BTreeMap::new(),
            present: BTreeSet::new(),
            presumed: BTreeSet::new(),
        }
    }
}

impl Writer {
    /// The snapshot of `declared` and everything that runs, one revision after `previous`.
    pub(super) fn compile(
        &self,
        declared: &Declared,
        generation: u64,
        previous: &Snapshot,
    ) -> Result<Snapshot, NoFreeAddress> {
        let is_there = |claim: &&Claim| {
            let (key, runtime) = (claim.key(), &self.runtime);
            claim.bound.is_none()
                || runtime.present.contains(&key)
                || runtime.presumed.contains(&key)
        };
        let now_ms = super::unix_ms();
        let bypasses = declared.bypasses.values().map(|held| &held.value);
        // Its time ends a bypass, also where that cannot be written down.
        let bypasses = bypasses.filter(|bypass| bypass.until_ms > now_ms);
        compile(&Inputs {
            revision: previous.revision + 1,
            generation,
            objects: declared.objects.values().map(|held| &held.value).collect(),
            claims: declared.claims.values().map(|held| &held.value).filter(is_there).collect(),
            strict: self.runtime.strict,
            bypassed: bypasses.map(|bypass| &bypass.extent).collect(),
            workloads: Arc::clone(&self.runtime.workloads),
            gates: self.runtime.gates.clone(),
            node: &self.runtime.node,
            addresses: &self.runtime.addresses,
            vips: self.runtime.vips,
            names: &self.runtime.names,
            previous,
        })
    }
}

/// Why what runs could not be made known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    #[error(transparent)]
    NoFreeAddress(#[from] NoFreeAddress),
    #[error("not yet used by {}", .0.join(", "))]
    NotLive(Vec<String>),
}

impl Store {
    /// Makes a run known by its cgroup id, numbered by its label; returns once every reader
    /// knows it.
    pub(crate) async fn add_workload(
        &self,
        cgroup: u64,
        workload: Workload,
    ) -> Result<(), RuntimeError> {
        self.run_time(|runtime| {
            let id = runtime.names.id(&workload.label);
            Arc::make_mut(&mut runtime.workloads)
                .insert(cgroup, Arc::new(Workload { id, ..workload }));
        })
        .await
    }

    /// Forgets an ended run.
    pub(crate) async fn remove_workload(&self, cgroup: u64) -> Result<(), RuntimeError> {
        self.run_time(|runtime| {
            Arc::make_mut(&mut runtime.workloads).remove(&cgroup);
        })
        .await
    }

    /// Tells whether plain text between services is refused.
    pub(crate) async fn set_strict(&self, strict: bool) -> Result<(), RuntimeError> {
        self.run_time(|runtime| runtime.strict = strict).await
    }

    /// Tells which addresses are this host's own.
    pub(crate) async fn set_addresses(&self, addresses: Vec<IpAddr>) -> Result<(), RuntimeError> {
        self.run_time(|runtime| runtime.addresses = addresses).await
    }

    /// In which other network namespaces meshd listens, by cookie, and what processes there show
    /// as their source.
    pub(crate) async fn set_gates(
        &self,
        gates: BTreeMap<u64, (Ipv4Addr, Ipv6Addr)>,
    ) -> Result<(), RuntimeError> {
        self.run_time(|runtime| runtime.gates = gates).await
    }

    /// The processes of this claim run: said before it is made, so that it is whole at once.
    pub(crate) async fn presume_present(&self, key: ClaimKey) {
        self.writer.lock().await.runtime.presumed.insert(key);
    }

    /// Which bound claims' processes run. Returns those of which that is news.
    pub(crate) async fn set_present(
        &self,
        present: BTreeSet<ClaimKey>,
    ) -> Result<Vec<(ClaimKey, bool)>, RuntimeError> {
        let mut writer = self.writer.lock().await;
        let declared = Arc::clone(&writer.declared);
        let is_known = |key: &ClaimKey| declared.claims.contains_key(key);
        let runtime = &mut writer.runtime;
        let mut old = std::mem::replace(&mut runtime.present, present);
        old.extend(runtime.presumed.iter().filter(|key| is_known(key)).cloned());
        runtime.presumed.retain(|key| !is_known(key));
        let came = runtime.present.difference(&old).map(|key| (key.clone(), true));
        let went = old.difference(&runtime.present).map(|key| (key.clone(), false));
        // A claim that was deleted took its processes with it.
        let changed: Vec<_> = came.chain(went).filter(|(key, _)| is_known(key)).collect();
        drop(writer);
        if !changed.is_empty() {
            self.refresh().await?;
        }
        Ok(changed)
    }

    /// Compiles anew: what is declared is the same, but time went by.
    pub(crate) async fn refresh(&self) -> Result<(), RuntimeError> {
        self.run_time(|_runtime| {}).await
    }

    async fn run_time(&self, change: impl FnOnce(&mut Runtime)) -> Result<(), RuntimeError> {
        let mut writer = self.writer.lock().await;
        change(&mut writer.runtime);
        let snapshot =
            writer.compile(&writer.declared, writer.generation(), &self.published.newest())?;
        let revision = self.publish(snapshot).revision;
        drop(writer);
        match timeout(super::APPLIED_WITHIN, self.published.applied(revision)).await {
            Ok(()) => Ok(()),
            Err(_elapsed) => Err(RuntimeError::NotLive(self.published.laggards(revision))),
        }
    }
}
