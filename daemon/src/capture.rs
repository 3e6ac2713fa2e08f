//! Takes the connections and DNS questions of chosen processes to meshd, and says where each one
//! wanted to go and who is calling.
//!
//! The only module that changes the host: every step is planned, installed as a whole or rolled
//! back, and undone by [`Capture::remove`]. Several backends, one behaviour: `ebpf` rewrites at
//! `connect()`, `nft` and `iptables` redirect packets, in each network namespace ([`Front`]). A
//! killed daemon leaves nothing but routes that lead nowhere and what refuses virtual addresses
//! at once.

mod addresses;
mod ask;
mod attach;
mod backend;
mod callers;
mod cgroup;
mod change;
mod claim;
mod cleanup;
mod connections;
mod conntrack;
mod container;
pub(crate) mod datagram;
mod diag;
mod disguise;
pub(crate) mod dns;
mod ebpf;
pub(crate) mod egress;
mod folders;
mod follow;
mod front;
pub(crate) mod gate;
mod guard;
mod host;
mod inhabitants;
mod iptables;
mod lease;
mod netlink;
mod netns;
mod nft;
mod origin;
mod pins;
mod plan;
mod preview;
mod process;
mod raw;
mod ready;
mod rights;
mod rootless;
mod routes;
mod runs;
mod side;
mod status;
mod verdict;
mod watchdog;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config;
use crate::model::Place;
use crate::state::{Reader, Snapshot};
use crate::telemetry::Events;
pub(crate) use addresses::{AddressNews, own_addresses};
use ask::Ask;
pub(crate) use ask::Asks;
pub(crate) use attach::is_running;
pub(crate) use attach::{AttachError, Attachment, Attachments, FindError, Held, Table, Turn};
use backend::Backend;
pub(crate) use claim::Claim;
pub(crate) use cleanup::clean_up;
pub(crate) use connections::open_connections;
pub(crate) use disguise::{Disguise, Worn};
use follow::Follower;
pub(crate) use gate::{Blueprint, GateId, Home, Keeper, Namespaces, Refused, Role, Settle, Tag};
pub(crate) use iptables::watch as watch_rules;
pub(crate) use netns::foreign;
pub(crate) use origin::{Origin, Origins};
pub(crate) use plan::Detour;
pub(crate) use preview::{Preview, preview};
pub(crate) use process::started_at;
pub(crate) use raw::{HEADER, Raw, reachable, write_header};
pub(crate) use rootless::Rootless;
pub(crate) use runs::{EndedRun, Run, RunError, Runs, Wanted};
use side::Side;
pub(crate) use status::{Counters, InForce, Status};
pub(crate) use verdict::Verdict;

