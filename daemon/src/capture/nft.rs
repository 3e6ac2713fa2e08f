//! The nft backend: packets of captured processes are redirected by a table of ours.
//!
//! The table has an owner, the `nft` child of [`child::Child`]: the kernel drops it with that
//! process, so a crash of meshd lets everything flow again, and nobody else can change it. A
//! meshd that hangs lets its lease run out ([`heartbeat`]), with the same effect. Told to fail
//! closed, there is neither owner nor lease.

mod child;
mod elements;
mod heartbeat;
pub(super) mod once;
mod ruleset;
mod scopes;
mod table;

use std::io;
use std::sync::Arc;

pub(super) use ruleset::{NEVER4, NEVER6, SSH, network};
use ruleset::{Ruleset, TABLE};
use table::Table;

use super::callers::Callers;
use super::cgroup::Mount;
use super::netns::Site;
use super::plan::{Change, Targets};
use super::routes::{Entry, Family};
use super::{Counters, Origins, guard, host};
use crate::config;

#[derive(Debug)]
pub(super) struct Nft {
    config: config::Capture,
    site: Site,
    callers: Callers,
    table: Option<Table>,
}

impl Nft {
    /// Lets the kernel check every kind of rule; nothing is captured yet. The error says why not,
    /// for a person.
    pub(super) async fn probe(config: &config::Capture) -> Result<Self, String> {
        let program =
            host::program("nft").ok_or("the program nft is missing (package nftables)")?;
        let mount = Mount::find().map_err(|_none| "no cgroup2 file system is mounted")?;
        let callers = Callers::new(mount, &Site::OWN).map_err(|error| error.to_string())?;
        let trial = Ruleset::new(config).trial();
        once::check(&program, &trial).await.map_err(|error| error.to_string())?;
        Ok(Self { config: config.clone(), site: Site::OWN, callers, table: None })
    }

    /// The same in another network namespace, where nothing is captured yet.
    pub(super) fn elsewhere(&self, site: &Site) -> io::Result<Self> {
        let callers = self.callers.elsewhere(site)?;
        Ok(Self { config: self.config.clone(), site: site.clone(), callers, table: None })
    }

    pub(super) fn callers(&self) -> &Callers {
        &self.callers
    }

    pub(super) fn origins(&self) -> Origins {
        Origins::rules(self.callers.clone())
    }

    /// The table as [`Self::attach`] would load it for nobody.
    pub(super) fn text(&self) -> String {
        Ruleset::new(&self.config).text()
    }

    /// Routes that must exist before [`Self::attach`].
    pub(super) fn routes(&self) -> Vec<Entry> {
        marked_routes(&self.config)
    }

    /// Loads the table, whole. Returns its number of rules.
    pub(super) async fn attach(&mut self, targets: &Arc<Targets>) -> io::Result<u32> {
        self.callers.follow(targets);
        self.table = Some(Table::load(&self.config, &self.site, targets).await?);
        Ok(Ruleset::new(&self.config).rules())
    }

    /// `change` leads to `targets`.
    pub(super) async fn update(
        &mut self,
        change: &Change,
        targets: &Arc<Targets>,
    ) -> Result<(), String> {
        self.callers.follow(targets);
        let table = self.table.as_mut().ok_or("the table is not loaded")?;
        table.update(change, targets).await.map_err(|error| format!("the nft table: {error}"))
    }

    /// Goes by other settings from now on.
    pub(super) async fn reconfigure(&mut self, config: &config::Capture) -> Result<(), String> {
        self.config = config.clone();
        let table = self.table.as_mut().ok_or("the table is not loaded")?;
        table.reconfigure(config).await.map_err(|error| format!("the nft table: {error}"))
    }

    pub(super) fn needs_mending(&mut self) -> bool {
        self.table.as_mut().is_some_and(Table::needs_mending)
    }

    /// What was found missing and put back.
    pub(super) async fn mend(&mut self) -> io::Result<Option<&'static str>> {
        let Some(table) = &mut self.table else { return Ok(None) };
        let mended = table.mend().await?;
        if guard::is_there(&self.site).await {
            return Ok(mended);
        }
        guard::install(&self.site, &self.config).await?;
        Ok(mended.or(Some("the nft table meshd_vip was gone")))
    }

    pub(super) fn is_own(&self, pid: u32) -> bool {
        self.table.as_ref().is_some_and(|table| table.is_own(pid))
    }

    pub(super) async fn counters(&self) -> Counters {
        match &self.table {
            Some(table) => table.counters().await,
            None => Counters::default(),
        }
    }

    pub(super) async fn listing(&self) -> io::Result<String> {
        let program = host::program("nft").ok_or(io::ErrorKind::NotFound)?;
        once::list(&self.site, &program, &format!("list table inet {TABLE}\n")).await
    }

    pub(super) async fn remove(self) -> Result<(), String> {
        let Some(table) = self.table else { return Ok(()) };
        table.remove().await.map_err(|error| format!("the nft table: {error}"))
    }
}

/// Marked packets lead to loopback.
pub(super) fn marked_routes(config: &config::Capture) -> Vec<Entry> {
    let (mark, mask) = (config.mark_captured, config.mark_mask);
    let marked = |family| Entry::Marked { family, mark, mask };
    [Family::V4, Family::V6].into_iter().map(marked).collect()
}

/// Deletes a table that outlived its daemon. `false`: there is none.
pub(super) async fn clear(site: &Site) -> io::Result<bool> {
    let Some(program) = host::program("nft") else { return Ok(false) };
    if once::apply(site, &program, &format!("list table inet {TABLE}\n")).await.is_err() {
        return Ok(false);
    }
    once::apply(site, &program, &format!("delete table inet {TABLE}\n")).await?;
    Ok(true)
}

/// There are tables of others.
pub(super) async fn others_have_rules() -> bool {
    let Some(program) = host::program("nft") else { return false };
    let tables = once::list(&Site::OWN, &program, "list tables\n").await.unwrap_or_default();
    tables.lines().any(|line| line.starts_with("table ") && !line.contains(TABLE))
}
