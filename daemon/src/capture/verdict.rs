//! What happens to a process's traffic and which rule says so: the order every backend keeps,
//! for people who ask.

use std::io;
use std::net::IpAddr;

use super::Detour;
use super::cgroup::{self, Mount};
use super::{netns, process, runs};
use crate::config::{self, BackendChoice};
use crate::model::{Place, Scope, Transport, Workload, contains};
use crate::state::{Destination, Snapshot, Target};

/// Where the traffic goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Directly, as if there were no mesh.
    Passes,
    ToProxy,
    /// To an endpoint that the kernel picks.
    ToEndpoint,
    ToDns,
    Refused,
}

impl Fate {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::ToProxy => "proxy",
            Self::ToEndpoint => "endpoint",
            Self::ToDns => "dns",
            Self::Refused => "refused",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) fate: Fate,
    /// Stable name of the rule that decided, "exclude/port".
    pub(crate) rule: &'static str,
    /// The same for a person.
    pub(crate) reason: String,
    /// What the process is captured as.
    pub(crate) workload: Option<String>,
}

/// What of a process decides.
#[derive(Clone, Debug, Default)]
struct Caller {
    is_meshd: bool,
    /// Ids of its cgroups, its own first.
    cgroups: Vec<u64>,
    /// Path of its own.
    cgroup: String,
    uid: u32,
    /// Cookie of its network namespace where that is not meshd's.
    foreign: Option<u64>,
}

/// What would become of traffic of process `pid` to `place`, now.
///
/// # Errors
/// The process is gone, or may not be looked at.
pub(super) fn of(
    settings: (&config::Capture, Detour),
    snapshot: &Snapshot,
    pid: u32,
    place: Place,
) -> io::Result<Verdict> {
    Ok(decide(settings, snapshot, &caller(pid)?, place))
}

fn caller(pid: u32) -> io::Result<Caller> {
    let mount = Mount::find()?;
    let cgroup = cgroup::of_process(pid)?;
    let own = mount.path(&cgroup);
    let above = own.ancestors().take_while(|path| path.starts_with(mount.root()));
    let cgroups = above.filter_map(|path| cgroup::id(path).ok()).collect();
    let path = netns::path_of_process(pid);
    let foreign = if netns::Netns::inode_of(&path)? == netns::Netns::own_inode()? {
        None
    } else {
        Some(netns::Netns::open(&path)?.cookie)
    };
    let uid = process::effective_uid(pid).ok_or(io::ErrorKind::NotFound)?;
    Ok(Caller { is_meshd: pid == std::process::id(), cgroups, cgroup, uid, foreign })
}

fn decide(
    (config, detour): (&config::Capture, Detour),
    snapshot: &Snapshot,
    caller: &Caller,
    to: Place,
) -> Verdict {
    let workload = workload(snapshot, caller);
    let verdict = |fate, rule, reason: String| Verdict {
        fate,
        rule,
        reason,
        workload: workload.map(|workload| workload.run.clone()),
    };
    if caller.is_meshd {
        return verdict(Fate::Passes, "own", "meshd's own traffic is never captured".to_owned());
    }
    let excluded = |path: &String| runs::is_within(&caller.cgroup, path);
    if let Some(path) = config.exclude.cgroups.iter().find(|path| excluded(path)) {
        return verdict(Fate::Passes, "exclude/cgroup", format!("cgroup {path} is excluded"));
    }
    let Some(captured) = workload else {
        let reason = "the process is in no workload: not started by run, attached or in scope";
        return verdict(Fate::Passes, "scope", reason.to_owned());
    };
    // Runs without root bring their namespaces, which no gate of ours is in.
    let brought = config.backend == BackendChoice::Netns;
    if caller.foreign.is_some_and(|cookie| !brought && !snapshot.gates.contains_key(&cookie)) {
        let reason = "meshd does not capture in the network namespace of the process";
        return verdict(Fate::Passes, "namespace", reason.to_owned());
    }
    let bypassed = bypassed(config, detour, snapshot, to);
    let (fate, rule, reason) =
        bypassed.unwrap_or_else(|| of_captured(config, snapshot, (captured, caller), to));
    verdict(fate, rule, reason)
}

/// The deepest cgroup wins, then the network namespace, the user, the host.
fn workload<'a>(snapshot: &'a Snapshot, caller: &Caller) -> Option<&'a Workload> {
    let by_cgroup = caller.cgroups.iter().find_map(|id| snapshot.workloads.get(id));
    let by_scope = |scope: Scope| {
        let mut all = snapshot.workloads.values();
        all.find(move |workload| workload.scope == scope)
    };
    let found = match caller.foreign {
        Some(cookie) => by_cgroup.or_else(|| by_scope(Scope::Netns(cookie))),
        None => {
            by_cgroup.or_else(|| by_scope(Scope::Uid(caller.uid))).or_else(|| by_scope(Scope::Host))
        }
    };
    found.map(AsRef::as_ref)
}

