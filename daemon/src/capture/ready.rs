//! The ready endpoints behind each virtual address, for the kernel to pick from when no proxy is
//! asked: because a service wants it so, or because meshd is gone.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use mesh_ebpf::Straight;

use super::plan::Detour;
use crate::model::{Forward, Place};
use crate::state::{Endpoint, Instance, Service, Snapshot, Split};

/// By virtual address and port.
pub(super) type Leads = BTreeMap<Place, Lead>;

/// Where calls go that no proxy carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lead {
    /// Not only while meshd is gone.
    pub(super) straight: Straight,
    /// Each entry is as likely as any other.
    pub(super) endpoints: Vec<SocketAddr>,
}

/// Computed anew only when something about it changed.
#[derive(Debug, Default)]
pub(super) struct Ready {
    revision: Option<u64>,
    ready: Vec<bool>,
}

impl Ready {
    /// `None`: as it was.
    pub(super) fn leads(&mut self, snapshot: &Snapshot, detour: Detour) -> Option<Leads> {
        let ready: Vec<bool> =
            snapshot.endpoints.iter().map(|endpoint| endpoint.live.is_ready()).collect();
        if self.revision == Some(snapshot.revision) && self.ready == ready {
            return None;
        }
        let sight = Sight { snapshot, ready: &ready, detour };
        let services = snapshot.services.iter().flat_map(|service| sight.of_service(service));
        let instances = snapshot.instances.values().flat_map(|one| sight.of_instance(one));
        let leads = services.chain(instances).collect();
        *self = Self { revision: Some(snapshot.revision), ready };
        Some(leads)
    }
}

/// One look at the endpoints.
#[derive(Clone, Copy)]
struct Sight<'a> {
    snapshot: &'a Snapshot,
    ready: &'a [bool],
    detour: Detour,
}

impl<'a> Sight<'a> {
    fn of_service(self, service: &'a Service) -> impl Iterator<Item = (Place, Lead)> + 'a {
        let straight = self.straight(service);
        service.ports.iter().flat_map(move |port| {
            let all = weighed(self.snapshot, &port.tcp, self.ready);
            let v4: Vec<_> = all.iter().filter(|(address, _)| address.is_ipv4()).copied().collect();
            let transport = port.protocol.transport();
            let place = |ip| Place { transport, address: SocketAddr::new(ip, port.port) };
            // An IPv4 socket cannot reach IPv6; the other way round it can.
            [(place(IpAddr::V4(service.vip4)), v4), (place(IpAddr::V6(service.vip6)), all)]
                .map(|(place, weighed)| (place, Lead { straight, endpoints: expand(&weighed) }))
        })
    }

    /// An endpoint under its own name leads to itself.
    fn of_instance(self, instance: &Instance) -> Vec<(Place, Lead)> {
        let endpoint = self.snapshot.endpoints.get(instance.endpoint);
        let Some(endpoint) = endpoint else { return Vec::new() };
        let Some(service) = self.snapshot.services.get(endpoint.service) else { return Vec::new() };
        let Some(port) = service.ports.get(endpoint.port) else { return Vec::new() };
        let straight = match self.straight(service) {
            Straight::Always => Straight::Always,
            Straight::Never | Straight::AtConnect => Straight::Never,
        };
        let is_ready = self.ready.get(instance.endpoint) == Some(&true);
        let lead = |ip: IpAddr| {
            let reachable = is_ready && (ip.is_ipv6() || endpoint.address.is_ipv4());
            let endpoints = if reachable { vec![endpoint.address] } else { Vec::new() };
            let address = SocketAddr::new(ip, port.port);
            (Place { transport: endpoint.transport, address }, Lead { straight, endpoints })
        };
        vec![lead(instance.vip4.into()), lead(instance.vip6.into())]
    }

    fn straight(self, service: &Service) -> Straight {
        if service.bypassed && self.detour == Detour::Names {
            return Straight::Always;
        }
        match service.forward {
            Forward::Proxy => Straight::Never,
            Forward::Connect => Straight::AtConnect,
        }
    }
}

/// What the split would send to each ready endpoint.
fn weighed(snapshot: &Snapshot, split: &Split, ready: &[bool]) -> Vec<(SocketAddr, f64)> {
    let mut weighed = Vec::new();
    for backend in split.backends.iter().filter(|backend| backend.weight > 0) {
        let subset = snapshot
            .services
            .get(backend.service)
            .and_then(|service| service.subsets.get(backend.subset));
        let members = subset.into_iter().flat_map(|subset| &subset.endpoints);
        let usable = |index: &usize| -> Option<&Endpoint> {
            let endpoint = snapshot.endpoints.get(*index)?;
            let usable = ready.get(*index) == Some(&true) && endpoint.port == backend.port;
            (usable && endpoint.weight > 0).then_some(endpoint)
        };
        let members: Vec<&Endpoint> = members.filter_map(usable).collect();
        let sum: f64 = members.iter().map(|endpoint| f64::from(endpoint.weight)).sum();
        let share = |endpoint: &Endpoint| f64::from(backend.weight * endpoint.weight) / sum;
        weighed.extend(members.iter().map(|endpoint| (endpoint.address, share(endpoint))));
    }
    weighed
}

/// Each address about as often as its weight deserves, at least once, in as many places as the
/// kernel looks at.
fn expand(weighed: &[(SocketAddr, f64)]) -> Vec<SocketAddr> {
    let most = mesh_ebpf::MOST_SHARES;
    let mut heaviest: Vec<_> = weighed.to_vec();
    heaviest.sort_by(|one, other| other.1.total_cmp(&one.1));
    heaviest.truncate(most);
    let (Some((_, first)), Some((_, last))) = (heaviest.first(), heaviest.last()) else {
        return Vec::new();
    };
    if first == last {
        return heaviest.into_iter().map(|(address, _)| address).collect();
    }
    let sum: f64 = heaviest.iter().map(|(_, weight)| weight).sum();
    let free = (most - heaviest.len()) as f64;
    let places = |weight: f64| 1 + (weight / sum * free).round() as usize;
    let all = heaviest.iter().flat_map(|(address, weight)| vec![*address; places(*weight)]);
    all.take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_take_one_place_each() {
        assert_eq!(expand(&[(at(1), 2.5), (at(2), 2.5)]), [at(1), at(2)]);
    }

    #[test]
    fn places_follow_weights_and_nobody_is_left_out() {
        let shares = expand(&[(at(1), 90.0), (at(2), 10.0)]);
        let first = shares.iter().filter(|address| **address == at(1)).count();
        assert_eq!((shares.len(), first), (32, 28));
        let shares = expand(&[(at(1), 1000.0), (at(2), 0.001)]);
        assert!(shares.contains(&at(2)));
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }
}
