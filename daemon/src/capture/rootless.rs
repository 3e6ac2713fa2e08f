//! Runs without root: each in a network namespace of its own, gone with its last process.
//!
//! No cgroup holds them. The process that asked becomes the command, so its descriptor tells the
//! end of most runs; what it left behind in the namespace is then looked for until nothing is.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::runs::random_id;
use super::{Run, RunError, Wanted, host, process};

/// Runs that began or ended and nobody has heard of yet.
const BACKLOG: usize = 256;
/// How often what a command left running is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// Every run of this daemon; a cheap handle.
#[derive(Clone, Debug)]
pub(crate) struct Rootless(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where the sockets of a run are handed over.
    gate: PathBuf,
    runs: Mutex<BTreeMap<String, Entry>>,
    /// No run begins any more; changed and asked while `runs` is locked.
    closed: AtomicBool,
    begun: mpsc::Sender<(String, OwnedFd)>,
}

#[derive(Debug)]
struct Entry {
    run: Run,
    /// The process that asked, later the command.
    pid: u32,
    /// Inode of its namespace, once its sockets have arrived.
    network: Option<u64>,
}

/// Runs whose first process is to be watched.
pub(crate) type Begun = mpsc::Receiver<(String, OwnedFd)>;

impl Rootless {
    pub(crate) fn new(gate: PathBuf) -> (Self, Begun) {
        let (begun, runs) = mpsc::channel(BACKLOG);
        let closed = AtomicBool::new(false);
        (Self(Arc::new(Inner { gate, runs: Mutex::default(), closed, begun })), runs)
    }

    /// Where a run's sockets are to be brought.
    pub(crate) fn gate(&self) -> &Path {
        &self.0.gate
    }

    /// Notes the run `pid` is about to become; it ends with its processes from now on.
    ///
    /// # Errors
    /// The process is gone, there are too many at once, or meshd is about to end.
    pub(crate) fn announce(&self, wanted: Wanted, pid: u32) -> Result<Run, RunError> {
        let failed = |source| RunError::Move { pid, source };
        let process = open_process(pid).map_err(failed)?;
        let mut runs = self.runs();
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(RunError::Ending);
        }
        let id = loop {
            let id = random_id("run-").map_err(failed)?;
            if !runs.contains_key(&id) {
                break id;
            }
        };
        let run = Run { id: id.clone(), wanted, cgroup: String::new(), cgroup_id: 0 };
        let full = |_error| failed(io::ErrorKind::ResourceBusy.into());
        self.0.begun.try_send((id.clone(), process)).map_err(full)?;
        runs.insert(id, Entry { run: run.clone(), pid, network: None });
        Ok(run)
    }

    /// The run's namespace is `network`, and its workload's key `workload`.
    ///
    /// `None`: there is no such run, or it has its sockets already.
    pub(crate) fn entered(&self, id: &str, network: u64, workload: u64) -> Option<Run> {
        let mut runs = self.runs();
        let entry = runs.get_mut(id).filter(|entry| entry.network.is_none())?;
        entry.network = Some(network);
        entry.run.cgroup_id = workload;
        Some(entry.run.clone())
    }

    pub(crate) fn list(&self) -> Vec<Run> {
        self.runs().values().map(|entry| entry.run.clone()).collect()
    }

    pub(crate) fn pids(&self, id: &str) -> Vec<u32> {
        let found = self.runs().get(id).map(|entry| (entry.pid, entry.network));
        match found {
            Some((_, Some(network))) => process::in_network(network),
            Some((pid, None)) => vec![pid],
            None => Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs().is_empty()
    }

    /// Lets no run begin from now on. `false`: there are some, and nothing changed.
    pub(crate) fn close_if_empty(&self) -> bool {
        let runs = self.runs();
        if runs.is_empty() {
            self.0.closed.store(true, Ordering::Relaxed);
        }
        runs.is_empty()
    }

    /// Lets no run begin from now on.
    pub(crate) fn close(&self) {
        let _runs = self.runs();
        self.0.closed.store(true, Ordering::Relaxed);
    }

    /// Waits for the end of runs until `stop`, and says each on `ended`; they are forgotten then.
    pub(crate) async fn watch(
        &self,
        mut begun: Begun,
        ended: mpsc::Sender<Run>,
        stop: CancellationToken,
    ) {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some((id, process)) = begun.recv() => running.push(self.ending(id, process)),
                Some(id) = running.next() => {
                    let Some(entry) = self.runs().remove(&id) else { continue };
                    info!(run = id, "run ended");
                    if ended.send(entry.run).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Returns once no process of the run is left.
    async fn ending(&self, id: String, process: OwnedFd) -> String {
        match host::watched(process) {
            Ok(process) => drop(process.readable().await),
            Err(error) => debug!(%error, run = id, "its process cannot be watched"),
        }
        loop {
            let network = self.runs().get(&id).and_then(|entry| entry.network);
            let left = network.map(process::in_network).unwrap_or_default();
            if left.is_empty() {
                return id;
            }
            sleep(LOOK).await;
        }
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A descriptor that becomes readable when the process ends.
fn open_process(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is checked and owned by nobody else.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}
