//! What is captured, of whom: pure, so that a test can say it in a line.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config;
use crate::model::{Place, Scope, Transport};
use crate::state::{Destination, Snapshot};

/// Everything a backend has to know of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Targets {
    pub(super) destinations: BTreeSet<Place>,
    /// By workload key, which is [`Scope::key`] of its rule's.
    pub(super) scopes: BTreeMap<u64, ScopeRule>,
    /// Ports of this node whose incoming traffic is taken.
    pub(super) inbound: BTreeSet<(Transport, u16)>,
    /// Other network namespaces in which meshd listens, by cookie, and the sources there.
    pub(super) gates: BTreeMap<u64, (Ipv4Addr, Ipv6Addr)>,
}

impl Targets {
    /// What of it is meant in other network namespaces: the addresses of their loopback are their
    /// own, and so are their users and ports.
    pub(super) fn elsewhere(&self) -> Self {
        let reachable = |place: &&Place| !place.address.ip().to_canonical().is_loopback();
        let entered = |(_, rule): &(&u64, &ScopeRule)| {
            matches!(rule.scope, Scope::Cgroup(_) | Scope::Netns(_))
        };
        Self {
            destinations: self.destinations.iter().filter(reachable).copied().collect(),
            scopes: self.scopes.iter().filter(entered).map(|(key, rule)| (*key, *rule)).collect(),
            ..Self::default()
        }
    }
}

/// One workload's processes, and how much of their traffic is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScopeRule {
    pub(super) scope: Scope,
    /// Also what leads to no destination of the mesh.
    pub(super) everything: bool,
}

/// From one [`Targets`] to the next. A scope whose rule changed is in both lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) added: Vec<Place>,
    pub(super) removed: Vec<Place>,
    pub(super) entered: Vec<(u64, ScopeRule)>,
    pub(super) left: Vec<(u64, ScopeRule)>,
    pub(super) opened: Vec<(Transport, u16)>,
    pub(super) closed: Vec<(Transport, u16)>,
    pub(super) gates_opened: Vec<(u64, (Ipv4Addr, Ipv6Addr))>,
    pub(super) gates_closed: Vec<u64>,
}

/// What is possible for traffic that is to go direct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detour {
    /// Nothing: it would be plain text where the settings forbid that.
    Closed,
    /// Real addresses lead there by themselves, virtual ones nowhere.
    Addresses,
    /// The backend leads virtual addresses to an endpoint, too.
    Names,
}

impl Detour {
    /// `leads`: the backend knows the endpoints behind virtual addresses.
    pub(super) fn of(snapshot: &Snapshot, leads: bool) -> Self {
        match (snapshot.strict, leads) {
            (true, _) => Self::Closed,
            (false, true) => Self::Names,
            (false, false) => Self::Addresses,
        }
    }
}

/// A bypassed service keeps its virtual addresses: without the proxy they are led to an endpoint
/// ([`super::ready`]) or, where nothing could lead them, still taken to it. When everything is
/// bypassed they are refused there: nobody is captured.
pub(super) fn targets(snapshot: &Snapshot, config: &config::Capture, detour: Detour) -> Targets {
    let all = snapshot.bypassed && detour != Detour::Closed;
    let rule = |workload: &crate::model::Workload| ScopeRule {
        scope: workload.scope,
        everything: workload.egress.is_restricted() && !all,
    };
    let is_direct = |service: usize| {
        let service = snapshot.services.get(service);
        detour != Detour::Closed && service.is_some_and(|service| service.bypassed)
    };
    let is_taken = |(place, to): &(&Place, &Destination)| {
        !is_direct(to.service) || config.is_virtual(place.address.ip())
    };
    let nobody = all && detour == Detour::Addresses;
    let workloads = snapshot.workloads.iter().filter(|_| !nobody);
    let inbound = snapshot.inbound.iter().filter(|(_, inbound)| {
        let serves = snapshot.endpoints.get(inbound.endpoint);
        !serves.is_some_and(|endpoint| is_direct(endpoint.service))
    });
    Targets {
        destinations: snapshot.destinations.iter().filter(is_taken).map(|(at, _)| *at).collect(),
        scopes: workloads.map(|(key, workload)| (*key, rule(workload))).collect(),
        inbound: inbound.map(|(at, _)| *at).collect(),
        gates: snapshot.gates.clone(),
    }
}

