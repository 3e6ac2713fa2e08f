//! Takes the connections and DNS questions of chosen processes to meshd, and says where each one
//! wanted to go and who is calling.
//!
//! The only module that changes the host: every step is planned, installed as a whole or rolled
//! back, and undone by [`Capture::remove`]. Two backends, one behaviour: `ebpf` rewrites at
//! `connect()`, `nft` redirects packets. Nothing of either outlives the daemon but routes that
//! lead nowhere and a table that refuses virtual addresses at once.

mod addresses;
mod claim;
pub(crate) mod dns;
mod origin;
mod runs;

use std::io;

use crate::config;
use crate::state::Reader;
pub(crate) use addresses::{AddressNews, own_addresses};
pub(crate) use claim::Claim;
pub(crate) use origin::{Origin, OriginError, Origins};
pub(crate) use runs::{EndedRun, Run, RunError, Runs};

/// Why nothing is captured; whatever was installed has been taken back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// The backend that was asked for cannot work here (exit 8; nothing was written).
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

/// Which backend captures, and how it is doing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// "ebpf", "nft" or "none".
    pub(crate) backend: &'static str,
    /// Why this backend, and why not the one before it.
    pub(crate) notes: Vec<String>,
    /// BPF programs attached, or rules loaded.
    pub(crate) programs: u32,
    /// What keeps capture from doing all it should; empty when all is well.
    pub(crate) problems: Vec<String>,
    pub(crate) counters: Counters,
}

/// Since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) connections: u64,
    /// DNS sockets and datagrams.
    pub(crate) questions: u64,
    /// Connects to a port its virtual address does not declare.
    pub(crate) refused: u64,
}

/// A backend that was found to work; the host is unchanged so far.
#[derive(Debug)]
pub(crate) struct Prepared {
    origins: Origins,
}

impl Prepared {
    /// Finds the backend: the one `config` names, or the first that works.
    ///
    /// # Errors
    /// [`CaptureError::Unsupported`] when a backend was asked for by name and cannot work.
    pub(crate) fn probe(_config: &config::Capture) -> Result<Self, CaptureError> {
        Ok(Self { origins: Origins::none() })
    }

    /// For workers and DNS, which start before anything is captured.
    pub(crate) fn origins(&self) -> Origins {
        self.origins.clone()
    }

    /// Installs everything for the newest snapshot or nothing, and starts following `reader`.
    ///
    /// # Errors
    /// [`CaptureError`]; what had been installed is removed again.
    pub(crate) async fn install(self, _reader: Reader) -> Result<Capture, CaptureError> {
        Ok(Capture {})
    }
}

/// Capture in force, following the snapshots.
#[derive(Debug)]
pub(crate) struct Capture {}

impl Capture {
    pub(crate) fn status(&self) -> Status {
        Status::default()
    }

    /// Takes everything off the host again; names what could not be removed.
    pub(crate) async fn remove(self) -> Vec<String> {
        Vec::new()
    }
}

/// Removes what a daemon with this configuration left behind, run scopes included.
///
/// Returns what was removed, in words; `Err` lists what could not be.
pub(crate) async fn clean_up(_config: &config::Capture) -> Result<Vec<String>, Vec<String>> {
    Ok(Vec::new())
}
