//! Other settings for capture in force, and another backend in its place.

use std::os::fd::AsFd as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::backend::Backend;
use super::follow::Follower;
use super::side::Side;
use super::{CaptureError, Terms, arrive_at, failed};
use crate::config::{self, BackendChoice};
use crate::state::Snapshot;
use crate::telemetry::Severity;

/// What was on its way when a backend was replaced has arrived after so long.
const LEAST_STAY: Duration = Duration::from_secs(10);

/// What is to capture next.
enum Next {
    /// One that is about to leave, an index: it is still in force.
    Again(usize),
    New(Backend, Vec<String>),
}

impl Follower {
    /// Goes by `config` from now on, or on as before.
    pub(super) async fn change(
        &mut self,
        config: config::Capture,
        snapshot: &Snapshot,
    ) -> Result<(), CaptureError> {
        let old = std::mem::replace(&mut self.config, config);
        let changed = self.put_in_force(&old, snapshot).await;
        if changed.is_err() {
            self.config = old;
            // It may go by some of the new settings.
            if let Err(error) = self.reconfigure().await {
                warn!(%error, "capture may go by some of the new settings");
            }
            self.know_sides();
        }
        self.terms.store(Arc::new(Terms::of(&self.config, self.side.backend())));
        self.apply(snapshot).await;
        self.lead(snapshot);
        changed
    }

    /// Who captures already goes by the new settings first: what both capture is the same then.
    async fn put_in_force(
        &mut self,
        old: &config::Capture,
        snapshot: &Snapshot,
    ) -> Result<(), CaptureError> {
        let next = self.next(old).await?;
        self.reconfigure().await?;
        let (side, notes) = match next {
            None => return Ok(()),
            Some(Next::Again(at)) => {
                let side = self.leaving.swap_remove(at).0;
                let notes = vec![format!("{}: as told", side.backend().name())];
                (side, notes)
            }
            Some(Next::New(backend, notes)) => (self.install(backend, snapshot).await?, notes),
        };
        self.step_aside(side, notes);
        Ok(())
    }

    async fn reconfigure(&mut self) -> Result<(), CaptureError> {
        let config = self.config.clone();
        for side in self.sides() {
            let told = side.reconfigure(&config).await;
            told.map_err(|why| failed("change the settings", std::io::Error::other(why)))?;
        }
        Ok(())
    }

    /// `None`: whoever captures now. A backend in force is not tried out once more: its programs
    /// and maps are there already.
    async fn next(&self, old: &config::Capture) -> Result<Option<Next>, CaptureError> {
        let choice = self.config.backend;
        if choice == old.backend {
            return Ok(None);
        }
        let first = match choice {
            BackendChoice::Auto | BackendChoice::Ebpf => "ebpf",
            BackendChoice::Nft => "nft",
            BackendChoice::Iptables(_) => "iptables",
            BackendChoice::Netns => "netns",
            BackendChoice::None => "none",
        };
        let current = self.side.backend().name();
        let leaving =
            |name| self.leaving.iter().position(|(side, _)| side.backend().name() == name);
        if first == current {
            return Ok(None);
        }
        if let Some(at) = leaving(first) {
            return Ok(Some(Next::Again(at)));
        }
        let (backend, notes) = Backend::choose(&self.config).await?;
        let chosen = backend.name();
        if chosen == current {
            return Ok(None);
        }
        Ok(Some(leaving(chosen).map_or(Next::New(backend, notes), Next::Again)))
    }

    /// In force beside the present one, everywhere.
    async fn install(
        &mut self,
        mut backend: Backend,
        snapshot: &Snapshot,
    ) -> Result<Side, CaptureError> {
        let sockets: Vec<_> = self.arrival.iter().map(|socket| socket.as_fd()).collect();
        arrive_at(&mut backend, &sockets).map_err(|source| failed("take what comes in", source))?;
        // Before the first connection comes.
        self.origins.learn(&backend.origins());
        let beside = Some(&self.side).filter(|side| !side.backend().is_guest());
        let mut side = Side::install(&self.config, backend, snapshot, beside).await?;
        for (gate, front) in &self.side.elsewhere {
            let at = (*gate, front.site().clone());
            let opened = side.open(at, &self.config, &self.origins, Some(front)).await;
            if let Err(error) = opened {
                for problem in side.leave(&self.side).await {
                    warn!(problem, "not rolled back");
                }
                return Err(error);
            }
        }
        Ok(side)
    }

    /// `side` captures from now on; who did so goes with its last connection.
    fn step_aside(&mut self, side: Side, notes: Vec<String>) {
        let old = std::mem::replace(&mut self.side, side);
        let (before, now) = (old.backend().name(), self.side.backend().name());
        self.leaving.push((old, Instant::now()));
        self.know_sides();
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        (status.backend, status.notes, status.programs) = (now, notes, self.side.programs());
        status.notes.push(format!("{before} goes with the last connection it took"));
        drop(status);
        info!(before, now, "another backend captures");
    }

    /// Whoever is in force is asked about callers.
    fn know_sides(&self) {
        let leaving = self.leaving.iter().map(|(side, _)| side.backend().origins());
        self.origins.know_only(leaving.chain([self.side.backend().origins()]));
    }

    /// Lets go of who has nothing to carry any more.
    pub(super) async fn let_go(&mut self) {
        let config = self.config.clone();
        let is_done = |(side, since): &mut (Side, Instant)| {
            since.elapsed() >= LEAST_STAY && !side.carries(&config)
        };
        let Some(at) = self.leaving.iter_mut().position(is_done) else { return };
        let (side, _) = self.leaving.swap_remove(at);
        let name = side.backend().name();
        for problem in side.leave(&self.side).await {
            warn!(problem, "something is left of another backend");
        }
        self.know_sides();
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.notes.retain(|note| !note.starts_with(&format!("{name} goes ")));
        drop(status);
        let message = "its last connection has ended: it has left";
        self.events.emit("capture/left", name, message, Severity::Info);
    }
}
