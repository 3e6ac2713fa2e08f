//! What is captured, written into the programs' maps.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use mesh_ebpf::{Destination, Excluded, Rule, Straight};
use tracing::debug;

use super::super::plan::{Change, ScopeRule};
use super::super::ready::{Lead, Leads};
use super::super::{cgroup, host};
use super::{Ebpf, interfaces};
use crate::model::{Place, Scope, Transport};

/// Does what can be done; keeps the first of those that could not.
struct Outcome(Result<(), String>);

impl Outcome {
    fn note(&mut self, result: Result<(), impl Display>, what: impl FnOnce() -> String) {
        if let (Ok(()), Err(error)) = (&self.0, result) {
            self.0 = Err(format!("{}: {error}", what()));
        }
    }
}

impl Ebpf {
    /// In force for every call that starts after it returned. The error is the first of those
    /// that could not be done.
    pub(in super::super) fn update(&mut self, change: &Change) -> Result<(), String> {
        let mut outcome = Outcome(Ok(()));
        for place in &change.added {
            let Place { transport, address } = *place;
            let how = Destination { source: source(address), straight: Straight::Never };
            let set = self.rules.set_destination(address, protocol(transport), how);
            outcome.note(set, || format!("{place} is not captured"));
        }
        for place in &change.removed {
            let Place { transport, address } = *place;
            let removed = self.rules.remove_destination(address, protocol(transport));
            outcome.note(removed, || format!("{place} stays captured"));
        }
        for (workload, rule) in &change.entered {
            let set = self.capture(*workload, *rule);
            outcome.note(set, || format!("{:?} is not captured", rule.scope));
        }
        for (_, rule) in &change.left {
            // One with another rule has just been overwritten.
            if !change.entered.iter().any(|(_, entered)| entered.scope == rule.scope) {
                let removed = self.rules.remove_scope(scope(rule.scope, 0));
                outcome.note(removed, || format!("{:?} stays captured", rule.scope));
            }
        }
        for (cookie, sources) in &change.gates_opened {
            let set = self.rules.set_netns(*cookie, *sources);
            outcome.note(set, || "a network namespace is not captured".to_owned());
        }
        for cookie in &change.gates_closed {
            let removed = self.rules.remove_netns(*cookie);
            outcome.note(removed, || "a network namespace stays captured".to_owned());
        }
        for (transport, port) in &change.opened {
            let opened = self.inbound.open(protocol(*transport), *port);
            outcome.note(opened, || format!("{transport}:{port} is not taken"));
        }
        for (transport, port) in &change.closed {
            let closed = self.inbound.close(protocol(*transport), *port);
            outcome.note(closed, || format!("{transport}:{port} stays taken"));
        }
        outcome.0
    }

    fn capture(&mut self, workload: u64, rule: ScopeRule) -> Result<(), String> {
        let level = match rule.scope {
            Scope::Cgroup(id) => match self.level(id) {
                Ok(level) => level,
                Err(why) => {
                    debug!(why, cgroup = id, "the cgroup of a workload is gone");
                    return Ok(());
                }
            },
            Scope::Netns(_) | Scope::Uid(_) | Scope::Host => 0,
        };
        let captured = Rule::Capture { workload, everything: rule.everything };
        let set = self.rules.set_scope(scope(rule.scope, level), captured);
        set.map_err(|error| error.to_string())
    }

    /// How deep the cgroup lies: the programs ask for the caller's ancestor there.
    fn level(&self, id: u64) -> Result<u8, String> {
        let path = self.mount.by_id(id).map_err(|error| error.to_string())?;
        let below = path.strip_prefix(self.mount.root()).map_err(|error| error.to_string())?;
        u8::try_from(below.components().count()).map_err(|error| error.to_string())
    }

