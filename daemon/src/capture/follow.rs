//! Keeps what is captured equal to the newest snapshot, by the settings of the day.
//!
//! When the settings name another backend, the new one is in force before the old one leaves. That
//! one goes on beside it until its last connection has ended: rules that redirected a connection
//! have to stay for as long as it lives. What both capture reaches meshd by the new one.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::ask::Ask;
use super::netns::Site;
use super::side::{Outcome, RULES, Side};
use super::watchdog::News;
use super::{AddressNews, GateId, InForce, Origins, Status, Terms, host};
use crate::config;
use crate::state::{Reader, Snapshot};
use crate::telemetry::{Events, Severity};

const WARNING: Severity = Severity::Warning;

#[derive(Debug)]
pub(super) struct Follower {
    pub(super) config: config::Capture,
    pub(super) terms: Arc<ArcSwap<Terms>>,
    pub(super) status: Arc<Mutex<Status>>,
    pub(super) origins: Origins,
    /// Listening sockets that get what comes in.
    pub(super) arrival: Vec<OwnedFd>,
    pub(super) side: Side,
    /// Replaced, since then.
    pub(super) leaving: Vec<(Side, Instant)>,
    pub(super) events: Events,
}

impl Follower {
    /// Runs until `stop`, then returns, still capturing.
    ///
    /// A snapshot is acknowledged once its destinations are captured. When that fails it is
    /// acknowledged too, with a problem in the status: a command must not wait for ever.
    pub(super) async fn run(
        mut self,
        mut reader: Reader,
        mut asked: mpsc::Receiver<Ask>,
        stop: CancellationToken,
    ) -> Self {
        let addresses = AddressNews::subscribe();
        if let Err(error) = &addresses {
            warn!(%error, "changed addresses of this host are noticed at the next start");
        }
        let mut applied = None;
        loop {
            let snapshot = reader.peek();
            if applied.replace(snapshot.revision) != Some(snapshot.revision) {
                self.apply(&snapshot).await;
            }
            self.lead(&snapshot);
            reader.acknowledge(snapshot.revision);
            tokio::select! {
                () = stop.cancelled() => return self,
                () = reader.changed() => {}
                // Also the time to look at endpoints' health again.
                (gate, news) = self.side.news() => self.mend(gate, news).await,
                () = addresses_changed(addresses.as_ref().ok()) => self.refresh(),
                Some(ask) = asked.recv() => self.answer(ask, &snapshot).await,
            }
        }
    }

    /// Takes everything away, everywhere; names what could not be removed.
    pub(super) async fn remove(self) -> Vec<String> {
        let mut problems = Vec::new();
        for (side, _) in self.leaving {
            problems.extend(side.leave(&self.side).await);
        }
        problems.extend(self.side.remove().await);
        problems
    }

    pub(super) fn sides(&mut self) -> impl Iterator<Item = &mut Side> {
        std::iter::once(&mut self.side).chain(self.leaving.iter_mut().map(|(side, _)| side))
    }

    /// Who asked may have gone; the next one asks again.
    async fn answer(&mut self, ask: Ask, snapshot: &Snapshot) {
        match ask {
            Ask::Counters(answer) => {
                answer.send(self.side.counters().await).ok();
            }
            Ask::InForce(answer) => {
                let programs = self.sides().flat_map(|side| side.backend().attached()).collect();
                let counters = self.side.counters().await;
                let mut rules = String::new();
                for side in self.sides() {
                    for (_, front) in side.fronts() {
                        rules.push_str(&front.listing().await);
                    }
                }
                answer.send(InForce { rules, programs, counters }).ok();
            }
            Ask::Open(gate, netns, answer) => {
                let at = (gate, Site::elsewhere(netns));
                let opened = self.side.open(at, &self.config, &self.origins, None).await;
                if opened.is_err() {
                    self.origins.close(gate);
                }
                answer.send(opened).ok();
            }
            Ask::Close(gate, answer) => {
                self.close(gate).await;
                answer.send(()).ok();
            }
            Ask::Change(config, answer) => {
                answer.send(self.change(*config, snapshot).await).ok();
            }
        }
    }

    async fn close(&mut self, gate: GateId) {
        let mut outcomes = Vec::new();
        for side in self.sides() {
            outcomes.extend(side.close(gate).await);
        }
        self.note(outcomes);
        self.origins.close(gate);
    }

    pub(super) async fn apply(&mut self, snapshot: &Snapshot) {
        let (config, mut outcomes) = (self.config.clone(), Vec::new());
        for side in self.sides() {
            outcomes.extend(side.apply(snapshot, &config).await);
        }
        self.note(outcomes);
    }

    pub(super) fn lead(&mut self, snapshot: &Snapshot) {
        let outcomes = self.sides().filter_map(|side| side.lead(snapshot)).collect();
        self.note(outcomes);
    }

    fn refresh(&mut self) {
        let outcomes = self.sides().map(Side::refresh).collect();
        self.note(outcomes);
    }

    /// Others may flush and reload the rules of this host as they like: ours come back.
    async fn mend(&mut self, gate: GateId, news: News) {
        if news == News::Glance {
            self.let_go().await;
        }
        if gate == GateId::OWN && news == News::Glance && self.side.backend().uses_conntrack() {
            self.report("conntrack", host::conntrack_has_room());
        }
        let backend = self.side.backend().name();
        let Some((_, front)) = self.side.fronts().find(|(of, _)| *of == gate) else { return };
        let Some(culprit) = front.blames(&news) else { return };
        let mended = front.mend(news).await;
        let (rules, name) = (front.label(RULES), front.label(backend));
        if let Ok(Some(what)) = mended {
            let message = format!("{what}: changed {culprit}; loaded again");
            self.events.emit("capture/restored", name, message, WARNING);
        }
        self.report(&rules, mended.map(drop).map_err(|error| error.to_string()));
    }

    fn note(&self, outcomes: Vec<Outcome>) {
        for (what, outcome) in outcomes {
            self.report(&what, outcome);
        }
    }

    fn report(&self, what: &str, outcome: Result<(), String>) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let known = status.problems.len();
        let said = format!("{what}: ");
        status.problems.retain(|problem| !problem.starts_with(&said));
        if let Err(problem) = outcome {
            // Said once, not at every look.
            if status.problems.len() == known {
                error!(problem, "capture: {what}");
            }
            status.problems.push(said + &problem);
        }
    }
}
/// Never, where there is nobody to tell.
async fn addresses_changed(news: Option<&AddressNews>) {
    if let Some(news) = news
        && news.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
