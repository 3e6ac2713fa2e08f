//! Capture in force in one network namespace: routes, what refuses virtual addresses, and what
//! takes traffic.

use std::io;
use std::sync::Arc;

use tracing::{info, warn};

use super::backend::{Backend, VipGuard};
use super::connections::{established_at, is_fake};
use super::netns::Site;
use super::plan::Targets;
use super::routes::{self, Entry, Tables};
use super::watchdog::{Culprit, News, Watchdog};
use super::{CaptureError, Counters, failed, guard, host, iptables, nft, own_addresses, pins};
use crate::config;

#[derive(Debug)]
pub(super) struct Front {
    site: Site,
    pub(super) backend: Backend,
    /// `None`: nothing is to be installed.
    tables: Option<Tables>,
    entries: Vec<Entry>,
    watchdog: Watchdog,
}

/// Every route and routing rule that `backend`, which captures in meshd's own namespace, needs
/// at `site`.
pub(super) fn entries(
    config: &config::Capture,
    backend: &Backend,
    site: &Site,
) -> io::Result<Vec<Entry>> {
    let guarded = backend.vip_guard() != VipGuard::Routes;
    let found = || Ok((host::main_addresses(&own_addresses()), host::has_ipv6()));
    let (sources, has_ipv6) = site.inside(found)?;
    let mut entries = routes::virtual_addresses(config, guarded, sources);
    entries.extend(backend.routes());
    entries.retain(|entry| has_ipv6 || !entry.is_ipv6());
    Ok(entries)
}

impl Front {
    /// Of a backend that installs nothing on the host.
    pub(super) fn guest(backend: Backend) -> Self {
        let (tables, entries, watchdog) = (None, Vec::new(), Watchdog::idle());
        Self { site: Site::OWN, backend, tables, entries, watchdog }
    }

    /// Installs everything for `targets` or nothing; `beside`: what is in force there already, and
    /// goes on. Returns the number of programs or rules too.
    pub(super) async fn install(
        config: &config::Capture,
        site: Site,
        (backend, entries): (Backend, Vec<Entry>),
        targets: &Arc<Targets>,
        beside: Option<&Self>,
    ) -> Result<(Self, u32), CaptureError> {
        let tables = site.inside(Tables::open);
        let tables = tables.map_err(|source| failed("reach the routing tables", source))?;
        let mut front = Self { site, entries, ..Self::guest(backend) };
        let set_up = match beside {
            None => front.set_up(config, &tables, targets).await,
            Some(_) => front.join(config, &tables, targets).await,
        };
        match set_up {
            Ok(programs) => {
                front.tables = Some(tables);
                // Only now, or it would hear of everything that was done here.
                let watchdog = front.site.inside(|| Ok(Watchdog::open(&config.exclude.cgroups)));
                front.watchdog = watchdog.map_err(|source| failed("watch the rules", source))?;
                Ok((front, programs))
            }
            Err(error) => {
                front.tables = Some(tables);
                let undone = match beside {
                    None => front.remove().await,
                    Some(beside) => front.leave(Some(beside)).await,
                };
                for problem in undone {
                    warn!(problem, "not rolled back");
                }
                Err(error)
            }
        }
    }

    /// Routes, then the guard, then what captures: nothing is captured that cannot arrive.
    async fn set_up(
        &mut self,
        config: &config::Capture,
        tables: &Tables,
        targets: &Arc<Targets>,
    ) -> Result<u32, CaptureError> {
        let (leftovers, problems) = tables.remove_all().await;
        if !leftovers.is_empty() {
            info!(?leftovers, "removed what an earlier meshd left");
        }
        if let Some(problem) = problems.into_iter().next() {
            return Err(failed("remove what is left", io::Error::other(problem)));
        }
        // Elsewhere, to look for rules without a trace of routes would be for nothing.
        if self.site.is_own() || !leftovers.is_empty() {
            self.clear_others(config).await?;
        }
        if self.backend.vip_guard() == VipGuard::Table {
            guard::install(&self.site, config)
                .await
                .map_err(|source| failed("load the table meshd_vip", source))?;
        }
        for entry in &self.entries {
            tables.add(entry).await.map_err(|source| failed(&format!("add {entry}"), source))?;
        }
        self.backend.attach(targets).await.map_err(|source| failed("attach", source))
    }

