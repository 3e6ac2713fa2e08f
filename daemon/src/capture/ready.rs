//! The ready endpoints behind each virtual address, for the kernel to pick from when no proxy is
//! asked: because a service wants it so, or because meshd is gone.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::model::{Forward, Place};
use crate::state::{Endpoint, Service, Snapshot, Split};

/// By virtual address and port.
pub(super) type Leads = BTreeMap<Place, Lead>;

/// Where calls go that no proxy carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lead {
    /// Always, not only while meshd is gone.
    pub(super) straight: bool,
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
    pub(super) fn leads(&mut self, snapshot: &Snapshot) -> Option<Leads> {
        let ready: Vec<bool> =
            snapshot.endpoints.iter().map(|endpoint| endpoint.live.is_ready()).collect();
        if self.revision == Some(snapshot.revision) && self.ready == ready {
            return None;
        }
        let all =
            snapshot.services.iter().flat_map(|service| of_service(snapshot, service, &ready));
        let leads = all.collect();
        *self = Self { revision: Some(snapshot.revision), ready };
        Some(leads)
    }
}

fn of_service<'a>(
    snapshot: &'a Snapshot,
    service: &'a Service,
    ready: &'a [bool],
) -> impl Iterator<Item = (Place, Lead)> + 'a {
    let straight = service.forward == Forward::Connect;
    service.ports.iter().flat_map(move |port| {
        let all = weighed(snapshot, &port.tcp, ready);
        // An IPv4 socket cannot reach IPv6; the other way round it can.
        let v4: Vec<_> = all.iter().filter(|(address, _)| address.is_ipv4()).copied().collect();
        let transport = port.protocol.transport();
        let place = |ip| Place { transport, address: SocketAddr::new(ip, port.port) };
        [(place(IpAddr::V4(service.vip4)), v4), (place(IpAddr::V6(service.vip6)), all)]
            .map(|(place, weighed)| (place, Lead { straight, endpoints: expand(&weighed) }))
    })
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
