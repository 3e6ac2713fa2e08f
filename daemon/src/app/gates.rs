//! Gates of other network namespaces: wired to workers, DNS and the knowledge of who calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::capture::gate::{Delivery, Passage, Sockets, listen};
use crate::capture::{Blueprint, GateId, Origins, Rootless, Run, dns};
use crate::config::Config;
use crate::control;
use crate::model::{Scope, Workload};
use crate::proxy;
use crate::state::Store;

/// Ended runs nobody has let go of yet.
const ENDED_BACKLOG: usize = 256;

/// Everything a gate is wired to.
pub(super) struct Gates {
    proxy: proxy::Gates,
    dns: dns::Gates,
    origins: Origins,
    blueprint: Blueprint,
    next: AtomicU32,
}

impl Gates {
    pub(super) fn new(
        config: &Config,
        proxy: proxy::Gates,
        dns: dns::Gates,
        origins: Origins,
    ) -> Self {
        let blueprint = Blueprint::new(&config.capture, proxy.workers());
        Self { proxy, dns, origins, blueprint, next: 1.into() }
    }

    /// Serves `sockets` as a new gate whose callers are all of the workload with this key.
    /// Returns the gate, and its namespace's inode.
    async fn adopt(&self, sockets: Sockets, workload: u64) -> std::io::Result<(GateId, u64)> {
        let gate = GateId(self.next.fetch_add(1, Relaxed));
        let network = self.origins.open(gate, &sockets, workload, &self.blueprint)?;
        let Sockets { doors, dns, raw, .. } = sockets;
        let doors = proxy::Doors::deal(gate, self.proxy.workers(), doors, &raw);
        self.dns.open(gate, dns, raw, None).await;
        self.proxy.open(doors).await;
        Ok((gate, network))
    }

    async fn close(&self, gate: GateId) {
        self.proxy.close(gate).await;
        self.dns.close(gate).await;
        self.origins.close(gate);
    }
}

/// Runs without root, as the rest of the daemon sees them.
pub(super) struct Guests {
    pub(super) rootless: Rootless,
    /// Told whenever the last run has ended.
    pub(super) idle: Arc<Notify>,
}

impl Guests {
    /// Takes the sockets that are brought to `path`, and lets go of runs as they end.
    pub(super) fn admit(
        path: PathBuf,
        gates: Gates,
        store: &Arc<Store>,
        (tasks, stop): (&TaskTracker, &CancellationToken),
    ) -> std::io::Result<Self> {
        let door = Door::bind(path.clone())?;
        let (rootless, begun) = Rootless::new(path);
        let (ended, ends) = mpsc::channel(ENDED_BACKLOG);
        let idle = Arc::new(Notify::new());
        let entrance = Arc::new(Entrance {
            gates,
            rootless: rootless.clone(),
            store: Arc::clone(store),
            open: Mutex::default(),
            idle: Arc::clone(&idle),
        });
        tasks.spawn(Arc::clone(&entrance).serve(door, stop.clone()));
        tasks.spawn(stop.clone().run_until_cancelled_owned(entrance.forget(ends)));
        let (watched, stop) = (rootless.clone(), stop.clone());
        tasks.spawn(async move { watched.watch(begun, ended, stop).await });
        Ok(Self { rootless, idle })
    }
}

/// Takes gates in, and lets go of them as their runs end.
struct Entrance {
    gates: Gates,
    rootless: Rootless,
    store: Arc<Store>,
    /// Gates by the key of their workload.
    open: Mutex<Vec<(u64, GateId)>>,
    idle: Arc<Notify>,
}

/// The bound entrance and its file, which goes away with it.
struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    fn bind(path: PathBuf) -> std::io::Result<Self> {
        let listener = UnixListener::from_std(listen(&path)?)?;
        Ok(Self { listener, path })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            warn!(%error, socket = %self.path.display(), "the socket's file stays");
        }
    }
}

impl Entrance {
    /// Serves until `stop`.
    async fn serve(self: Arc<Self>, door: Door, stop: CancellationToken) {
        let deliveries = TaskTracker::new();
        while let Some(accepted) = stop.run_until_cancelled(door.listener.accept()).await {
            match accepted {
                Ok((stream, _)) => {
                    deliveries.spawn(Arc::clone(&self).converse(stream));
                }
                Err(error) => {
                    warn!(%error, "no run can bring its sockets");
                    tokio::time::sleep(PAUSE_AFTER_ACCEPT_ERROR).await;
                }
            }
        }
        drop(door);
        deliveries.close();
        deliveries.wait().await;
    }

    /// Lets go of runs as they end.
    async fn forget(self: Arc<Self>, mut ended: mpsc::Receiver<Run>) {
        while let Some(run) = ended.recv().await {
            self.release(&run).await;
            if self.rootless.is_empty() {
                self.idle.notify_one();
            }
        }
    }

    async fn converse(self: Arc<Self>, stream: UnixStream) {
        let blueprint = self.gates.blueprint;
        let heard = tokio::task::spawn_blocking(move || {
            let passage = Passage::accepted(stream.into_std()?)?;
            let delivery = passage.request(&blueprint)?;
            Ok::<_, std::io::Error>((passage, delivery))
        });
        let (passage, delivery) = match heard.await {
            Ok(Ok(heard)) => heard,
            Ok(Err(error)) => return warn!(%error, "a run did not bring its sockets"),
            Err(error) => return warn!(%error, "a run's sockets were not taken"),
        };
        let admitted = self.admit(delivery).await;
        let answered = passage.answer(admitted.as_ref().map(|_run| ()).map_err(String::as_str));
        match (admitted, answered) {
            (Ok(run), Ok(())) => info!(run, "run started in a network namespace of its own"),
            (Err(why), _) => warn!(why, "a run's sockets were refused"),
            (Ok(run), Err(error)) => warn!(run, %error, "a run left before it began"),
        }
    }

    /// In force first, so that the run's very first connection is carried.
    async fn admit(&self, delivery: Delivery) -> Result<String, String> {
        let Delivery { run: id, sockets } = delivery;
        let key = sockets.cookie | Workload::NO_CGROUP;
        let scope = Scope::Netns(sockets.cookie);
        let adopted = self.gates.adopt(sockets, key).await;
        let (gate, network) = adopted.map_err(|error| error.to_string())?;
        self.open.lock().await.push((key, gate));
        let Some(run) = self.rootless.entered(&id, network, key) else {
            self.shut(key).await;
            return Err(format!("there is no run {id} that waits for its sockets"));
        };
        let known = self.store.add_workload(key, control::workload(&run, scope)).await;
        known.map_err(|error| error.to_string())?;
        Ok(id)
    }

    async fn release(&self, run: &Run) {
        self.shut(run.cgroup_id).await;
        if run.cgroup_id != 0
            && let Err(error) = self.store.remove_workload(run.cgroup_id).await
        {
            warn!(%error, run = run.id, "an ended run is still known somewhere");
        }
    }

    async fn shut(&self, key: u64) {
        let mut open = self.open.lock().await;
        if let Some(at) = open.iter().position(|(of, _)| *of == key) {
            let (_, gate) = open.swap_remove(at);
            self.gates.close(gate).await;
        }
    }
}

/// Out of descriptors: let some runs end first.
const PAUSE_AFTER_ACCEPT_ERROR: std::time::Duration = std::time::Duration::from_millis(100);
