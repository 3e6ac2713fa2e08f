//! Keeps what is captured equal to the newest snapshot.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::backend::Backend;
use super::plan::{self, Detour, Targets};
use super::ready::Ready;
use super::routes::{Entry, Tables};
use super::watchdog::{Culprit, News, Watchdog};
use super::{AddressNews, Counters, InForce, Status, guard, host, own_addresses};
use crate::config;
use crate::state::{Reader, Snapshot};
use crate::telemetry::{Events, Severity};

const WARNING: Severity = Severity::Warning;

/// What can be asked of the follower, which has the backend.
#[derive(Debug)]
pub(super) enum Ask {
    Counters(oneshot::Sender<Counters>),
    InForce(oneshot::Sender<InForce>),
}

#[derive(Debug)]
pub(super) struct Follower {
    pub(super) config: config::Capture,
    pub(super) backend: Backend,
    pub(super) status: Arc<Mutex<Status>>,
    pub(super) captured: Targets,
    pub(super) ready: Ready,
    /// Every route of ours; empty where nothing was installed.
    pub(super) entries: Vec<Entry>,
    pub(super) tables: Option<Arc<Tables>>,
    pub(super) events: Events,
}

impl Follower {
    /// Runs until `stop`, then hands the backend back, still capturing.
    ///
    /// A snapshot is acknowledged once its destinations are captured. When that fails it is
    /// acknowledged too, with a problem in the status: a command must not wait for ever.
    pub(super) async fn run(
        mut self,
        mut reader: Reader,
        mut asked: mpsc::Receiver<Ask>,
        stop: CancellationToken,
    ) -> Backend {
        let addresses = AddressNews::subscribe();
        if let Err(error) = &addresses {
            warn!(%error, "changed addresses of this host are noticed at the next start");
        }
        let mut applied = None;
        let guards_host = !self.backend.is_guest();
        let mut watchdog = if guards_host { Watchdog::open() } else { Watchdog::idle() };
        loop {
            let snapshot = reader.peek();
            if applied.replace(snapshot.revision) != Some(snapshot.revision) {
                self.apply(&snapshot).await;
            }
            self.lead(&snapshot);
            reader.acknowledge(snapshot.revision);
            tokio::select! {
                () = stop.cancelled() => return self.backend,
                () = reader.changed() => {}
                // Also the time to look at endpoints' health again.
                news = watchdog.news() => self.mend(news, &mut watchdog).await,
                () = addresses_changed(addresses.as_ref().ok()) => self.refresh(),
                Some(ask) = asked.recv() => self.answer(ask).await,
            }
        }
    }

    /// Who asked may have gone; the next one asks again.
    async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Counters(answer) => {
                answer.send(self.backend.counters().await).ok();
            }
            Ask::InForce(answer) => {
                let (programs, mut rules) = (self.backend.attached(), String::new());
                match self.backend.listing().await {
                    Ok(listing) => rules.push_str(&listing),
                    Err(error) => rules.push_str(&format!("# cannot be listed: {error}\n")),
                }
                rules.push_str(&guard::listing().await);
                rules.extend(self.entries.iter().map(|entry| format!("ip {entry}\n")));
                let counters = self.backend.counters().await;
                answer.send(InForce { rules, programs, counters }).ok();
            }
        }
    }

    async fn apply(&mut self, snapshot: &Snapshot) {
        let targets = plan::targets(snapshot, &self.config, self.detour());
        if targets == self.captured {
            return;
        }
        let change = plan::difference(&self.captured, &targets);
        let outcome = self.backend.update(&change, &targets).await;
        self.captured = targets;
        self.report("destinations", outcome);
    }

    fn detour(&self) -> Detour {
        self.backend.detour(&self.config)
    }

    /// Where the backend sends calls to virtual addresses that meshd does not carry.
    fn lead(&mut self, snapshot: &Snapshot) {
        if !self.backend.wants_endpoints() {
            return;
        }
        if let Some(leads) = self.ready.leads(snapshot, self.detour()) {
            let outcome = self.backend.lead(leads);
            self.report("endpoints", outcome);
        }
    }

    /// Applications see the host's addresses as their own.
    fn refresh(&mut self) {
        let outcome = self.backend.refresh(&own_addresses());
        self.report("addresses", outcome);
    }

    /// Others may flush and reload the rules of this host as they like: ours come back.
    async fn mend(&mut self, news: News, watchdog: &mut Watchdog) {
        if news == News::Glance && self.backend.uses_conntrack() {
            self.report("conntrack", host::conntrack_has_room());
        }
        let culprit = match &news {
            News::Glance if !self.backend.needs_mending() => return,
            News::Glance => None,
            News::Rules(culprits) | News::Routes(culprits) => {
                let mut others = culprits.iter().filter(|by| !self.backend.is_own(by.pid));
                let Some(culprit) = others.next() else { return };
                Some(culprit.clone())
            }
        };
        let mended = match news {
            News::Glance | News::Rules(_) => self.backend.mend().await,
            News::Routes(_) => self.mend_routes().await,
        };
        match mended {
            Ok(None) => self.report("rules", Ok(())),
            Ok(Some(what)) => {
                let culprit = culprit.unwrap_or_else(Culprit::suspected);
                let message = format!("{what}: changed {culprit}; loaded again");
                self.events.emit("capture/restored", self.backend.name(), message, WARNING);
                self.report("rules", Ok(()));
            }
            Err(error) => {
                self.report("rules", Err(error.to_string()));
                // A firewall that is still at it takes away what was just loaded.
                watchdog.again(news);
            }
        }
    }

    async fn mend_routes(&self) -> io::Result<Option<&'static str>> {
        let Some(tables) = &self.tables else { return Ok(None) };
        let any = tables.restore(&self.entries).await?;
        Ok(any.then_some("routes or routing rules were gone"))
    }

    fn report(&self, what: &str, outcome: Result<(), String>) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let known = status.problems.len();
        status.problems.retain(|problem| !problem.starts_with(what));
        if let Err(problem) = outcome {
            // Said once, not at every look.
            if status.problems.len() == known {
                error!(problem, "capture: {what}");
            }
            status.problems.push(format!("{what}: {problem}"));
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
