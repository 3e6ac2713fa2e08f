//! Hears of changes to rules and routes of this network namespace, and who made them.
//!
//! The kernel names the process behind a change to nf_tables, which includes `iptables` of the
//! nft variant. It says nothing about the legacy one: a look at its tables' sizes every second
//! has to do.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{SockProtocol, setsockopt};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tracing::warn;

use super::cgroup::{self, Mount};
use super::folders::Folders;
use super::netlink::{self, HEADER, Heard, NFTABLES, attributes, messages, u16_at, u32_at};

/// `RTMGRP_*` of routes and rules: IPv4 routes and rules, IPv6 routes and rules.
const ROUTES: u32 = (1 << 6) | (1 << 7) | (1 << 10) | (1 << 18);
/// A firewall changes one table after the other, and what comes back meanwhile makes it fail: it
/// cannot delete a chain that is used again. So nothing is done before it was quiet for so long.
const QUIET: Duration = Duration::from_millis(150);
/// Nor is capture given up for longer than this.
const LATEST: Duration = Duration::from_secs(1);
const ROOM: usize = 8 << 20;
const GLANCE: Duration = Duration::from_millis(500);

/// What may have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Time to look at what nobody announces.
    Glance,
    /// These changed rules, one after the other.
    Rules(Vec<Culprit>),
    /// These removed routes or routing rules.
    Routes(Vec<Culprit>),
}

/// Who changed something, as far as the kernel says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Culprit {
    /// 0 = not known.
    pub(super) pid: u32,
    name: String,
    /// What started it: an `iptables` says less than the `dockerd` behind it.
    parent: String,
}

/// Asked again after a cancelled question, it has lost nothing.
#[derive(Debug)]
pub(super) struct Watchdog {
    rules: Option<AsyncFd<OwnedFd>>,
    routes: Option<AsyncFd<OwnedFd>>,
    excluded: Option<Excluded>,
    glance: Interval,
    settling: Option<Settling>,
}

/// News to be told when it is quiet.
#[derive(Debug)]
struct Settling {
    news: News,
    quiet: Instant,
    latest: Instant,
}

impl Settling {
    fn of(news: News) -> Self {
        let now = Instant::now();
        Self { news, quiet: now + QUIET, latest: now + LATEST }
    }

    fn add(&mut self, more: Vec<Culprit>) {
        self.quiet = Instant::now() + QUIET;
        match &mut self.news {
            News::Rules(culprits) | News::Routes(culprits) => culprits.extend(more),
            News::Glance => {}
        }
    }
}

impl Watchdog {
    /// Where nothing of the host is to be watched.
    pub(super) fn idle() -> Self {
        Self { rules: None, routes: None, excluded: None, glance: glances(), settling: None }
    }

    /// Where the kernel refuses a socket, its news are missed and the rest works.
    pub(super) fn open(excluded: &[String]) -> Self {
        let glance = glances();
        let rules = listen(SockProtocol::NetlinkNetFilter, NFTABLES);
        let routes = listen(SockProtocol::NetlinkRoute, ROUTES);
        for (what, error) in [("rules", rules.as_ref().err()), ("routes", routes.as_ref().err())] {
            if let Some(error) = error {
                warn!(%error, "changes of {what} by others are noticed late");
            }
        }
        let excluded = Excluded::open(excluded);
        Self { rules: rules.ok(), routes: routes.ok(), excluded, glance, settling: None }
    }

    /// Tells `news` once more, a moment later: nothing could be done about them yet.
    pub(super) fn again(&mut self, news: News) {
        self.settling = Some(Settling::of(news));
    }

    /// `is_own` tells changes that were made here, which are no news.
    pub(super) async fn news(&mut self, is_own: impl Fn(u32) -> bool) -> News {
        let rules_changed = |message: &[u8]| rules_changed(message, &is_own);
        let routes_removed = |message: &[u8]| routes_removed(message, &is_own);
        let (rules, routes) = (self.rules.as_ref(), self.routes.as_ref());
        loop {
            let Some(settling) = &mut self.settling else {
                let news = tokio::select! {
                    culprits = hear(rules, rules_changed) => News::Rules(culprits),
                    culprits = hear(routes, routes_removed) => News::Routes(culprits),
                    () = stirred(self.excluded.as_ref()) => return News::Glance,
                    _tick = self.glance.tick() => return News::Glance,
                };
                self.settling = Some(Settling::of(news));
                continue;
            };
            let (of_rules, of_routes) = match settling.news {
                News::Rules(_) => (rules, None),
                News::Routes(_) => (None, routes),
                News::Glance => (None, None),
            };
            tokio::select! {
                () = sleep_until(settling.quiet.min(settling.latest)) => break,
                more = hear(of_rules, rules_changed) => settling.add(more),
                more = hear(of_routes, routes_removed) => settling.add(more),
            }
        }
        self.settling.take().map_or(News::Glance, |settling| settling.news)
    }
}

/// The places of cgroups that are left out.
#[derive(Debug)]
struct Excluded {
    folders: Folders,
    mount: Mount,
    paths: Vec<PathBuf>,
}

impl Excluded {
    fn open(excluded: &[String]) -> Option<Self> {
        let mount = Mount::find().ok().filter(|_mount| !excluded.is_empty())?;
        let paths = excluded.iter().map(|path| mount.path(path)).collect();
        let folders = Folders::new();
        let late = |error: &io::Error| warn!(%error, "excluded cgroups are noticed late");
        let excluded = Self { folders: folders.inspect_err(late).ok()?, mount, paths };
        excluded.watch();
        Some(excluded)
    }

