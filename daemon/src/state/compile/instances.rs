//! Every endpoint by a number and an address of its own: `0.web.mesh`.
//!
//! An endpoint keeps its number while it is there; a new one gets the lowest that is free.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;

use super::Inputs;
use crate::model::ServiceName;
use crate::state::{Endpoint, Instance, Service, Snapshot};

/// Names for more endpoints would fill the address range and every backend's tables.
const MOST: usize = 4096;

/// By service index and number. Services whose endpoints are too many have none.
pub(super) fn instances(
    inputs: &Inputs<'_>,
    services: &[Service],
    endpoints: &[Endpoint],
) -> HashMap<(usize, u32), Instance> {
    let known = known(inputs.previous);
    let mut room = MOST.min(inputs.vips.room() / 4);
    let mut numbered = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let members = service.subsets.first().map(|any| any.endpoints.as_slice());
        let Some(members) = members.filter(|members| members.len() <= room) else { continue };
        room -= members.len();
        // Twins lie side by side, and have one name.
        let second = |at: usize| {
            let before = at.checked_sub(1).and_then(|before| endpoints.get(before));
            before.zip(endpoints.get(at)).is_some_and(|(before, this)| this.is_twin_of(before))
        };
        let first = members.iter().filter(|at| !second(**at));
        let ids = first.filter_map(|at| Some((*at, endpoints.get(*at)?.id)));
        let numbers = numbers(ids, |id| known.get(&id).map(|(number, _)| *number));
        numbered.extend(numbers.into_iter().map(|(number, endpoint)| (index, number, endpoint)));
    }
    let name = |&(service, number, _): &(usize, u32, usize)| {
        let service = services.get(service).map(|service| &service.name);
        let (namespace, name) = service.map_or(("", ""), |name| (&name.namespace, &name.name));
        ServiceName::new(namespace, &format!("{number}.{name}"))
    };
    let names: Vec<_> = numbered.iter().map(name).collect();
    let kept: HashMap<&ServiceName, Ipv4Addr> = numbered
        .iter()
        .zip(&names)
        .filter_map(|((_, _, at), name)| {
            let (_, vip4) = known.get(&endpoints.get(*at)?.id)?;
            Some((name, *vip4))
        })
        .collect();
    let taken: HashSet<Ipv4Addr> = services.iter().map(|service| service.vip4).collect();
    let vips = inputs.vips.assign_beside(&names, |name| kept.get(name).copied(), &taken);
    let all = numbered.into_iter().zip(vips);
    all.filter_map(|((service, number, endpoint), vips)| {
        let (vip4, vip6) = vips?;
        Some(((service, number), Instance { endpoint, vip4, vip6 }))
    })
    .collect()
}

/// Number and address of each endpoint before, by its id.
fn known(previous: &Snapshot) -> HashMap<u32, (u32, Ipv4Addr)> {
    let instances = previous.instances.iter();
    let known = instances.filter_map(|((_, number), instance)| {
        Some((previous.endpoints.get(instance.endpoint)?.id, (*number, instance.vip4)))
    });
    known.collect()
}

/// Endpoints by number.
fn numbers(
    members: impl Iterator<Item = (usize, u32)>,
    known: impl Fn(u32) -> Option<u32>,
) -> BTreeMap<u32, usize> {
    let mut numbers = BTreeMap::new();
    let mut fresh = Vec::new();
    for (endpoint, id) in members {
        match known(id).filter(|number| !numbers.contains_key(number)) {
            Some(number) => drop(numbers.insert(number, endpoint)),
            None => fresh.push(endpoint),
        }
    }
    let mut free = 0;
    for endpoint in fresh {
        while numbers.contains_key(&free) {
            free += 1;
        }
        numbers.insert(free, endpoint);
    }
    numbers
}