    /// The same beside another front. Virtual addresses lead to rules as long as there are any.
    async fn join(
        &mut self,
        config: &config::Capture,
        tables: &Tables,
        targets: &Arc<Targets>,
    ) -> Result<u32, CaptureError> {
        let routes = |source| failed("add routes", source);
        let afterwards = match self.backend.vip_guard() {
            // What refuses virtual addresses for the other one does so for us.
            VipGuard::Routes => {
                tables.restore(&self.entries).await.map_err(routes)?;
                Vec::new()
            }
            VipGuard::Table => {
                let loaded = guard::install(&self.site, config).await;
                loaded.map_err(|source| failed("load the table meshd_vip", source))?;
                tables.put(&self.entries).await.map_err(routes)?;
                Vec::new()
            }
            // They come with the chains that capture.
            VipGuard::Chains => {
                let all = self.entries.iter().copied();
                let (marked, others): (Vec<_>, Vec<_>) = all.partition(Entry::is_marked);
                tables.put(&marked).await.map_err(routes)?;
                others
            }
        };
        let attached = self.backend.attach(targets).await;
        let programs = attached.map_err(|source| failed("attach", source))?;
        tables.put(&afterwards).await.map_err(routes)?;
        Ok(programs)
    }

    /// Whatever of other backends an earlier daemon left goes; its own the backend replaces
    /// without a gap.
    async fn clear_others(&self, config: &config::Capture) -> Result<(), CaptureError> {
        let left = |source| failed("remove the rules that are left", source);
        if !matches!(self.backend, Backend::Nft(_)) {
            nft::clear(&self.site).await.map_err(left)?;
            guard::remove(&self.site).await.map_err(left)?;
        }
        if !matches!(self.backend, Backend::Iptables(_)) {
            iptables::clear(&self.site).await.map_err(left)?;
        }
        if self.site.is_own() && !self.backend.guards_itself() {
            pins::remove(&config.cgroup)
                .map_err(|source| failed("remove the BPF programs of an earlier meshd", source))?;
        }
        Ok(())
    }

    /// For messages about it: which one it is, where there are several.
    pub(super) fn label(&self, what: &str) -> String {
        if self.site.is_own() { what.to_owned() } else { format!("{what} in {}", self.site) }
    }

    /// What may have happened here; asked again after a cancelled question, it has lost nothing.
    pub(super) async fn news(&mut self) -> News {
        let (watchdog, backend) = (&mut self.watchdog, &self.backend);
        watchdog.news(|pid| backend.is_own(pid)).await
    }

    /// Who it was, where the news may mean that something of ours is missing.
    pub(super) fn blames(&mut self, news: &News) -> Option<Culprit> {
        match news {
            News::Glance => self.backend.needs_mending().then(Culprit::suspected),
            News::Rules(culprits) | News::Routes(culprits) => culprits.first().cloned(),
        }
    }

    /// Puts back what is missing; says what it was.
    pub(super) async fn mend(&mut self, news: News) -> io::Result<Option<&'static str>> {
        let mended = match (&news, &self.tables) {
            (News::Routes(_), Some(tables)) => {
                let any = tables.restore(&self.entries).await;
                any.map(|any| any.then_some("routes or routing rules were gone"))
            }
            (News::Routes(_), None) => Ok(None),
            (News::Glance | News::Rules(_), _) => self.backend.mend().await,
        };
        if mended.is_err() {
            // A firewall that is still at it takes away what was just loaded.
            self.watchdog.again(news);
        }
        mended
    }

    pub(super) async fn counters(&mut self) -> Counters {
        self.backend.counters().await
    }

    /// Everything in force, as the programs print it.
    pub(super) async fn listing(&self) -> String {
        let mut rules = String::new();
        if !self.site.is_own() {
            rules.push_str(&format!("# in {}\n", self.site));
        }
        match self.backend.listing().await {
            Ok(listing) => rules.push_str(&listing),
            Err(error) => rules.push_str(&format!("# cannot be listed: {error}\n")),
        }
        rules.push_str(&guard::listing(&self.site).await);
        rules.extend(self.entries.iter().map(|entry| format!("ip {entry}\n")));
        rules
    }

    /// Connections to `port` are open that came by this front: at fake addresses, or not.
    pub(super) fn carries(&self, port: u16, fake: bool) -> bool {
        let ends = self.site.inside(|| Ok(established_at(port))).unwrap_or_default();
        ends.into_iter().any(|end| is_fake(end) == fake)
    }

    /// Stops capturing here, then takes away what `rest`, which stays, does not need; names what
    /// could not be removed.
    pub(super) async fn leave(self, rest: Option<&Self>) -> Vec<String> {
        let Some(rest) = rest else { return self.remove().await };
        let mut problems = self.backend.remove().await;
        let Some(tables) = &self.tables else { return problems };
        problems.extend(tables.exchange(&self.entries, &rest.entries).await);
        if rest.backend.vip_guard() != VipGuard::Table
            && let Err(error) = guard::remove(&self.site).await
        {
            problems.push(format!("table {}: {error}", guard::TABLE));
        }
        problems
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    /// Stops capturing here at once, then takes the rest away; names what could not be removed.
    pub(super) async fn remove(self) -> Vec<String> {
        let mut problems = self.backend.remove().await;
        let Some(tables) = self.tables else { return problems };
        problems.extend(tables.remove_all().await.1);
        if let Err(error) = guard::remove(&self.site).await {
            problems.push(format!("table {}: {error}", guard::TABLE));
        }
        problems
    }
}
