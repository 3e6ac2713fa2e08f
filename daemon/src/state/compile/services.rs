//! One service of the snapshot: its ports, subsets and endpoints, with the numbers it had.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use mesh_proto::manifest::SubsetSelector;

use super::gather::{self, Gathered, Offer};
use super::{Inputs, Slots};
use crate::model::{Health, Place, Transport};
use crate::state::{Endpoint, EndpointLive, HttpRoute, Interner, Port, Service, Split, Subset};

/// Builds one service.
pub(super) struct Builder<'a> {
    inputs: &'a Inputs<'a>,
    gathered: &'a Gathered<'a>,
    /// Its index in the new snapshot.
    index: usize,
    previous: Option<&'a Service>,
    /// What the previous snapshot had of it, sorted by node, address and transport.
    known: &'a [Endpoint],
    display: String,
}

impl<'a> Builder<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>, gathered: &'a Gathered<'a>, index: usize) -> Self {
        let snapshot = inputs.previous;
        let old = snapshot.services.binary_search_by(|old| old.name.cmp(&gathered.name)).ok();
        // Endpoints lie in the order of their services.
        let known = old.and_then(|old| {
            let from = snapshot.endpoints.partition_point(|endpoint| endpoint.service < old);
            let to = snapshot.endpoints.partition_point(|endpoint| endpoint.service <= old);
            snapshot.endpoints.get(from..to)
        });
        Self {
            inputs,
            gathered,
            index,
            previous: old.and_then(|old| snapshot.services.get(old)),
            known: known.unwrap_or_default(),
            display: gathered.name.to_string(),
        }
    }

    /// Adds its endpoints to `endpoints`. Its ports have no routes yet.
    pub(super) fn build(
        &self,
        (vip4, vip6): (Ipv4Addr, Ipv6Addr),
        endpoints: &mut Vec<Endpoint>,
        slots: &mut Slots,
    ) -> Service {
        let mut subsets = self.subsets(slots);
        let by_name: HashMap<&str, usize> =
            self.gathered.subsets.iter().zip(1..).map(|(name, at)| (*name, at)).collect();
        for offer in &self.gathered.endpoints {
            let member_of = memberships(offer, self.gathered.selectors, &by_name);
            if self.is_reachable(offer) {
                for subset in std::iter::once(&0).chain(&member_of) {
                    if let Some(subset) = subsets.get_mut(*subset) {
                        subset.endpoints.push(endpoints.len());
                    }
                }
            }
            let subset = member_of.first().copied().unwrap_or_default();
            endpoints.push(self.endpoint(offer, subset));
        }
        Service {
            id: self.inputs.names.id(&self.display),
            name: self.gathered.name.clone(),
            vip4,
            vip6,
            compat: self.gathered.compat,
            forward: self.gathered.forward,
            inbound: self.gathered.inbound,
            bypassed: self.inputs.bypassed.iter().any(|extent| extent.covers(&self.gathered.name)),
            ports: self.ports(),
            subsets,
        }
    }

    fn ports(&self) -> Vec<Port> {
        let port = |(&(port, _), &protocol): (&gather::Port, &_)| {
            let (http, tcp) = (HttpRoute::default(), Split::default());
            Port { port, protocol, http, tcp }
        };
        self.gathered.ports.iter().map(port).collect()
    }

    fn subsets(&self, slots: &mut Slots) -> Vec<Subset> {
        let old = |name: &str| {
            let mut known = self.previous.into_iter().flat_map(|service| &service.subsets);
            known.find(|subset| subset.name == name).map(|subset| subset.slot)
        };
        let names = std::iter::once("").chain(self.gathered.subsets.iter().copied());
        let subset = |name: &str| Subset {
            id: if name.is_empty() { Interner::NONE } else { self.inputs.names.id(name) },
            name: name.to_owned(),
            endpoints: Vec::new(),
            slot: slots.keep_or_new(old(name)),
        };
        names.map(subset).collect()
    }

    /// Another node's loopback address means a stranger's process here.
    fn is_reachable(&self, offer: &Offer<'_>) -> bool {
        offer.node == self.inputs.node || !offer.address.ip().is_loopback()
    }

    fn endpoint(&self, offer: &Offer<'_>, subset: usize) -> Endpoint {
        let of = |old: &Endpoint| (old.node.as_str(), old.address, old.transport).cmp(&offer.key());
        let old = self.known.binary_search_by(of).ok().and_then(|at| self.known.get(at));
        let port = self.gathered.ports.keys().position(|port| *port == offer.port);
        let transport = offer.port.1;
        Endpoint {
            id: old.map_or_else(|| self.endpoint_id(offer, transport), |old| old.id),
            service: self.index,
            subset,
            node: offer.node.to_owned(),
            address: offer.address,
            transport,
            port: port.unwrap_or_default(),
            weight: offer.weight,
            check: offer.check.clone(),
            live: old.map_or_else(|| self.new_live(offer), |old| Arc::clone(&old.live)),
        }
    }

    fn endpoint_id(&self, offer: &Offer<'_>, transport: Transport) -> u32 {
        let Self { display, inputs, .. } = self;
        let place = Place { transport, address: offer.address }.short();
        if self.is_reachable(offer) {
            inputs.names.id(&format!("{display}/{place}"))
        } else {
            inputs.names.id(&format!("{display}/{}/{place}", offer.node))
        }
    }

    fn new_live(&self, offer: &Offer<'_>) -> Arc<EndpointLive> {
        let live = EndpointLive::default();
        live.set_health(match &offer.check {
            _ if !self.is_reachable(offer) => Health::Unhealthy,
            Some(check) => check.initial,
            None => Health::Unchecked,
        });
        Arc::new(live)
    }
}

/// The subsets an endpoint belongs to, the one it counts for first: the one it names, then those
/// whose labels it carries.
fn memberships(
    offer: &Offer<'_>,
    selectors: &[SubsetSelector],
    by_name: &HashMap<&str, usize>,
) -> Vec<usize> {
    let chosen = selectors.iter().filter(|selector| {
        selector.labels.iter().all(|(key, value)| offer.labels.get(key) == Some(value))
    });
    let names = std::iter::once(offer.subset).chain(chosen.map(|selector| selector.name.as_str()));
    let mut subsets: Vec<usize> = Vec::new();
    for subset in names.filter_map(|name| by_name.get(name).copied()) {
        if !subsets.contains(&subset) {
            subsets.push(subset);
        }
    }
    subsets
}