    /// The endpoints behind each virtual address, for when no proxy is asked.
    pub(in super::super) fn lead(&mut self, leads: Leads) -> Result<(), String> {
        let mut outcome = Outcome(Ok(()));
        let none = Lead::default();
        for (place, lead) in &leads {
            let Place { transport, address } = *place;
            let known = self.leads.get(place).unwrap_or(&none);
            if known.endpoints != lead.endpoints {
                let set = self.rules.set_endpoints(address, protocol(transport), &lead.endpoints);
                outcome.note(set, || format!("the endpoints of {place}"));
            }
            if known.straight != lead.straight {
                let how = Destination { source: source(address), straight: lead.straight };
                let set = self.rules.set_destination(address, protocol(transport), how);
                outcome.note(set, || format!("the way to {place}"));
            }
        }
        for place in self.leads.keys().filter(|place| !leads.contains_key(place)) {
            let removed = self.rules.set_endpoints(place.address, protocol(place.transport), &[]);
            outcome.note(removed, || format!("the endpoints of {place}"));
        }
        self.leads = leads;
        outcome.0
    }

    /// What the settings leave alone.
    pub(super) fn exclude(&mut self, own: &[IpAddr]) -> Result<(), String> {
        let exclude = self.config.exclude.clone();
        let ports = exclude.ports.iter();
        let covered = |net| exclude.cidrs.iter().any(|outer| interfaces::contains(*outer, net));
        let routed = interfaces::nets(&exclude.interfaces, own).into_iter();
        let mut nets: Vec<_> =
            routed.map(|(net, over)| (net.0, net.1, over || covered(net))).collect();
        nets.extend(exclude.cidrs.iter().map(|(base, prefix)| (*base, *prefix, true)));
        let excluded = Excluded {
            ports: ports
                .map(|range| (protocol(range.transport), range.first..=range.last))
                .collect(),
            nets,
            uids: exclude.uids,
        };
        self.rules.exclude(excluded).map_err(|error| format!("exclusions: {error}"))?;
        self.leave_out()
    }

    /// Follows what [`Self::is_outdated`] found.
    pub(in super::super) fn catch_up(&mut self) -> Result<(), String> {
        self.follow_pacing()?;
        self.leave_out()
    }

    pub(super) fn follow_pacing(&mut self) -> Result<(), String> {
        let set = self.rules.set_paced(host::paces_connections());
        set.map_err(|error| format!("congestion control: {error}"))
    }

    /// A cgroup that was made anew has another id.
    fn leave_out(&mut self) -> Result<(), String> {
        let now = self.excluded_cgroups();
        for gone in &self.left_out - &now {
            // It held nobody any more, or is to be captured again.
            self.rules.remove_scope(scope(Scope::Cgroup(gone), 0)).ok();
        }
        for id in &now {
            let left = scope(Scope::Cgroup(*id), self.level(*id)?);
            let set = self.rules.set_scope(left, Rule::Leave);
            set.map_err(|error| format!("exclusion of a cgroup: {error}"))?;
        }
        self.left_out = now;
        Ok(())
    }

    /// The cgroups to leave out have come or gone since, or connections begin differently.
    pub(in super::super) fn is_outdated(&self) -> bool {
        self.excluded_cgroups() != self.left_out
            || host::paces_connections() != self.rules.is_paced()
    }

    fn excluded_cgroups(&self) -> BTreeSet<u64> {
        let paths = self.config.exclude.cgroups.iter().map(|path| self.mount.path(path));
        paths.filter_map(|path| cgroup::id(&path).ok()).collect()
    }
}

fn scope(scope: Scope, level: u8) -> mesh_ebpf::Scope {
    match scope {
        Scope::Cgroup(id) => mesh_ebpf::Scope::Cgroup { id, level },
        Scope::Netns(cookie) => mesh_ebpf::Scope::Netns(cookie),
        Scope::Uid(uid) => mesh_ebpf::Scope::Uid(uid),
        Scope::Host => mesh_ebpf::Scope::Host,
    }
}

fn protocol(transport: Transport) -> mesh_ebpf::Transport {
    match transport {
        Transport::Tcp => mesh_ebpf::Transport::Tcp,
        Transport::Udp => mesh_ebpf::Transport::Udp,
    }
}

/// What a direct connection would show as its source; loopback needs no help.
fn source(address: SocketAddr) -> Option<IpAddr> {
    host::source_to(address.ip()).filter(|source| !source.is_loopback())
}
