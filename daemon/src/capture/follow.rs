//! Keeps what is captured equal to the newest snapshot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::select_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::ask::Ask;
use super::backend::Backend;
use super::front::{self, Front};
use super::netns::{Netns, Site};
use super::plan::{self, Detour, Targets};
use super::ready::Ready;
use super::watchdog::News;
use super::{
    AddressNews, CaptureError, Counters, GateId, InForce, Origins, Status, failed, host,
    own_addresses,
};
use crate::config;
use crate::state::{Reader, Snapshot};
use crate::telemetry::{Events, Severity};

const WARNING: Severity = Severity::Warning;
/// What problems are about.
const DESTINATIONS: &str = "destinations";
const RULES: &str = "rules";

#[derive(Debug)]
pub(super) struct Follower {
    pub(super) config: config::Capture,
    pub(super) status: Arc<Mutex<Status>>,
    pub(super) captured: Targets,
    pub(super) ready: Ready,
    pub(super) origins: Origins,
    /// meshd's own network namespace.
    pub(super) own: Front,
    /// Others, in which meshd listens.
    pub(super) elsewhere: BTreeMap<GateId, Front>,
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
                (gate, news) = self.news() => self.mend(gate, news).await,
                () = addresses_changed(addresses.as_ref().ok()) => self.refresh(),
                Some(ask) = asked.recv() => self.answer(ask).await,
            }
        }
    }

    /// Takes everything away, everywhere; names what could not be removed.
    pub(super) async fn remove(self) -> Vec<String> {
        let mut problems = self.own.remove().await;
        for front in self.elsewhere.into_values() {
            problems.extend(front.remove().await);
        }
        problems
    }

    fn fronts(&mut self) -> impl Iterator<Item = (GateId, &mut Front)> {
        let elsewhere = self.elsewhere.iter_mut().map(|(gate, front)| (*gate, front));
        std::iter::once((GateId::OWN, &mut self.own)).chain(elsewhere)
    }

    async fn news(&mut self) -> (GateId, News) {
        let news = self.fronts().map(|(gate, front)| {
            let news = async move { (gate, front.news().await) };
            Box::pin(news)
        });
        select_all(news).await.0
    }

    /// Who asked may have gone; the next one asks again.
    async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Counters(answer) => {
                answer.send(self.counters().await).ok();
            }
            Ask::InForce(answer) => {
                let programs = self.own.backend.attached();
                let counters = self.counters().await;
                let mut rules = String::new();
                for (_, front) in self.fronts() {
                    rules.push_str(&front.listing().await);
                }
                answer.send(InForce { rules, programs, counters }).ok();
            }
            Ask::Open(gate, netns, answer) => {
                answer.send(self.open(gate, netns).await).ok();
            }
            Ask::Close(gate, answer) => {
                self.close(gate).await;
                answer.send(()).ok();
            }
        }
    }

    async fn counters(&mut self) -> Counters {
        let mut counters = Counters::default();
        for (_, front) in self.fronts() {
            counters += front.counters().await;
        }
        counters
    }

    async fn open(&mut self, gate: GateId, netns: Arc<Netns>) -> Result<(), CaptureError> {
        if matches!(self.own.backend, Backend::None) {
            return Ok(()); // told to capture nothing, there as here
        }
        let site = Site::elsewhere(netns);
        let inside = |source| failed("look into the namespace", source);
        let backend = self.own.backend.elsewhere(&site).map_err(inside)?;
        let entries = front::entries(&self.config, &self.own.backend, &site).map_err(inside)?;
        // Known before the first connection comes.
        if let Some(callers) = backend.callers() {
            self.origins.open_by_rules(gate, callers);
        }
        let targets = self.captured.elsewhere();
        let installed = Front::install(&self.config, site, backend, entries, &targets).await;
        match installed {
            Ok((front, _programs)) => {
                self.elsewhere.insert(gate, front);
                Ok(())
            }
            Err(error) => {
                self.origins.close(gate);
                Err(error)
            }
        }
    }

    async fn close(&mut self, gate: GateId) {
        let Some(front) = self.elsewhere.remove(&gate) else { return };
        for what in [DESTINATIONS, RULES] {
            self.report(&front.label(what), Ok(()));
        }
        for problem in front.remove().await {
            warn!(problem, "something is left in another network namespace");
        }
        self.origins.close(gate);
    }

    async fn apply(&mut self, snapshot: &Snapshot) {
        let targets = plan::targets(snapshot, &self.config, self.detour());
        if targets == self.captured {
            return;
        }
        let change = plan::difference(&self.captured, &targets);
        let outcome = self.own.backend.update(&change, &targets).await;
        let inside = targets.elsewhere();
        self.captured = targets;
        self.report(DESTINATIONS, outcome);
        let mut outcomes = Vec::new();
        for front in self.elsewhere.values_mut() {
            let outcome = front.backend.update(&change, &inside).await;
            outcomes.push((front.label(DESTINATIONS), outcome));
        }
        for (what, outcome) in outcomes {
            self.report(&what, outcome);
        }
    }

    fn detour(&self) -> Detour {
        self.own.backend.detour(&self.config)
    }

    /// Where the backend sends calls to virtual addresses that meshd does not carry.
    fn lead(&mut self, snapshot: &Snapshot) {
        if !self.own.backend.wants_endpoints() {
            return;
        }
        let detour = self.detour();
        if let Some(leads) = self.ready.leads(snapshot, detour) {
            let outcome = self.own.backend.lead(leads);
            self.report("endpoints", outcome);
        }
    }

    /// Applications see the host's addresses as their own.
    fn refresh(&mut self) {
        let outcome = self.own.backend.refresh(&own_addresses());
        self.report("addresses", outcome);
    }

    /// Others may flush and reload the rules of this host as they like: ours come back.
    async fn mend(&mut self, gate: GateId, news: News) {
        if gate == GateId::OWN && news == News::Glance && self.own.backend.uses_conntrack() {
            self.report("conntrack", host::conntrack_has_room());
        }
        let backend = self.own.backend.name();
        let Some((_, front)) = self.fronts().find(|(of, _)| *of == gate) else { return };
        let Some(culprit) = front.blames(&news) else { return };
        let mended = front.mend(news).await;
        let (rules, name) = (front.label(RULES), front.label(backend));
        if let Ok(Some(what)) = mended {
            let message = format!("{what}: changed {culprit}; loaded again");
            self.events.emit("capture/restored", name, message, WARNING);
        }
        self.report(&rules, mended.map(drop).map_err(|error| error.to_string()));
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
