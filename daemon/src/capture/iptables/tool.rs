//! The programs of one variant of iptables: `-nft`, `-legacy`, or whatever has the plain name.
//!
//! Rules are loaded by `iptables-restore`, one transaction per table; what is there is listed
//! through the crate `iptables`.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command as Blocking, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::ruleset::Chains;
use crate::capture::host;
use crate::capture::netns::Site;
use crate::capture::routes::Family;

const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds to wait for whoever else holds the lock of iptables.
const LOCK_WAIT: &str = "5";
/// Own transactions remembered, so that they are not taken for somebody else's.
const REMEMBERED: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::capture) enum Variant {
    Plain,
    Nft,
    Legacy,
}

/// Clones remember the same transactions.
#[derive(Clone, Debug)]
pub(in crate::capture) struct Tool {
    variant: Variant,
    site: Site,
    /// Rules live in the kernel's older tables.
    legacy: bool,
    own: Arc<Mutex<Vec<u32>>>,
}

/// What leads into our chains, and what is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    /// How often each jump is there.
    pub(super) jumps: Vec<usize>,
    /// Rules of all our chains; `None`: a chain is missing.
    pub(super) rules: Option<usize>,
}

impl Variant {
    pub(in crate::capture) fn program(self, family: Family) -> &'static str {
        match (self, family) {
            (Self::Plain, Family::V4) => "iptables",
            (Self::Plain, Family::V6) => "ip6tables",
            (Self::Nft, Family::V4) => "iptables-nft",
            (Self::Nft, Family::V6) => "ip6tables-nft",
            (Self::Legacy, Family::V4) => "iptables-legacy",
            (Self::Legacy, Family::V6) => "ip6tables-legacy",
        }
    }

    pub(super) fn exists(self) -> bool {
        host::program(&format!("{}-restore", self.program(Family::V4))).is_some()
    }

    pub(super) fn from_program(name: &str) -> Option<Self> {
        [Self::Plain, Self::Nft, Self::Legacy]
            .into_iter()
            .find(|variant| variant.program(Family::V4) == name)
    }
}

impl Tool {
    pub(super) async fn new(variant: Variant) -> Self {
        let program = host::program(variant.program(Family::V4)).unwrap_or_default();
        let version = Command::new(program).arg("--version").output().await;
        let version = version.map(|output| output.stdout).unwrap_or_default();
        let legacy = !String::from_utf8_lossy(&version).contains("nf_tables");
        Self { variant, site: Site::OWN, legacy, own: Arc::default() }
    }