    /// The folders they would appear in, or those above that are there.
    fn watch(&self) {
        let above = self.paths.iter().filter_map(|path| path.parent());
        let above = above.map(|folder| cgroup::living_ancestor(&self.mount, folder));
        if let Err(error) = self.folders.set(above.collect()) {
            warn!(%error, "excluded cgroups are noticed late");
        }
    }
}

/// Waits until an excluded cgroup may have come or gone.
async fn stirred(excluded: Option<&Excluded>) {
    let Some(excluded) = excluded else { return std::future::pending().await };
    excluded.folders.stirred().await;
    excluded.watch();
}

fn glances() -> Interval {
    let mut glance = interval_at(Instant::now() + GLANCE, GLANCE);
    glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
    glance
}

fn listen(protocol: SockProtocol, groups: u32) -> io::Result<AsyncFd<OwnedFd>> {
    let socket = netlink::listen(protocol, groups)?;
    // Without room for all of a firewall's rules, who loaded them is not heard.
    setsockopt(&socket, RcvBufForce, &ROOM).ok();
    super::host::watched(socket)
}

/// Waits for messages of which `means` makes something.
async fn hear(
    socket: Option<&AsyncFd<OwnedFd>>,
    means: impl Fn(&[u8]) -> Option<Culprit>,
) -> Vec<Culprit> {
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        let Ok(mut guard) = socket.readable().await else { return std::future::pending().await };
        let mut room = vec![0; netlink::LONGEST];
        let mut found = Vec::new();
        loop {
            match netlink::receive(socket.get_ref(), &mut room) {
                Heard::Datagram(bytes) => found.extend(messages(bytes).filter_map(&means)),
                Heard::Lost => found.push(Culprit::default()),
                Heard::Nothing => break,
            }
        }
        guard.clear_ready();
        found.dedup();
        if !found.is_empty() {
            return found;
        }
    }
}

/// `NFT_MSG_NEWGEN` ends each transaction and names its process.
fn rules_changed(message: &[u8], is_own: impl Fn(u32) -> bool) -> Option<Culprit> {
    const NEWGEN: u16 = netlink::NF_TABLES | 15;
    const PROCESS_ID: u16 = 2;
    const PROCESS_NAME: u16 = 3;
    let mut culprit = Culprit::default();
    for (kind, value) in attributes(netlink::of_netfilter(message, NEWGEN)?) {
        match kind {
            PROCESS_ID => culprit.pid = u32::from_be_bytes(value.try_into().ok()?),
            PROCESS_NAME => {
                let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
                culprit.name = String::from_utf8_lossy(name).into_owned();
            }
            _ => {}
        }
    }
    if is_own(culprit.pid) {
        return None;
    }
    culprit.parent = parent(culprit.pid).unwrap_or_default();
    Some(culprit)
}

/// Routes of ours have protocol 77; a routing rule does not say in its header.
fn routes_removed(message: &[u8], is_own: impl Fn(u32) -> bool) -> Option<Culprit> {
    const REMOVED_ROUTE: u16 = 25;
    const REMOVED_RULE: u16 = 33;
    const OURS: u8 = 77;
    match u16_at(message, 4)? {
        REMOVED_ROUTE if *message.get(HEADER + 5)? == OURS => {}
        REMOVED_RULE => {}
        _ => return None,
    }
    // The address of the socket that asked: a process' first has its pid.
    let pid = Some(u32_at(message, 12)?).filter(|pid| !is_own(*pid))?;
    let name = comm(pid).unwrap_or_default();
    Some(Culprit { pid, name, parent: parent(pid).unwrap_or_default() })
}

impl Culprit {
    /// Who it may have been, from the programs that manage rules and run now.
    pub(super) fn suspected() -> Self {
        const MANAGERS: [&str; 7] =
            ["firewalld", "dockerd", "fail2ban-server", "kube-proxy", "ufw", "iptables", "nft"];
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let mut named = pids.filter_map(|pid| Some((pid, comm(pid)?)));
        let found = named.find(|(_, name)| MANAGERS.contains(&name.as_str()));
        found.map_or_else(Self::default, |(pid, name)| Self {
            pid,
            name: format!("maybe {name}"),
            parent: String::new(),
        })
    }
}

impl std::fmt::Display for Culprit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.pid, self.name.as_str()) {
            (0, "") => f.write_str("by a process the kernel does not name"),
            (pid, "") => write!(f, "by pid {pid}"),
            (pid, name) => write!(f, "by {name} (pid {pid})"),
        }?;
        if self.parent.is_empty() { Ok(()) } else { write!(f, ", started by {}", self.parent) }
    }
}

fn comm(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

fn parent(pid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
    Some(format!("{} (pid {parent})", comm(parent)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::netlink::encoded;

    #[test]
    fn a_transaction_names_its_process() {
        let body = [
            vec![0, 0, 0, 0],
            encoded(1, &7_u32.to_be_bytes()),
            encoded(2, &4_000_000_u32.to_be_bytes()),
            encoded(3, b"nft\0"),
        ]
        .concat();
        let message = netlink::request(netlink::NF_TABLES | 15, &body);
        let twice = [message.clone(), message].concat();
        let of_others = |message: &[u8]| rules_changed(message, |_pid| false);
        let found: Vec<_> = messages(&twice).filter_map(of_others).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].to_string(), "by nft (pid 4000000)");
        let is_own = |pid| pid == 4_000_000;
        assert_eq!(messages(&twice).find_map(|message| rules_changed(message, is_own)), None);
    }
}
