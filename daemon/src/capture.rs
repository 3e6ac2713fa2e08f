//! Takes the connections and DNS questions of chosen processes to meshd, and says where each one
//! wanted to go and who is calling.
//!
//! The only module that changes the host: every step is planned, installed as a whole or rolled
//! back, and undone by [`Capture::remove`]. Two backends, one behaviour: `ebpf` rewrites at
//! `connect()`, `nft` redirects packets. Nothing of either outlives the daemon but routes that
//! lead nowhere and a table that refuses virtual addresses at once.

mod addresses;
mod attach;
mod backend;
mod callers;
mod cgroup;
mod claim;
mod connections;
mod container;
pub(crate) mod datagram;
mod diag;
mod disguise;
pub(crate) mod dns;
mod ebpf;
pub(crate) mod egress;
mod follow;
pub(crate) mod gate;
mod guard;
mod host;
mod iptables;
mod lease;
mod netns;
mod nft;
mod origin;
mod pins;
mod plan;
mod preview;
mod process;
mod raw;
mod ready;
mod rootless;
mod routes;
mod runs;
mod status;
mod verdict;
mod watchdog;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config;
use crate::model::Place;
use crate::state::{Reader, Snapshot};
use crate::telemetry::Events;
pub(crate) use addresses::{AddressNews, own_addresses};
pub(crate) use attach::is_running;
pub(crate) use attach::{AttachError, Attachment, Attachments, FindError, Held, Table, Turn};
use backend::Backend;
pub(crate) use claim::Claim;
pub(crate) use connections::open_connections;
pub(crate) use disguise::{Disguise, Worn};
use follow::{Ask, Follower};
pub(crate) use gate::{Blueprint, GateId, Home, Keeper, Namespaces, Role, Settle, Tag};
pub(crate) use iptables::watch as watch_rules;
pub(crate) use origin::{Origin, Origins};
pub(crate) use plan::Detour;
use plan::Targets;
pub(crate) use preview::{Preview, preview};
pub(crate) use process::started_at;
pub(crate) use raw::{HEADER, Raw, reachable, write_header};
use ready::Ready;
pub(crate) use rootless::Rootless;
use routes::{Entry, Tables};
pub(crate) use runs::{EndedRun, Run, RunError, Runs, Wanted};
pub(crate) use status::{Counters, InForce, Status};
pub(crate) use verdict::Verdict;

/// Why nothing is captured; whatever was installed has been taken back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// No backend that was asked for can work here (exit 8; nothing was written).
    #[error("backend {backend} cannot work here: {why}")]
    Unsupported { backend: &'static str, why: String },
    /// Another daemon has this state directory, cgroup or network namespace.
    #[error("meshd (pid {pid}) already uses {what}")]
    Taken { what: String, pid: u32 },
    #[error("cannot {step}")]
    Install {
        step: String,
        #[source]
        source: io::Error,
    },
}

/// A backend that was found to work; the host is unchanged so far.
#[derive(Debug)]
pub(crate) struct Prepared {
    config: config::Capture,
    backend: Backend,
    origins: Origins,
    notes: Vec<String>,
}

impl Prepared {
    /// Finds the backend: the one `config` names, or the first that works.
    ///
    /// # Errors
    /// [`CaptureError::Unsupported`] when no backend that was asked for can work.
    pub(crate) async fn probe(config: &config::Capture) -> Result<Self, CaptureError> {
        let (backend, mut notes) = Backend::choose(config).await?;
        if host::has_legacy_tables() && nft::others_have_rules().await {
            notes.push(BOTH_KINDS.to_owned());
        }
        let origins = backend.origins();
        Ok(Self { config: config.clone(), backend, origins, notes })
    }

    /// Whether processes in other network namespaces than meshd's own can be captured.
    pub(crate) fn reaches_namespaces(&self) -> bool {
        matches!(self.backend, Backend::Ebpf(_))
    }

    /// For workers and DNS, which start before anything is captured.
    pub(crate) fn origins(&self) -> Origins {
        self.origins.clone()
    }

    /// Where what comes in at ports of services is to arrive: one socket of each family and
    /// transport, of those that share a port.
    ///
    /// # Errors
    /// The kernel takes one of them for no listening socket.
    pub(crate) fn arrive_at(&mut self, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        match &mut self.backend {
            Backend::Ebpf(ebpf) => ebpf.arrive_at(sockets),
            // They find the sockets by their ports.
            Backend::Nft(_) | Backend::Iptables(_) | Backend::Netns(_) | Backend::None => Ok(()),
        }
    }

