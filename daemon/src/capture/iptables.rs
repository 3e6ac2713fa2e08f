//! The iptables backend: the same decisions as the nft table, in chains of our own named
//! `MESHD_*`, for hosts where nft is missing.
//!
//! A transaction of `iptables-restore` fills the chains; one more puts the jumps into them first.
//! Chains are small programs run rule by rule, so a connection costs a comparison per scope and
//! endpoint: this is the last choice of `auto`.

mod guard;
mod legacy;
mod members;
mod ruleset;
mod tool;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use guard::watch;

use guard::Guard;
use members::members;
use ruleset::{ALL, Chains, Member, Ruleset};
use tool::{Listing, Tool, Variant};

use super::callers::Callers;
use super::cgroup::Mount;
use super::netns::Site;
use super::nft::marked_routes;
use super::plan::Targets;
use super::routes::{Entry, Family};
use super::{Counters, Origins};
use crate::config::{self, FailMode, IptablesVariant};

#[derive(Debug)]
pub(super) struct Iptables {
    config: config::Capture,
    site: Site,
    mount: Mount,
    callers: Callers,
    tool: Tool,
    families: Vec<Family>,
    targets: Arc<Targets>,
    members: Vec<Member>,
    /// What there has to be, per family and table: somebody may empty the chains before they
    /// could be looked at.
    filled: Vec<Listing>,
    /// Of legacy tables, as last left.
    sizes: Option<Vec<legacy::Size>>,
    /// `None`: not attached, or told to fail closed.
    guard: Option<Guard>,
}

impl Iptables {
    /// Lets the kernel take every kind of rule, in a network namespace made for it. The error says
    /// why not, for a person.
    pub(super) async fn probe(
        config: &config::Capture,
        wanted: IptablesVariant,
    ) -> Result<Self, String> {
        let tool = choose(wanted).await?;
        let mount = Mount::find().map_err(|_none| "no cgroup2 file system is mounted")?;
        let callers = Callers::new(mount.clone(), &Site::OWN).map_err(|error| error.to_string())?;
        let members = members::trial();
        let iptables = Self { members, ..Self::new(config, mount, callers, tool) };
        for family in &iptables.families {
            let text = iptables.text_of(*family, |chains| vec![0; chains.jumps.len()]);
            let program = iptables.program(*family);
            let taken = iptables.tool.rehearse(*family, &text).await;
            taken.map_err(|error| format!("{program}: {error}"))?;
        }
        Ok(Self { members: Vec::new(), ..iptables })
    }

    fn new(config: &config::Capture, mount: Mount, callers: Callers, tool: Tool) -> Self {
        Self {
            config: config.clone(),
            site: tool.site().clone(),
            mount,
            callers,
            families: tool.families(),
            tool,
            targets: Arc::default(),
            members: Vec::new(),
            filled: Vec::new(),
            sizes: None,
            guard: None,
        }
    }

    /// The same in another network namespace, where nothing is captured yet.
    pub(super) fn elsewhere(&self, site: &Site) -> io::Result<Self> {
        let callers = self.callers.elsewhere(site)?;
        Ok(Self::new(&self.config, self.mount.clone(), callers, self.tool.at(site)))
    }

    pub(super) fn callers(&self) -> &Callers {
        &self.callers
    }

