//! Gates in the network namespaces of attached processes, opened and closed as they come and go.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::capture::{Asks, GateId, Home, Namespaces, Refused, Settle, dns};
use crate::config::{self, Config};
use crate::proxy;
use crate::state::Store;

/// Everything a gate is wired to.
pub(super) struct Doorman {
    config: config::Capture,
    workers: std::num::NonZeroUsize,
    proxy: proxy::Gates,
    dns: dns::Gates,
    store: Arc<Store>,
    /// Has traffic led to us there.
    capture: Asks,
    /// By the namespace's inode.
    open: BTreeMap<u64, (GateId, Home)>,
    /// What was last said about those that could not be opened.
    refused: Refused,
    next: u32,
}

impl Doorman {
    pub(super) fn new(
        config: &Config,
        (proxy, dns): (proxy::Gates, dns::Gates),
        store: Arc<Store>,
        capture: Asks,
    ) -> Self {
        /// Gates of runs without root are counted below.
        const FIRST: u32 = 1 << 16;
        let (workers, config) = (config.proxy.workers, config.capture.clone());
        let (open, refused) = (BTreeMap::new(), Refused::new());
        Self { config, workers, proxy, dns, store, capture, open, refused, next: FIRST }
    }

    /// Opens and closes what is asked for until `stop`, then closes all.
    pub(super) async fn serve(
        mut self,
        mut requests: mpsc::Receiver<Settle>,
        stop: CancellationToken,
    ) {
        while let Some(Some(Settle { wanted, done })) =
            stop.run_until_cancelled(requests.recv()).await
        {
            let refused = self.settle(&wanted).await;
            for (inode, why) in &refused {
                // Said once, not at every look.
                if self.refused.get(inode) != Some(why) {
                    warn!(why, "a network namespace is not captured");
                }
            }
            self.refused.clone_from(&refused);
            // Whoever asked may have gone.
            done.send(refused).ok();
        }
        for (_, (gate, home)) in std::mem::take(&mut self.open) {
            self.close(gate, home).await;
        }
    }

    async fn settle(&mut self, wanted: &Namespaces) -> Refused {
        let unwanted: Vec<u64> =
            self.open.keys().filter(|inode| !wanted.contains_key(inode)).copied().collect();
        let missing = wanted.iter().filter(|(inode, _)| !self.open.contains_key(inode));
        let missing: Vec<_> = missing.map(|(inode, path)| (*inode, path.clone())).collect();
        if unwanted.is_empty() && missing.is_empty() {
            return Refused::new();
        }
        let left: Vec<_> = unwanted.iter().filter_map(|inode| self.open.remove(inode)).collect();
        let mut refused = Refused::new();
        for (inode, path) in missing {
            match self.open_at(&path).await {
                Ok(opened) => drop(self.open.insert(inode, opened)),
                Err(error) => {
                    let path = path.display();
                    let why = format!("processes in the network namespace {path} stay outside");
                    refused.insert(inode, format!("{why}: {error}"));
                }
            }
        }
        // Listening before anything is led there, and until nothing is any more.
        let gates: BTreeMap<u64, (Ipv4Addr, Ipv6Addr)> =
            self.open.values().map(|(_, home)| (home.netns.cookie, home.sources)).collect();
        if let Err(error) = self.store.set_gates(gates).await {
            warn!(%error, "gates are not known everywhere");
        }
        for (gate, home) in left {
            self.close(gate, home).await;
        }
        refused
    }

    /// Listening first, then captured; whatever fails leaves nothing.
    async fn open_at(&mut self, path: &Path) -> io::Result<(GateId, Home)> {
        let gate = GateId(self.next);
        self.next += 1;
        let (home, dns) = Home::open(path, &self.config)?;
        let doors = home.netns.inside(|| {
            let ports = (self.config.tcp_port, self.config.udp_port);
            proxy::bind_at(ports, self.workers, gate, &home.raw).map_err(io::Error::other)
        })?;
        let (raw, netns) = (Arc::clone(&home.raw), Arc::clone(&home.netns));
        self.dns.open(gate, dns, raw, Some(netns)).await;
        self.proxy.open(doors).await;
        if let Err(error) = self.capture.open(gate, Arc::clone(&home.netns)).await {
            self.stop_listening(gate).await;
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            return Err(io::Error::other(format!("{error}{cause}")));
        }
        info!(namespace = %home.netns, "capturing in another network namespace");
        Ok((gate, home))
    }

    async fn close(&self, gate: GateId, home: Home) {
        self.capture.close(gate).await;
        self.stop_listening(gate).await;
        info!(namespace = %home.netns, "capturing there no more");
    }

    async fn stop_listening(&self, gate: GateId) {
        self.proxy.close(gate).await;
        self.dns.close(gate).await;
    }
}
