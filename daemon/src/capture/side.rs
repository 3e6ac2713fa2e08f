//! One backend in force: in meshd's own network namespace and in every other it listens in.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::select_all;
use tracing::warn;

use super::backend::Backend;
use super::front::{self, Front};
use super::netns::Site;
use super::plan::{self, Change, Detour, Targets};
use super::ready::Ready;
use super::watchdog::News;
use super::{CaptureError, Counters, GateId, Origins, failed, own_addresses};
use crate::config;
use crate::state::Snapshot;

/// What a step was about, and how it ended.
pub(super) type Outcome = (String, Result<(), String>);

/// What problems are about.
const DESTINATIONS: &str = "destinations";
const ENDPOINTS: &str = "endpoints";
pub(super) const RULES: &str = "rules";

#[derive(Debug)]
pub(super) struct Side {
    /// meshd's own network namespace.
    pub(super) own: Front,
    /// Others, in which meshd listens.
    pub(super) elsewhere: BTreeMap<GateId, Front>,
    /// BPF programs attached, or rules loaded.
    programs: u32,
    captured: Arc<Targets>,
    ready: Ready,
}

impl Side {
    /// Installs `backend` for `snapshot`, whole or not at all; `beside`: what is in force already,
    /// and goes on.
    pub(super) async fn install(
        config: &config::Capture,
        backend: Backend,
        snapshot: &Snapshot,
        beside: Option<&Self>,
    ) -> Result<Self, CaptureError> {
        let detour = backend.detour(snapshot);
        let captured = Arc::new(plan::targets(snapshot, config, detour));
        if backend.is_guest() {
            return Ok(Self::of(Front::guest(backend), 0, captured));
        }
        let entries = front::entries(config, &backend, &Site::OWN);
        let entries = entries.map_err(|source| failed("find this host's addresses", source))?;
        let beside_own = beside.map(|side| &side.own);
        let (own, programs) =
            Front::install(config, Site::OWN, (backend, entries), &captured, beside_own).await?;
        Ok(Self::of(own, programs, captured))
    }

    fn of(own: Front, programs: u32, captured: Arc<Targets>) -> Self {
        let (elsewhere, ready) = (BTreeMap::new(), Ready::default());
        Self { own, elsewhere, programs, captured, ready }
    }

    pub(super) fn backend(&self) -> &Backend {
        &self.own.backend
    }

    pub(super) fn programs(&self) -> u32 {
        self.programs
    }

    fn detour(&self, snapshot: &Snapshot) -> Detour {
        self.own.backend.detour(snapshot)
    }

    pub(super) fn fronts(&mut self) -> impl Iterator<Item = (GateId, &mut Front)> {
        let elsewhere = self.elsewhere.iter_mut().map(|(gate, front)| (*gate, front));
        std::iter::once((GateId::OWN, &mut self.own)).chain(elsewhere)
    }

    pub(super) async fn news(&mut self) -> (GateId, News) {
        let news = self.fronts().map(|(gate, front)| {
            let news = async move { (gate, front.news().await) };
            Box::pin(news)
        });
        select_all(news).await.0
    }

    pub(super) async fn counters(&mut self) -> Counters {
        let mut counters = Counters::default();
        for (_, front) in self.fronts() {
            counters += front.counters().await;
        }
        counters
    }

    /// Captures in another network namespace too.
    pub(super) async fn open(
        &mut self,
        (gate, site): (GateId, Site),
        config: &config::Capture,
        origins: &Origins,
        beside: Option<&Front>,
    ) -> Result<(), CaptureError> {
        if matches!(self.own.backend, Backend::None) {
            return Ok(()); // told to capture nothing, there as here
        }
        let inside = |source| failed("look into the namespace", source);
        let backend = self.own.backend.elsewhere(&site).map_err(inside)?;
        let entries = front::entries(config, &self.own.backend, &site).map_err(inside)?;
        // Known before the first connection comes.
        if let Some(callers) = backend.callers() {
            origins.open_by_rules(gate, callers);
        }
        let targets = Arc::new(self.captured.elsewhere());
        let (front, _programs) =
            Front::install(config, site, (backend, entries), &targets, beside).await?;
        self.elsewhere.insert(gate, front);
        Ok(())
    }

    /// Nothing is captured there any more.
    pub(super) async fn close(&mut self, gate: GateId) -> Vec<Outcome> {
        let Some(front) = self.elsewhere.remove(&gate) else { return Vec::new() };
        let outcomes = [DESTINATIONS, RULES].map(|what| (front.label(what), Ok(()))).into();
        for problem in front.remove().await {
            warn!(problem, "something is left in another network namespace");
        }
        outcomes
    }

    /// What is captured follows the snapshot.
    pub(super) async fn apply(
        &mut self,
        snapshot: &Snapshot,
        config: &config::Capture,
    ) -> Vec<Outcome> {
        let targets = Arc::new(plan::targets(snapshot, config, self.detour(snapshot)));
        let change = plan::difference(&self.captured, &targets);
        if change == Change::default() {
            return Vec::new();
        }
        let outcome = self.own.backend.update(&change, &targets).await;
        let mut outcomes = vec![(DESTINATIONS.to_owned(), outcome)];
        let before = std::mem::replace(&mut self.captured, targets);
        if self.elsewhere.is_empty() {
            return outcomes;
        }
        let inside = Arc::new(self.captured.elsewhere());
        let change = plan::difference(&before.elsewhere(), &inside);
        for front in self.elsewhere.values_mut() {
            let outcome = front.backend.update(&change, &inside).await;
            outcomes.push((front.label(DESTINATIONS), outcome));
        }
        outcomes
    }

    /// Where the backend sends calls to virtual addresses that meshd does not carry.
    pub(super) fn lead(&mut self, snapshot: &Snapshot) -> Option<Outcome> {
        if !self.own.backend.wants_endpoints() {
            return None;
        }
        let detour = self.detour(snapshot);
        let leads = self.ready.leads(snapshot, detour)?;
        Some((ENDPOINTS.to_owned(), self.own.backend.lead(leads)))
    }

    /// Applications see the host's addresses as their own.
    pub(super) fn refresh(&mut self) -> Outcome {
        ("addresses".to_owned(), self.own.backend.refresh(&own_addresses()))
    }

    /// Goes by other settings from now on, everywhere. On `Err` by some of both.
    pub(super) async fn reconfigure(&mut self, config: &config::Capture) -> Result<(), String> {
        for (_, front) in self.fronts() {
            front.backend.reconfigure(config).await?;
        }
        Ok(())
    }

    /// Connections that came this way are still open.
    pub(super) fn carries(&mut self, config: &config::Capture) -> bool {
        let ours = self.own.backend.takes_by_fake();
        self.fronts().any(|(_, front)| front.carries(config.tcp_port, ours))
    }

    /// Takes everything away, everywhere, but for what `rest`, which stays, needs; names what could
    /// not be removed.
    pub(super) async fn leave(self, rest: &Self) -> Vec<String> {
        let mut problems = self.own.leave(Some(&rest.own)).await;
        for (gate, front) in self.elsewhere {
            problems.extend(front.leave(rest.elsewhere.get(&gate)).await);
        }
        problems
    }

    /// Takes everything away, everywhere; names what could not be removed.
    pub(super) async fn remove(self) -> Vec<String> {
        let mut problems = self.own.remove().await;
        for front in self.elsewhere.into_values() {
            problems.extend(front.remove().await);
        }
        problems
    }
}