    /// The same for the tables of another network namespace.
    pub(super) fn at(&self, site: &Site) -> Self {
        Self { site: site.clone(), ..self.clone() }
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    pub(super) fn is_legacy(&self) -> bool {
        self.legacy
    }

    pub(super) fn variant(&self) -> Variant {
        self.variant
    }

    /// The families that are switched on.
    pub(super) fn families(&self) -> Vec<Family> {
        let has_ipv6 = self.site.inside(|| Ok(host::has_ipv6()));
        let v6 = has_ipv6.unwrap_or(false).then_some(Family::V6);
        [Family::V4].into_iter().chain(v6).collect()
    }

    pub(super) async fn restore(&self, family: Family, text: &str) -> io::Result<()> {
        let mut command = self.site.command(self.restorer(family)?);
        command.args(["--noflush", "--wait", LOCK_WAIT]);
        self.feed(command, text).await
    }

    /// Lets the kernel take `text` in a network namespace that ends with the program.
    pub(super) async fn rehearse(&self, family: Family, text: &str) -> io::Result<()> {
        let mut command = Blocking::new(self.restorer(family)?);
        command.args(["--noflush", "--wait", LOCK_WAIT]);
        let elsewhere = || Ok(unshare(CloneFlags::CLONE_NEWNET)?);
        // SAFETY: one system call between fork and exec.
        unsafe { command.pre_exec(elsewhere) };
        self.feed(command, text).await
    }

    fn restorer(&self, family: Family) -> io::Result<std::path::PathBuf> {
        let name = format!("{}-restore", self.variant.program(family));
        host::program(&name).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("the program {name} is missing"))
        })
    }

    async fn feed(&self, command: Blocking, text: &str) -> io::Result<()> {
        let mut command = Command::from(command);
        command.kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn()?;
        self.remember(process.id());
        if let Some(mut input) = process.stdin.take() {
            input.write_all(text.as_bytes()).await?;
        }
        let output = timeout(PATIENCE, process.wait_with_output()).await;
        let output = output.map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(complaint(&said, text)))
    }

    pub(super) async fn list(&self, family: Family, chains: &'static Chains) -> Listing {
        let (variant, site) = (self.variant, self.site.clone());
        let list = move || site.inside(|| Ok(list(variant, family, chains)));
        // A panic of the crate reads as: nothing is there.
        let listed = spawn_blocking(list).await.ok().and_then(Result::ok);
        listed.unwrap_or(Listing { jumps: Vec::new(), rules: None })
    }

    /// Whether any of the chains is there. Asking for one would make a table that nobody has yet,
    /// so the tables in use are asked first.
    pub(super) async fn knows(&self, family: Family, chains: &Chains) -> bool {
        let saved = self.saved(family).await.unwrap_or_default();
        let table = format!("*{}", chains.table);
        let in_table = saved.lines().skip_while(|line| *line != table).skip(1);
        let mut in_table = in_table.take_while(|line| !line.starts_with('*'));
        in_table.any(|line| line.contains("MESHD_"))
    }

    /// Everything of ours in this family, as `iptables-save` prints it.
    pub(super) async fn saved(&self, family: Family) -> io::Result<String> {
        let name = format!("{}-save", self.variant.program(family));
        let program = host::program(&name).ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::from(self.site.command(program));
        let output = command.arg("--counters").stderr(Stdio::null()).output().await?;
        let all = String::from_utf8_lossy(&output.stdout);
        let ours = |line: &&str| line.starts_with('*') || line.contains("MESHD_");
        Ok(all.lines().filter(ours).map(|line| format!("{line}\n")).collect())
    }

    /// The process was started here.
    pub(super) fn is_own(&self, pid: u32) -> bool {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).contains(&pid)
    }

    fn remember(&self, pid: Option<u32>) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if own.len() >= REMEMBERED {
            own.remove(0);
        }
        own.extend(pid);
    }
}

fn list(variant: Variant, family: Family, chains: &Chains) -> Listing {
    let tables = iptables::IPTables {
        cmd: variant.program(family),
        has_check: true,
        has_wait: true,
        is_numeric: false,
    };
    // What cannot be listed is not there.
    let lines = tables.list_table(chains.table).unwrap_or_default();
    let jumps = chains.jumps.iter().map(|(chain, _, ours)| {
        let (from, target) = (format!("-A {chain} "), format!("-j {ours}"));
        lines.iter().filter(|line| line.starts_with(&from) && line.ends_with(&target)).count()
    });
    let jumps = jumps.collect();
    let of_chain = |name: &&str| {
        let (rule, chain) = (format!("-A {name} "), format!("-N {name}"));
        let is_there = lines.contains(&chain);
        is_there.then(|| lines.iter().filter(|line| line.starts_with(&rule)).count())
    };
    Listing { jumps, rules: chains.names.iter().map(of_chain).sum() }
}

/// Takes the jumps out; for a process that has nothing but this to do. What is not there cannot
/// be taken out, which is not an error.
pub(super) fn disarm(variant: Variant, chains: &Chains) {
    for family in [Family::V4, Family::V6] {
        let Some(program) = host::program(variant.program(family)) else { continue };
        for (chain, what, ours) in chains.jumps {
            let mut command = Blocking::new(&program);
            command.args(["--wait", LOCK_WAIT, "-t", chains.table, "-D", chain]);
            command.args(what.split_whitespace());
            command.args(super::ruleset::TAG.split(' ')).args(["-j", ours]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            while command.status().is_ok_and(|status| status.success()) {}
        }
    }
}

/// The line the program means, with what it said.
fn complaint(said: &str, text: &str) -> String {
    let said = said.lines().find(|line| !line.starts_with('#')).unwrap_or("not applied").trim();
    let number = said.split_once("line ").map(|(_, after)| after);
    let number = number.and_then(|after| after.split(|c: char| !c.is_ascii_digit()).next());
    let line = number.and_then(|number| number.parse::<usize>().ok());
    match line.and_then(|line| text.lines().nth(line.saturating_sub(1))) {
        Some(line) => format!("{said} ({line})"),
        None => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_quotes_the_line() {
        let text = "*nat\n-A X -j Y\nCOMMIT\n";
        assert_eq!(
            complaint("iptables-restore: line 2 failed\n", text),
            "iptables-restore: line 2 failed (-A X -j Y)"
        );
    }
}
