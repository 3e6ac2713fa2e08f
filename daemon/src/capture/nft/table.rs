//! Our table in one network namespace, equal to what it was last told.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::cgroup::Mount;
use super::super::netns::Site;
use super::super::plan::{self, Change, Targets};
use super::super::{Counters, host};
use super::child::Child;
use super::elements;
use super::heartbeat::Heartbeat;
use super::once;
use super::ruleset::{Ruleset, TABLE};
use super::scopes::Scopes;
use crate::config::{self, FailMode};

#[derive(Debug)]
pub(in crate::capture) struct Table {
    config: config::Capture,
    program: PathBuf,
    site: Site,
    child: Child,
    heartbeat: Option<Heartbeat>,
    scopes: Scopes,
    targets: Arc<Targets>,
    /// What the child loaded last.
    loaded: Option<Ruleset>,
    /// Everything is in the table, as far as it is known.
    is_filled: bool,
    /// Ports' incoming traffic is, or was, taken: what came in then may still be under way.
    takes_inbound: bool,
}

impl Table {
    /// Loads the table, whole, for `targets`.
    pub(in crate::capture) async fn load(
        config: &config::Capture,
        site: &Site,
        targets: &Arc<Targets>,
    ) -> io::Result<Self> {
        let program = host::program("nft").ok_or(io::ErrorKind::NotFound)?;
        let scopes = Scopes::new(Mount::find()?, &config.exclude.cgroups, site.cookie()?);
        let child = Child::start(&program, site)?;
        let (config, site) = (config.clone(), site.clone());
        let (heartbeat, targets) = (None, Arc::clone(targets));
        let (loaded, is_filled, takes_inbound) = (None, false, false);
        let mut table = Self {
            config,
            program,
            site,
            child,
            heartbeat,
            scopes,
            targets,
            loaded,
            is_filled,
            takes_inbound,
        };
        table.fill().await?;
        table.keep_alive()?;
        Ok(table)
    }

    /// Replaces the table with a new one for the same targets.
    async fn fill(&mut self) -> io::Result<()> {
        self.is_filled = false;
        let scopes = self.scopes.fill(&self.targets);
        let change = plan::difference(&Targets::default(), &self.targets);
        let ruleset = Ruleset::new(&self.config);
        let table = match &self.loaded {
            Some(old) => ruleset.instead_of(old),
            None => ruleset.text(),
        };
        self.takes_inbound |= !change.opened.is_empty();
        let inbound = if self.takes_inbound { ruleset.inbound(TABLE) } else { String::new() };
        let elements = inbound + &elements::change(&change);
        let text = table + &ruleset.first_lease() + &elements + &scopes;
        self.child.replace(&text).await?;
        self.loaded = Some(ruleset);
        self.is_filled = true;
        Ok(())
    }

    /// The same table by other settings, in one transaction.
    pub(in crate::capture) async fn reconfigure(
        &mut self,
        config: &config::Capture,
    ) -> io::Result<()> {
        self.config = config.clone();
        self.scopes.exclude(&config.exclude.cgroups);
        self.fill().await?;
        match (config.fail_mode, &self.heartbeat) {
            (FailMode::Open, None) => self.keep_alive(),
            (FailMode::Open, Some(_)) => Ok(()),
            (FailMode::Closed, _) => {
                self.heartbeat = None;
                Ok(())
            }
        }
    }

    fn keep_alive(&mut self) -> io::Result<()> {
        if self.config.fail_mode == FailMode::Open {
            self.heartbeat = Some(Heartbeat::start(&self.config, &self.site)?);
        }
        Ok(())
    }

    /// `change` leads to `targets`.
    pub(in crate::capture) async fn update(
        &mut self,
        change: &Change,
        targets: &Arc<Targets>,
    ) -> io::Result<()> {
        self.targets = Arc::clone(targets);
        let mut text = elements::change(change) + &self.scopes.follow(change);
        if !self.takes_inbound && !change.opened.is_empty() {
            self.takes_inbound = true;
            text.push_str(&Ruleset::new(&self.config).inbound(TABLE));
        }
        self.obey(&text).await
    }

    async fn obey(&mut self, text: &str) -> io::Result<()> {
        if !self.is_filled {
            return self.fill().await;
        }
        if text.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.child.load(text).await {
            // A cgroup may vanish between here and there: then all of it again, without that one.
            tracing::debug!(%error, "the nft table is filled anew");
            self.fill().await?;
        }
        Ok(())
    }

    /// What nobody announces: the owner was killed, the table does not hear the heartbeat, or
    /// cgroups to leave out came or went.
    pub(in crate::capture) fn needs_mending(&mut self) -> bool {
        let unheard = self.heartbeat.as_ref().is_some_and(|heartbeat| !heartbeat.is_heard());
        unheard || self.child.has_ended() || self.scopes.is_outdated()
    }

    /// Finds out whether the table still captures, and loads it again where not. Says what was
    /// wrong.
    pub(in crate::capture) async fn mend(&mut self) -> io::Result<Option<&'static str>> {
        if self.child.has_ended() {
            self.child = Child::start(&self.program, &self.site)?;
            self.loaded = None;
            self.fill().await?;
            return Ok(Some("the process that owns the nft table was killed"));
        }
        if !self.is_filled || !self.child.is_whole().await {
            self.fill().await?;
            return Ok(Some("the nft table was gone"));
        }
        if self.scopes.is_outdated() {
            let text = self.scopes.leave_out();
            self.obey(&text).await?;
        }
        Ok(None)
    }

    /// The process that owns the table.
    pub(in crate::capture) fn is_own(&self, pid: u32) -> bool {
        self.child.id() == Some(pid)
    }

    pub(in crate::capture) async fn counters(&self) -> Counters {
        let list = format!("list counters table inet {TABLE}\n");
        let listing = once::list(&self.site, &self.program, &list).await;
        elements::counters(&listing.unwrap_or_default())
    }

    /// An owned table goes with its owner; another has to be deleted first.
    pub(in crate::capture) async fn remove(mut self) -> io::Result<()> {
        drop(self.heartbeat.take());
        if self.config.fail_mode == FailMode::Closed {
            let delete = format!("delete table inet {TABLE}\n");
            once::apply(&self.site, &self.program, &delete).await?;
        }
        self.child.end().await
    }
}