    pub(super) fn program(&self, family: Family) -> &'static str {
        self.tool.variant().program(family)
    }

    pub(super) fn origins(&self) -> Origins {
        Origins::rules(self.callers.clone())
    }

    pub(super) fn routes(&self) -> Vec<Entry> {
        marked_routes(&self.config)
    }

    /// The rules as [`Self::attach`] would load them for nobody.
    pub(super) fn text(&self) -> String {
        let of_family = |family: &Family| {
            let text = self.text_of(*family, |chains| vec![0; chains.jumps.len()]);
            format!("# {}-restore --noflush\n{text}", self.program(*family))
        };
        self.families.iter().map(of_family).collect()
    }

    fn text_of(&self, family: Family, jumps: impl Fn(&Chains) -> Vec<usize>) -> String {
        let ruleset = self.ruleset(family);
        let mut text = ruleset.refusing() + &ruleset.capturing();
        for chains in ALL {
            text.push_str(&chains.armed(&jumps(chains)));
        }
        text
    }

    fn ruleset(&self, family: Family) -> Ruleset<'_> {
        Ruleset { config: &self.config, family, members: &self.members, targets: &self.targets }
    }

    /// Loads everything for `targets`; the jumps come last. Returns the number of rules.
    pub(super) async fn attach(&mut self, targets: &Arc<Targets>) -> io::Result<u32> {
        self.follow(targets);
        self.fill().await?;
        self.arm().await?;
        let rules = self.filled.iter().filter_map(|listing| listing.rules).sum::<usize>();
        Ok(u32::try_from(rules).unwrap_or(u32::MAX))
    }

    fn follow(&mut self, targets: &Arc<Targets>) {
        self.callers.follow(targets);
        self.targets = Arc::clone(targets);
        self.members = self.now();
    }

    pub(super) async fn update(&mut self, targets: &Arc<Targets>) -> Result<(), String> {
        self.follow(targets);
        if let Err(error) = self.fill().await {
            // A cgroup may vanish between here and there: then all of it again, without that one.
            tracing::debug!(%error, "the chains are filled anew");
            self.follow(targets);
            let filled = self.fill().await;
            filled.map_err(|error| format!("{}: {error}", self.program(Family::V4)))?;
        }
        Ok(())
    }

    /// Goes by other settings from now on.
    pub(super) async fn reconfigure(&mut self, config: &config::Capture) -> Result<(), String> {
        self.config = config.clone();
        self.members = self.now();
        let filled = self.fill().await.and_then(|()| self.stand_guard());
        filled.map_err(|error| format!("{}: {error}", self.program(Family::V4)))
    }

    /// Under a guard, or without one, as the settings say.
    fn stand_guard(&mut self) -> io::Result<()> {
        match self.config.fail_mode {
            FailMode::Open if self.guard.as_ref().is_none_or(Guard::has_ended) => {
                self.guard = Some(Guard::start(self.tool.variant(), &self.site)?);
            }
            FailMode::Open => {}
            FailMode::Closed => self.guard = None,
        }
        Ok(())
    }

    async fn fill(&mut self) -> io::Result<()> {
        let mut filled = Vec::new();
        for family in &self.families {
            let ruleset = self.ruleset(*family);
            let text = ruleset.refusing() + &ruleset.capturing();
            self.tool.restore(*family, &text).await?;
            filled.extend(ALL.map(|chains| chains.as_in(&text)));
        }
        self.filled = filled;
        self.sizes = self.sizes();
        Ok(())
    }

    /// Puts the jumps where a packet passes first, under a guard.
    async fn arm(&mut self) -> io::Result<()> {
        self.stand_guard()?;
        for family in &self.families {
            if let Err(error) = self.jump(*family).await {
                // The guard of a meshd that was killed may have taken its jumps out meanwhile.
                tracing::debug!(%error, "the jumps are put in place once more");
                self.jump(*family).await?;
            }
        }
        self.sizes = self.sizes();
        Ok(())
    }

    async fn jump(&self, family: Family) -> io::Result<()> {
        let mut text = String::new();
        for chains in ALL {
            let there = self.tool.list(family, chains).await;
            text.push_str(&chains.armed(&there.jumps));
        }
        self.tool.restore(family, &text).await
    }

    /// Changes of the nft variant are announced.
    fn sizes(&self) -> Option<Vec<legacy::Size>> {
        if !self.tool.is_legacy() {
            return None;
        }
        self.site.inside(|| legacy::sizes(&self.families)).ok()
    }

    /// Something may be missing that nobody announces.
    pub(super) fn needs_mending(&self) -> bool {
        let unguarded = self.guard.as_ref().is_some_and(Guard::has_ended);
        unguarded || self.sizes() != self.sizes || self.now() != self.members
    }

    fn now(&self) -> Vec<Member> {
        let excluded = &self.config.exclude.cgroups;
        members(&self.targets, &self.mount, excluded, self.callers.cookie)
    }

    /// What there is, per family and table.
    async fn look(&self) -> Vec<Listing> {
        let mut found = Vec::new();
        for family in &self.families {
            for chains in ALL {
                found.push(self.tool.list(*family, chains).await);
            }
        }
        found
    }

    /// Finds out whether all rules are there, and puts back what is not. Says what was wrong.
    pub(super) async fn mend(&mut self) -> io::Result<Option<&'static str>> {
        let unguarded = self.guard.as_ref().is_some_and(Guard::has_ended);
        let found = self.look().await;
        if found == self.filled && !unguarded {
            self.mend_members().await?;
            return Ok(None);
        }
        self.fill().await?;
        self.arm().await?;
        if unguarded {
            return Ok(Some("the guard let traffic flow, or was killed"));
        }
        Ok(Some("rules of iptables were gone"))
    }

    /// Cgroups to leave out come and go.
    async fn mend_members(&mut self) -> io::Result<()> {
        let now = self.now();
        if now != self.members {
            self.members = now;
            self.fill().await?;
        }
        self.sizes = self.sizes();
        Ok(())
    }

    /// The process was started here, to change our rules.
    pub(super) fn is_own(&self, pid: u32) -> bool {
        self.tool.is_own(pid)
    }

    pub(super) async fn listing(&self) -> io::Result<String> {
        let mut text = String::new();
        for family in &self.families {
            text.push_str(&format!("# {}-save\n", self.program(*family)));
            text.push_str(&self.tool.saved(*family).await?);
        }
        Ok(text)
    }

    pub(super) async fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        for family in &self.families {
            // Counts that cannot be read are missing, not wrong.
            let saved = self.tool.saved(*family).await.unwrap_or_default();
            let (tcp, dns) = (self.config.tcp_port, self.config.dns_port);
            let sum = |sort: &[&str]| -> u64 {
                let of_it = |line: &&str| sort.iter().all(|word| line.contains(word));
                saved.lines().filter(of_it).filter_map(packets).sum()
            };
            counters.connections += sum(&[&format!("--to-ports {tcp}")]);
            counters.questions += sum(&[&format!("--to-ports {dns}")]);
            counters.questions += sum(&["-A MESHD_PRE", &format!("--on-port {dns} ")]);
            counters.refused += sum(&["-A MESHD_VIP ", "-j REJECT"]);
        }
        counters
    }

    pub(super) async fn remove(mut self) -> Result<(), String> {
        drop(self.guard.take());
        clear_of(&self.tool).await.map(drop).map_err(|error| error.to_string())
    }
}

