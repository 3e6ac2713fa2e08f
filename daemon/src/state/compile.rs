//! Turns what is declared into what the data plane reads.
//!
//! Pure: the same inputs give the same snapshot. Whoever was in the previous snapshot keeps its
//! ids, slots, virtual address and live counters, so that a change elsewhere disturbs nothing.

mod addresses;
mod gather;
mod http;
mod inbound;
mod instances;
mod routes;
mod services;
mod settle;
mod split;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use mesh_proto::manifest::Object;

use super::vip::{NoFreeAddress, Vips};
use super::{Interner, Snapshot};
use crate::model::{Extent, ServiceName, Workload};
use crate::registry::Claim;

pub(crate) use settle::settle;

#[cfg(test)]
mod tests;

/// Everything a snapshot follows from.
#[derive(Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) revision: u64,
    pub(crate) generation: u64,
    /// Validated; any order.
    pub(crate) objects: Vec<&'a Object>,
    pub(crate) claims: Vec<&'a Claim>,
    pub(crate) strict: bool,
    /// Whose traffic goes direct now.
    pub(crate) bypassed: Vec<&'a Extent>,
    pub(crate) workloads: Arc<HashMap<u64, Arc<Workload>>>,
    pub(crate) gates: BTreeMap<u64, (Ipv4Addr, Ipv6Addr)>,
    /// This node, and its own addresses: an endpoint on 127.0.0.1 is captured at all of them.
    pub(crate) node: &'a str,
    pub(crate) addresses: &'a [IpAddr],
    pub(crate) vips: Vips,
    pub(crate) names: &'a Interner,
    pub(crate) previous: &'a Snapshot,
}

/// The snapshot of `inputs`. Nothing the previous snapshot shares is changed: that is
/// [`settle`]'s part, once the new one is published.
pub(crate) fn compile(inputs: &Inputs<'_>) -> Result<Snapshot, NoFreeAddress> {
    let gathered = gather::gather(inputs);
    let mut slots = Slots { next: inputs.previous.slots };
    let vips = assign_vips(inputs, &gathered)?;
    let mut endpoints = Vec::with_capacity(gathered.iter().map(|g| g.endpoints.len()).sum());
    let mut services = Vec::with_capacity(gathered.len());
    for (index, (gathered, vips)) in gathered.iter().zip(vips).enumerate() {
        let builder = services::Builder::new(inputs, gathered, index);
        services.push(builder.build(vips, &mut endpoints, &mut slots));
    }
    routes::attach(inputs, &mut services, &mut slots);
    let declared = gathered.iter().enumerate().filter(|(_, service)| service.declared);
    let by_name = declared.map(|(index, service)| (service.name.clone(), index)).collect();
    let instances = instances::instances(inputs, &services, &endpoints);
    let mut destinations = addresses::destinations(inputs, &services, &endpoints);
    addresses::add_instances(&mut destinations, &instances, &services, &endpoints);
    let inbound = inbound::inbound(inputs, &services, &endpoints);
    Ok(Snapshot {
        revision: inputs.revision,
        generation: inputs.generation,
        strict: inputs.strict,
        bypassed: inputs.bypassed.contains(&&Extent::Everything),
        services,
        endpoints,
        slots: slots.next,
        destinations,
        inbound,
        by_name,
        instances,
        gates: inputs.gates.clone(),
        workloads: Arc::clone(&inputs.workloads),
    })
}

/// Gives out slots that nobody else has.
struct Slots {
    next: u32,
}

impl Slots {
    fn keep_or_new(&mut self, kept: Option<u32>) -> u32 {
        kept.unwrap_or_else(|| {
            let slot = self.next;
            self.next += 1;
            slot
        })
    }
}

/// One pair per gathered service; unspecified for those nobody declared.
fn assign_vips(
    inputs: &Inputs<'_>,
    gathered: &[gather::Gathered<'_>],
) -> Result<Vec<(Ipv4Addr, Ipv6Addr)>, NoFreeAddress> {
    let previous = inputs.previous;
    let kept = |name: &ServiceName| {
        previous.by_name.get(name).and_then(|&at| previous.services.get(at)).map(|s| s.vip4)
    };
    let declared: Vec<&ServiceName> =
        gathered.iter().filter(|service| service.declared).map(|service| &service.name).collect();
    let mut assigned = inputs.vips.assign(&declared, kept)?.into_iter();
    let none = (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED);
    let pair = |service: &gather::Gathered<'_>| {
        if service.declared { assigned.next().unwrap_or(none) } else { none }
    };
    Ok(gathered.iter().map(pair).collect())
}