    /// Installs everything for the newest snapshot or nothing, and starts following `reader`.
    ///
    /// What an earlier daemon left is cleared away first. Must run on the main thread: the owner
    /// of the nft table ends with the thread that started it.
    ///
    /// # Errors
    /// [`CaptureError`]; what had been installed is removed again.
    pub(crate) async fn install(
        mut self,
        mut reader: Reader,
        events: Events,
    ) -> Result<Capture, CaptureError> {
        if self.backend.is_guest() {
            return Ok(self.follow(reader, events, Installed::default()));
        }
        let tables = Tables::open().map_err(|source| failed("reach the routing tables", source))?;
        let detour = self.backend.detour(&self.config);
        let targets = plan::targets(&reader.peek(), &self.config, detour);
        match self.set_up(&tables, &targets).await {
            Ok((programs, entries)) => {
                let tables = Some(Arc::new(tables));
                let installed = Installed { tables, programs, entries, targets };
                Ok(self.follow(reader, events, installed))
            }
            Err(error) => {
                for problem in
                    self.backend.remove().await.into_iter().chain(take_down(&tables).await)
                {
                    warn!(problem, "not rolled back");
                }
                Err(error)
            }
        }
    }

    /// Routes, then the guard, then what captures: nothing is captured that cannot arrive.
    async fn set_up(
        &mut self,
        tables: &Tables,
        targets: &Targets,
    ) -> Result<(u32, Vec<Entry>), CaptureError> {
        let (leftovers, problems) = tables.remove_all().await;
        if !leftovers.is_empty() {
            info!(?leftovers, "removed what an earlier meshd left");
        }
        if let Some(problem) = problems.into_iter().next() {
            return Err(failed("remove what is left", io::Error::other(problem)));
        }
        let guarded = self.guard_vips().await?;
        let entries = self.plan(guarded);
        for entry in &entries {
            tables.add(entry).await.map_err(|source| failed(&format!("add {entry}"), source))?;
        }
        let runs = cgroup::Mount::find().map(|mount| mount.path(&self.config.cgroup));
        let runs = runs.map_err(|source| failed("find the cgroup2 mount", source))?;
        std::fs::create_dir_all(&runs)
            .map_err(|source| failed("make the cgroup of runs", source))?;
        let attached = self.backend.attach(targets).await;
        let programs = attached.map_err(|source| failed("attach", source))?;
        Ok((programs, entries))
    }

    /// What refuses virtual addresses that nobody captures.
    fn guard(&self) -> VipGuard {
        match self.backend {
            Backend::Iptables(_) => VipGuard::Chains,
            Backend::Nft(_) if host::program("nft").is_some() => VipGuard::Table,
            Backend::Ebpf(_) | Backend::Nft(_) | Backend::Netns(_) | Backend::None => {
                VipGuard::Routes
            }
        }
    }

    /// Loads the table that refuses what is not captured, where the backend needs one. Whatever of
    /// other backends an earlier daemon left goes. `true`: rules refuse, not routes.
    async fn guard_vips(&mut self) -> Result<bool, CaptureError> {
        let left = |source| failed("remove the rules that are left", source);
        let guard = self.guard();
        // Its own the backend replaces without a gap.
        if !matches!(self.backend, Backend::Nft(_)) {
            nft::clear().await.map_err(left)?;
            guard::remove().await.map_err(left)?;
        }
        if !matches!(self.backend, Backend::Iptables(_)) {
            iptables::clear().await.map_err(left)?;
        }
        if !self.backend.guards_itself() {
            pins::remove(&self.config.cgroup)
                .map_err(|source| failed("remove the BPF programs of an earlier meshd", source))?;
        }
        if guard == VipGuard::Table {
            guard::install(&self.config)
                .await
                .map_err(|source| failed("load the table meshd_vip", source))?;
        }
        Ok(guard != VipGuard::Routes)
    }

    /// Every route and rule this backend needs.
    fn plan(&self, guarded: bool) -> Vec<Entry> {
        let (source4, source6) = host::main_addresses(&own_addresses());
        let mut entries = routes::virtual_addresses(&self.config, guarded, (source4, source6));
        entries.extend(self.backend.routes());
        let without_ipv6 = !host::has_ipv6();
        entries.retain(|entry| !(without_ipv6 && entry.is_ipv6()));
        entries
    }

    fn follow(self, reader: Reader, events: Events, installed: Installed) -> Capture {
        let Installed { tables, programs, entries, targets: captured } = installed;
        let Self { config: settings, backend, notes, .. } = self;
        let name = backend.name();
        info!(backend = name, ?notes, "capture is ready");
        let status = Status { backend: name, notes, programs, ..Status::default() };
        let status = Arc::new(Mutex::new(status));
        let stop = CancellationToken::new();
        let (asks, asked) = mpsc::channel(ASKS);
        let (shown, shared) = (Arc::clone(&status), tables.clone());
        let detour = backend.detour(&settings);
        let follower = Follower {
            config: settings.clone(),
            backend,
            status: shown,
            captured,
            ready: Ready::default(),
            entries,
            tables: shared,
            events,
        };
        let follower = tokio::spawn(follower.run(reader, asked, stop.clone()));
        Capture { config: settings, detour, tables, status, asks, stop, follower }
    }
}

