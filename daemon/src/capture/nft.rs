//! The nft backend: packets of captured processes are redirected by a table of ours.
//!
//! The table has an owner, the `nft` child of [`child::Child`]: the kernel drops it with that
//! process, so a crash of meshd lets everything flow again, and nobody else can change it.
//! TCP is redirected; DNS datagrams are marked, routed to loopback and taken by TPROXY, because a
//! redirected datagram leaves a NAT entry that would also catch our own question from that port.

mod callers;
mod child;
pub(super) mod once;
mod ruleset;

use std::io;
use std::path::Path;

pub(super) use callers::Callers;
use child::Child;
use ruleset::Ruleset;

use super::cgroup::{self, Mount};
use super::plan::Change;
use super::routes::{Entry, Family};
use super::{Counters, Origins, host};
use crate::config;

#[derive(Debug)]
pub(super) struct Nft {
    ruleset: Ruleset,
    mark: u32,
    mask: u32,
    mount: Mount,
    child: Option<Child>,
}

impl Nft {
    /// Lets the kernel check every kind of rule; nothing is captured yet. The error says why not,
    /// for a person.
    pub(super) async fn probe(config: &config::Capture) -> Result<Self, String> {
        let program =
            host::program("nft").ok_or("the program nft is missing (package nftables)")?;
        let mount = Mount::find().map_err(|_none| "no cgroup2 file system is mounted")?;
        let ruleset = Ruleset::new(config, &mount).ok_or_else(|| {
            format!("nft finds cgroups below /sys/fs/cgroup only, not {}", mount.root().display())
        })?;
        once::check(&program, &ruleset.trial()).await.map_err(|error| error.to_string())?;
        let (mark, mask) = (config.mark_captured, config.mark_mask);
        Ok(Self { ruleset, mark, mask, mount, child: None })
    }

    pub(super) fn origins(&self) -> Origins {
        let depth = self.ruleset.level + 1;
        Origins::nft(Callers::new(self.mount.clone(), depth))
    }

    /// Routes that must exist before [`Self::attach`].
    pub(super) fn routes(&self) -> Vec<Entry> {
        let marked = |family| Entry::Marked { family, mark: self.mark, mask: self.mask };
        let mut routes = vec![marked(Family::V4)];
        if host::has_ipv6() {
            routes.push(marked(Family::V6));
        }
        routes
    }

    /// The table as it is loaded.
    pub(super) fn text(&self) -> String {
        self.ruleset.text()
    }

    /// Loads the table, whole. Returns its number of rules.
    pub(super) async fn attach(&mut self, runs: &Path) -> io::Result<u32> {
        cgroup::id(runs)?; // nft would only say "no such file"
        let program = host::program("nft").ok_or(io::ErrorKind::NotFound)?;
        let mut child = Child::start(&program)?;
        child.load(&self.ruleset.text()).await?;
        self.child = Some(child);
        Ok(self.ruleset.rules())
    }

    pub(super) async fn update(&mut self, change: &Change) -> Result<(), String> {
        let Some(child) = &mut self.child else { return Err("the table is not loaded".to_owned()) };
        let text = ruleset::change(change);
        child.load(&text).await.map_err(|error| format!("the nft table: {error}"))
    }

    pub(super) async fn counters(&mut self) -> Counters {
        let Some(child) = &mut self.child else { return Counters::default() };
        let listing = child.ask("list counters table inet meshd").await.unwrap_or_default();
        ruleset::counters(&listing)
    }

    /// The table goes with its owner.
    pub(super) async fn remove(self) -> Result<(), String> {
        let Some(child) = self.child else { return Ok(()) };
        child.end().await.map_err(|error| format!("the nft table: {error}"))
    }
}