/// The variant that is asked for, else the one in which this host has rules already.
async fn choose(wanted: IptablesVariant) -> Result<Tool, String> {
    let found = match wanted {
        IptablesVariant::Nft => [Variant::Nft].as_slice(),
        IptablesVariant::Legacy => [Variant::Legacy].as_slice(),
        IptablesVariant::Any => [Variant::Plain, Variant::Nft, Variant::Legacy].as_slice(),
    };
    let mut found = found.iter().copied().filter(|variant| variant.exists());
    let first = found.next().ok_or("the program iptables-restore is missing (package iptables)")?;
    Ok(Tool::new(first).await)
}

/// Removes chains that outlived their daemon, of every variant. `false`: there were none.
pub(super) async fn clear(site: &Site) -> io::Result<bool> {
    let mut any = false;
    for variant in [Variant::Plain, Variant::Nft, Variant::Legacy] {
        if variant.exists() {
            any |= clear_of(&Tool::new(variant).await.at(site)).await?;
        }
    }
    Ok(any)
}

async fn clear_of(tool: &Tool) -> io::Result<bool> {
    let mut any = false;
    for family in tool.families() {
        for chains in ALL {
            if tool.knows(family, chains).await {
                take_out(tool, family, chains).await?;
                any = true;
            }
        }
    }
    Ok(any)
}

/// The guard of a killed daemon may take jumps out at this very moment, and a transaction that
/// removes what is gone fails as a whole: then what is left is listed anew.
async fn take_out(tool: &Tool, family: Family, chains: &'static Chains) -> io::Result<()> {
    const ATTEMPTS: usize = 5;
    const GUARD_STEP: Duration = Duration::from_millis(50);
    let mut outcome = Ok(());
    for _ in 0..ATTEMPTS {
        let there = tool.list(family, chains).await;
        outcome = tool.restore(family, &chains.removed(&there.jumps)).await;
        if outcome.is_ok() {
            break;
        }
        tokio::time::sleep(GUARD_STEP).await;
    }
    outcome
}

/// "[7:420] -A …"
fn packets(line: &str) -> Option<u64> {
    line.strip_prefix('[')?.split(':').next()?.parse().ok()
}