/// Why nothing is captured; whatever was installed has been taken back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// No backend that was asked for can work here (exit 8; nothing was written).
    #[error("backend {backend} cannot work here: {why}")]
    Unsupported { backend: &'static str, why: String },
    /// meshd may not do what every backend needs (exit 7; nothing was written).
    #[error("meshd has not the capability {}", .0.join(", "))]
    Lacks(Vec<&'static str>),
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
    /// Where what comes in is to arrive.
    arrival: Vec<OwnedFd>,
    asks: Asks,
    asked: mpsc::Receiver<Ask>,
}

impl Prepared {
    /// Finds the backend: the one `config` names, or the first that works.
    ///
    /// # Errors
    /// [`CaptureError::Lacks`], or [`CaptureError::Unsupported`] when no backend that was asked
    /// for can work.
    pub(crate) async fn probe(config: &config::Capture) -> Result<Self, CaptureError> {
        let missing = rights::missing(config);
        if !missing.is_empty() {
            return Err(CaptureError::Lacks(missing));
        }
        let (backend, mut notes) = Backend::choose(config).await?;
        if host::has_legacy_tables() && nft::others_have_rules().await {
            notes.push(BOTH_KINDS.to_owned());
        }
        let origins = backend.origins();
        let (asks, asked) = Asks::new();
        let (config, arrival) = (config.clone(), Vec::new());
        Ok(Self { config, backend, origins, notes, arrival, asks, asked })
    }

    /// To be asked for capture in other network namespaces; answers once it is installed.
    pub(crate) fn asks(&self) -> Asks {
        self.asks.clone()
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
        let owned = sockets.iter().map(|socket| socket.try_clone_to_owned());
        self.arrival = owned.collect::<io::Result<_>>()?;
        arrive_at(&mut self.backend, sockets)
    }

    /// Installs everything for the newest snapshot or nothing, and starts following `reader`.
    ///
    /// What an earlier daemon left is cleared away first.
    ///
    /// # Errors
    /// [`CaptureError`]; what had been installed is removed again.
    pub(crate) async fn install(
        self,
        mut reader: Reader,
        events: Events,
    ) -> Result<Capture, CaptureError> {
        let Self { config, backend, origins, notes, arrival, asks, asked } = self;
        if !backend.is_guest() {
            let runs = cgroup::Mount::find().map(|mount| mount.path(&config.cgroup));
            let runs = runs.map_err(|source| failed("find the cgroup2 mount", source))?;
            std::fs::create_dir_all(&runs)
                .map_err(|source| failed("make the cgroup of runs", source))?;
        }
        let terms = Arc::new(ArcSwap::from_pointee(Terms::of(&config, &backend)));
        let side = Side::install(&config, backend, &reader.peek(), None).await?;
        let name = side.backend().name();
        info!(backend = name, ?notes, "capture is ready");
        let programs = side.programs();
        let status = Status { backend: name, notes, programs, ..Status::default() };
        let status = Arc::new(Mutex::new(status));
        let stop = CancellationToken::new();
        let follower = Follower {
            config,
            terms: Arc::clone(&terms),
            status: Arc::clone(&status),
            origins,
            arrival,
            side,
            leaving: Vec::new(),
            events,
        };
        let follower = tokio::spawn(follower.run(reader, asked, stop.clone()));
        Ok(Capture { terms, status, asks, stop, follower })
    }
}

/// What comes in is taken to these sockets.
fn arrive_at(backend: &mut Backend, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    match backend {
        Backend::Ebpf(ebpf) => ebpf.arrive_at(sockets),
        // They find the sockets by their ports.
        Backend::Nft(_) | Backend::Iptables(_) | Backend::Netns(_) | Backend::None => Ok(()),
    }
}

/// What capture goes by, for whoever has to foretell what it does.
#[derive(Debug)]
struct Terms {
    config: config::Capture,
    /// The backend leads virtual addresses to endpoints by itself.
    leads: bool,
    captures: bool,
}

impl Terms {
    fn of(config: &config::Capture, backend: &Backend) -> Self {
        let (leads, captures) = (backend.wants_endpoints(), !backend.is_guest());
        Self { config: config.clone(), leads, captures }
    }
}

const BOTH_KINDS: &str =
    "tables of legacy iptables and of nft are both in use here: packets pass the rules of both";

/// Capture in force, following the snapshots.
#[derive(Debug)]
pub(crate) struct Capture {
    terms: Arc<ArcSwap<Terms>>,
    status: Arc<Mutex<Status>>,
    asks: Asks,
    stop: CancellationToken,
    follower: JoinHandle<Follower>,
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
        let terms = self.terms.load();
        verdict::of((&terms.config, self.detour(snapshot)), snapshot, pid, place)
    }

    /// Anything of the host's is taken.
    pub(crate) fn captures(&self) -> bool {
        self.terms.load().captures
    }

    /// What a bypass can do here.
    pub(crate) fn detour(&self, snapshot: &Snapshot) -> Detour {
        Detour::of(snapshot, self.terms.load().leads)
    }

    /// Goes by other settings from now on: everything or nothing, without a gap.
    ///
    /// # Errors
    /// It cannot; capture goes on as it was.
    pub(crate) async fn change(&self, config: &config::Capture) -> Result<(), CaptureError> {
        self.asks.change(config.clone()).await
    }

    pub(crate) async fn status(&self) -> Status {
        let counters = self.asks.counters().await;
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Status { counters, ..status }
    }

    /// What is in the kernel right now.
    pub(crate) async fn in_force(&self) -> InForce {
        self.asks.in_force().await
    }

    /// Takes everything off the host again; names what could not be removed.
    pub(crate) async fn remove(self) -> Vec<String> {
        let Counters { connections, questions, refused, .. } = self.status().await.counters;
        self.stop.cancel();
        match self.follower.await {
            Ok(follower) => {
                let problems = follower.remove().await;
                info!(connections, questions, refused, "capture removed");
                problems
            }
            Err(error) => {
                let mut problems = vec![format!("capture ended early: {error}")];
                problems.extend(cleanup::strip_own().await);
                problems
            }
        }
    }
}

fn failed(step: &str, source: io::Error) -> CaptureError {
    CaptureError::Install { step: step.to_owned(), source }
}