type Decision = (Fate, &'static str, String);

/// What a bypass decides of a captured process's traffic, before anything else could.
fn bypassed(
    config: &config::Capture,
    detour: Detour,
    snapshot: &Snapshot,
    to: Place,
) -> Option<Decision> {
    let destination = snapshot.destinations.get(&to);
    let service = destination.and_then(|found| snapshot.services.get(found.service));
    let is_virtual = config.is_virtual(to.address.ip().to_canonical());
    let is_bypassed = service.is_some_and(|service| service.bypassed);
    let (fate, reason) = match detour {
        Detour::Names if is_virtual && is_bypassed => {
            (Fate::ToEndpoint, "goes to a ready endpoint, chosen by the kernel")
        }
        Detour::Addresses if is_virtual && snapshot.bypassed => {
            (Fate::Refused, "only meshd leads to an endpoint here: refused at once")
        }
        // Questions for names still lead somewhere.
        Detour::Names if to.address.port() == 53 => return None,
        Detour::Names | Detour::Addresses if is_virtual => return None,
        Detour::Names | Detour::Addresses if snapshot.bypassed => {
            (Fate::Passes, "everything goes direct")
        }
        Detour::Names | Detour::Addresses if is_bypassed => {
            (Fate::Passes, "its service goes direct")
        }
        Detour::Closed | Detour::Names | Detour::Addresses => return None,
    };
    Some((fate, "bypass", reason.to_owned()))
}

fn of_captured(
    config: &config::Capture,
    snapshot: &Snapshot,
    (workload, caller): (&Workload, &Caller),
    to: Place,
) -> Decision {
    // The loopback of another namespace is its own: nobody there is an endpoint of ours.
    let known = caller.foreign.is_none() || !to.address.ip().to_canonical().is_loopback();
    let destination = snapshot.destinations.get(&to).filter(|_| known);
    let is_virtual = config.is_virtual(to.address.ip().to_canonical());
    if is_virtual && let Some(destination) = destination {
        return (Fate::ToProxy, "service", name(snapshot, destination));
    }
    if to.address.port() == 53 && (config.dns || is_virtual) {
        return (Fate::ToDns, "dns", "questions of captured processes go to meshd".to_owned());
    }
    if is_virtual {
        let reason = "a virtual address without this port: refused at once".to_owned();
        return (Fate::Refused, "virtual", reason);
    }
    let restricted = workload.egress.is_restricted();
    if destination.is_none() && !restricted {
        let reason = "no part of the mesh, and the egress policy is any".to_owned();
        return (Fate::Passes, "egress/any", reason);
    }
    if let Some((rule, reason)) = exclusion(config, caller.uid, to) {
        return (Fate::Passes, rule, reason);
    }
    if let Some(destination) = destination {
        return (Fate::ToProxy, "endpoint", name(snapshot, destination));
    }
    if stays_close(to.address.ip()) {
        let reason = "loopback, link-local, multicast and broadcast are never captured".to_owned();
        return (Fate::Passes, "builtin", reason);
    }
    let reason = "the egress policy is a list: meshd carries or refuses it by name".to_owned();
    (Fate::ToProxy, "egress/list", reason)
}

fn exclusion(config: &config::Capture, uid: u32, to: Place) -> Option<(&'static str, String)> {
    let (exclude, port) = (&config.exclude, to.address.port());
    if port == 22 && to.transport == Transport::Tcp {
        return Some(("exclude/ssh", "port 22 is never captured".to_owned()));
    }
    let in_range = |range: &&config::PortRange| {
        range.transport == to.transport && (range.first..=range.last).contains(&port)
    };
    if exclude.ports.iter().find(in_range).is_some() {
        return Some(("exclude/port", format!("port {}:{port} is excluded", to.transport)));
    }
    let ip = to.address.ip().to_canonical();
    if let Some((base, prefix)) = exclude.cidrs.iter().find(|(base, n)| contains(*base, *n, ip)) {
        return Some(("exclude/cidr", format!("{base}/{prefix} is excluded")));
    }
    exclude.uids.contains(&uid).then(|| ("exclude/uid", format!("uid {uid} is excluded")))
}

fn stays_close(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.octets().first() == Some(&0)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_multicast(),
    }
}

fn name(snapshot: &Snapshot, destination: &Destination) -> String {
    let service = snapshot.services.get(destination.service);
    let service = service.map_or_else(String::new, |service| service.name.to_string());
    match destination.target {
        Target::Vip => format!("service/{service}, routed and balanced"),
        Target::Endpoint(_) => format!("an endpoint of service/{service}: keeps that endpoint"),
    }
}
