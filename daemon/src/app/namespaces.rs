//! Gates in the network namespaces of attached processes, opened and closed as they come and go.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::capture::{GateId, Home, Namespaces, Settle, dns};
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
    /// The backend leads traffic to us there.
    reachable: bool,
    /// By the namespace's inode.
    open: BTreeMap<u64, (GateId, Home)>,
    next: u32,
}

impl Doorman {
    pub(super) fn new(
        config: &Config,
        (proxy, dns): (proxy::Gates, dns::Gates),
        store: Arc<Store>,
        reachable: bool,
    ) -> Self {
        /// Gates of runs without root are counted below.
        const FIRST: u32 = 1 << 16;
        let (workers, config) = (config.proxy.workers, config.capture.clone());
        let open = BTreeMap::new();
        Self { config, workers, proxy, dns, store, reachable, open, next: FIRST }
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
            let problems = self.settle(&wanted).await;
            problems.iter().for_each(|problem| warn!(problem, "a namespace is not captured"));
            // Whoever asked may have gone.
            done.send(problems).ok();
        }
        for (_, (gate, home)) in std::mem::take(&mut self.open) {
            self.close(gate, home).await;
        }
    }

    async fn settle(&mut self, wanted: &Namespaces) -> Vec<String> {
        let unwanted: Vec<u64> =
            self.open.keys().filter(|inode| !wanted.contains_key(inode)).copied().collect();
        let missing = wanted.iter().filter(|(inode, _)| !self.open.contains_key(inode));
        let missing: Vec<_> = missing.map(|(inode, path)| (*inode, path.clone())).collect();
        if unwanted.is_empty() && missing.is_empty() {
            return Vec::new();
        }
        let left: Vec<_> = unwanted.iter().filter_map(|inode| self.open.remove(inode)).collect();
        let mut problems = Vec::new();
        for (inode, path) in missing {
            match self.open_at(&path).await {
                Ok(opened) => drop(self.open.insert(inode, opened)),
                Err(error) => problems.push(format!(
                    "processes in the network namespace {} stay outside: {error}",
                    path.display()
                )),
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
        problems
    }

    async fn open_at(&mut self, path: &Path) -> io::Result<(GateId, Home)> {
        if !self.reachable {
            return Err(io::Error::other("this backend captures in meshd's own namespace only"));
        }
        let gate = GateId(self.next);
        self.next += 1;
        let (home, dns) = Home::open(path, &self.config).await?;
        let doors = home.netns.inside(|| {
            let ports = (self.config.tcp_port, self.config.udp_port);
            proxy::bind_at(ports, self.workers, gate, &home.raw).map_err(io::Error::other)
        })?;
        let (raw, netns) = (Arc::clone(&home.raw), Arc::clone(&home.netns));
        self.dns.open(gate, dns, raw, Some(netns)).await;
        self.proxy.open(doors).await;
        info!(namespace = %path.display(), "listening in another network namespace");
        Ok((gate, home))
    }

    async fn close(&self, gate: GateId, home: Home) {
        self.proxy.close(gate).await;
        self.dns.close(gate).await;
        info!(cookie = home.netns.cookie, "listening there no more");
        home.close().await;
    }
}