pub(super) fn difference(old: &Targets, new: &Targets) -> Change {
    Change {
        added: new.destinations.difference(&old.destinations).copied().collect(),
        removed: old.destinations.difference(&new.destinations).copied().collect(),
        entered: beyond(&new.scopes, &old.scopes),
        left: beyond(&old.scopes, &new.scopes),
        opened: new.inbound.difference(&old.inbound).copied().collect(),
        closed: old.inbound.difference(&new.inbound).copied().collect(),
        gates_opened: beyond(&new.gates, &old.gates),
        gates_closed: old
            .gates
            .keys()
            .filter(|cookie| !new.gates.contains_key(cookie))
            .copied()
            .collect(),
    }
}

/// Entries of `of` that `than` has not, or with another value. Goes through both once: they are
/// many, and looking each up would take several times as long.
fn beyond<V: Copy + PartialEq>(of: &BTreeMap<u64, V>, than: &BTreeMap<u64, V>) -> Vec<(u64, V)> {
    let mut others = than.iter().peekable();
    let is_beyond = |(key, value): &(&u64, &V)| {
        while others.next_if(|(other, _)| other < key).is_some() {}
        others.peek() != Some(&(*key, *value))
    };
    of.iter().filter(is_beyond).map(|(key, value)| (*key, *value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_change() {
        let (old, new) = (at("10.9.9.8:80 10.9.9.9:80"), at("10.9.9.7:80 10.9.9.9:80"));
        let change = difference(&old, &new);
        let places = |text| at(text).destinations.into_iter().collect::<Vec<_>>();
        let (added, removed) = (places("10.9.9.7:80"), places("10.9.9.8:80"));
        assert_eq!(change, Change { added, removed, ..Change::default() });
    }

    #[test]
    fn a_scope_with_another_rule_leaves_and_enters() {
        let rule = |everything| ScopeRule { scope: Scope::Uid(7), everything };
        let of = |rule| Targets { scopes: BTreeMap::from([(1, rule)]), ..Targets::default() };
        let change = difference(&of(rule(false)), &of(rule(true)));
        assert_eq!(change.left, [(1, rule(false))]);
        assert_eq!(change.entered, [(1, rule(true))]);
    }

    #[test]
    fn whoever_comes_and_goes_among_many_is_all_that_changes() {
        let rule = |uid| ScopeRule { scope: Scope::Uid(uid), everything: false };
        let of = |uids: &[u32]| {
            let scopes = uids.iter().map(|uid| (u64::from(*uid), rule(*uid))).collect();
            Targets { scopes, ..Targets::default() }
        };
        let change = difference(&of(&[1, 2, 4, 6, 8]), &of(&[2, 3, 4, 8, 9]));
        assert_eq!(change.left, [(1, rule(1)), (6, rule(6))]);
        assert_eq!(change.entered, [(3, rule(3)), (9, rule(9))]);
    }

    #[test]
    fn other_namespaces_have_a_loopback_users_and_ports_of_their_own() {
        let mut targets = at("127.0.0.1:80 10.9.9.9:80 [::1]:80");
        let rule = |scope| ScopeRule { scope, everything: false };
        targets.scopes.extend([(1, rule(Scope::Uid(7))), (2, rule(Scope::Host))]);
        targets.scopes.extend([(3, rule(Scope::Cgroup(9))), (4, rule(Scope::Netns(5)))]);
        targets.inbound.insert((Transport::Tcp, 80));
        let elsewhere = targets.elsewhere();
        assert_eq!(elsewhere.destinations, at("10.9.9.9:80").destinations);
        assert_eq!(elsewhere.scopes.keys().copied().collect::<Vec<_>>(), [3, 4]);
        assert!(elsewhere.inbound.is_empty());
    }

    fn at(text: &str) -> Targets {
        let places = text.split(' ').map(|address| Place::tcp(address.parse().unwrap()));
        Targets { destinations: places.collect(), ..Targets::default() }
    }
}