/// Who refuses virtual addresses outside every scope, so that they do not hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VipGuard {
    /// The table `meshd_vip`.
    Table,
    /// Chains of iptables.
    Chains,
    /// Unreachable routes; for captured sockets the BPF programs come before them.
    Routes,
}

/// What is on the host now.
#[derive(Debug, Default)]
struct Installed {
    /// `None`: nothing.
    tables: Option<Arc<Tables>>,
    programs: u32,
    entries: Vec<Entry>,
    targets: Targets,
}

const BOTH_KINDS: &str =
    "tables of legacy iptables and of nft are both in use here: packets pass the rules of both";
/// `status` calls that may wait for each other.
const ASKS: usize = 16;

/// Capture in force, following the snapshots.
#[derive(Debug)]
pub(crate) struct Capture {
    config: config::Capture,
    detour: Detour,
    /// `None`: nothing was installed.
    tables: Option<Arc<Tables>>,
    status: Arc<Mutex<Status>>,
    asks: mpsc::Sender<Ask>,
    stop: CancellationToken,
    follower: JoinHandle<Backend>,
}

impl Capture {
    /// What would become of traffic of process `pid` to `place`, now, and which rule says so.
    ///
    /// # Errors
    /// The process is gone, or may not be looked at.
    pub(crate) fn explain(
        &self,
        snapshot: &Snapshot,
        pid: u32,
        place: Place,
    ) -> io::Result<Verdict> {
        verdict::of((&self.config, self.detour), snapshot, pid, place)
    }

    /// Anything of the host's is taken.
    pub(crate) fn captures(&self) -> bool {
        self.tables.is_some()
    }

    /// What a bypass can do here.
    pub(crate) fn detour(&self) -> Detour {
        self.detour
    }

    pub(crate) async fn status(&self) -> Status {
        let (answer, counters) = oneshot::channel();
        // A follower that ended answers nothing, and its problem is in the status.
        let asked = self.asks.send(Ask::Counters(answer)).await.is_ok();
        let counters = if asked { counters.await.unwrap_or_default() } else { Counters::default() };
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Status { counters, ..status }
    }

    /// What is in the kernel right now.
    pub(crate) async fn in_force(&self) -> InForce {
        let (answer, in_force) = oneshot::channel();
        // A follower that ended has nothing to tell.
        self.asks.send(Ask::InForce(answer)).await.ok();
        in_force.await.unwrap_or_default()
    }

    /// Takes everything off the host again; names what could not be removed.
    pub(crate) async fn remove(self) -> Vec<String> {
        let Counters { connections, questions, refused, .. } = self.status().await.counters;
        self.stop.cancel();
        let mut problems = match self.follower.await {
            Ok(backend) => backend.remove().await,
            Err(error) => vec![format!("capture ended early: {error}")],
        };
        if let Some(tables) = &self.tables {
            problems.extend(take_down(tables).await);
            info!(connections, questions, refused, "capture removed");
        }
        problems
    }
}

/// Removes routes, rules and the guard; names what could not be removed.
async fn take_down(tables: &Tables) -> Vec<String> {
    let (_removed, mut problems) = tables.remove_all().await;
    if let Err(error) = guard::remove().await {
        problems.push(format!("table {}: {error}", guard::TABLE));
    }
    problems
}

/// Removes what a daemon with this configuration left behind, run scopes included.
///
/// Returns what was removed, in words; `Err` lists what could not be.
pub(crate) async fn clean_up(config: &config::Capture) -> Result<Vec<String>, Vec<String>> {
    let tables = Tables::open().map_err(|error| vec![format!("routing tables: {error}")])?;
    let (mut removed, mut problems) = tables.remove_all().await;
    let rules = [
        ("table meshd", nft::clear().await),
        ("table meshd_vip", guard::remove().await),
        ("chains MESHD_*", iptables::clear().await),
    ];
    for (what, cleared) in rules {
        match cleared {
            Ok(true) => removed.push(what.to_owned()),
            Ok(false) => {}
            Err(error) => problems.push(format!("{what}: {error}")),
        }
    }
    match pins::remove(&config.cgroup) {
        Ok(true) => removed.push("BPF programs".to_owned()),
        Ok(false) => {}
        Err(error) => problems.push(format!("pins of BPF programs: {error}")),
    }
    match Runs::open(config) {
        Ok((runs, _ended)) => {
            removed.extend(runs.list().into_iter().map(|run| format!("cgroup {}", run.cgroup)));
            problems.extend(runs.dissolve());
        }
        Err(RunError::NoCgroups(_)) => {}
        Err(error) => problems.push(error.to_string()),
    }
    if problems.is_empty() { Ok(removed) } else { Err(problems) }
}

fn failed(step: &str, source: io::Error) -> CaptureError {
    CaptureError::Install { step: step.to_owned(), source }
}
