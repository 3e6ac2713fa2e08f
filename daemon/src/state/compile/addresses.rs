//! Which addresses are captured, and what each stands for.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Inputs;
use crate::model::Place;
use crate::state::{Destination, Endpoint, Instance, Service, Target};

/// Virtual addresses with each port, and endpoints' real addresses. Where two endpoints claim
/// one address, the exact one wins, then the first in order.
pub(super) fn destinations(
    inputs: &Inputs<'_>,
    services: &[Service],
    endpoints: &[Endpoint],
) -> HashMap<Place, Destination> {
    let mut all = HashMap::with_capacity(services.len() * 2 + endpoints.len());
    for (service, declared) in services.iter().enumerate() {
        for (port, known) in declared.ports.iter().enumerate() {
            let destination = Destination { service, port, target: Target::Vip };
            let transport = known.protocol.transport();
            for vip in [IpAddr::V4(declared.vip4), IpAddr::V6(declared.vip6)] {
                let address = SocketAddr::new(vip, known.port);
                all.insert(Place { transport, address }, destination);
            }
        }
    }
    let own = |endpoint: &&(usize, &Endpoint)| endpoint.1.node == inputs.node;
    let reachable: Vec<(usize, &Endpoint)> = endpoints
        .iter()
        .enumerate()
        .filter(|(_, e)| e.node == inputs.node || !e.address.ip().is_loopback())
        .collect();
    for &(index, endpoint) in &reachable {
        let Endpoint { transport, address, .. } = *endpoint;
        all.entry(Place { transport, address }).or_insert_with(|| itself(index, endpoint));
    }
    // What listens on 127.0.0.1 is also meant by this node's other addresses, ::1 included:
    // `localhost` is that one first, and would lead around the mesh.
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for &(index, endpoint) in reachable.iter().filter(own) {
        if endpoint.address.ip().is_loopback() {
            for address in inputs.addresses.iter().chain(&loopback) {
                let address = SocketAddr::new(*address, endpoint.address.port());
                let place = Place { transport: endpoint.transport, address };
                all.entry(place).or_insert_with(|| itself(index, endpoint));
            }
        }
    }
    all
}

/// An instance's address keeps that endpoint, on the port of the service.
pub(super) fn add_instances(
    all: &mut HashMap<Place, Destination>,
    instances: &HashMap<(usize, u32), Instance>,
    services: &[Service],
    endpoints: &[Endpoint],
) {
    for instance in instances.values() {
        let Some(first) = endpoints.get(instance.endpoint) else { continue };
        let from = endpoints.iter().enumerate().skip(instance.endpoint);
        for (index, endpoint) in from.take_while(|(_, endpoint)| endpoint.is_twin_of(first)) {
            let service = services.get(endpoint.service);
            let Some(port) = service.and_then(|service| service.ports.get(endpoint.port)) else {
                continue;
            };
            for vip in [IpAddr::V4(instance.vip4), IpAddr::V6(instance.vip6)] {
                let address = SocketAddr::new(vip, port.port);
                let place = Place { transport: endpoint.transport, address };
                all.insert(place, itself(index, endpoint));
            }
        }
    }
}

fn itself(index: usize, endpoint: &Endpoint) -> Destination {
    let target = Target::Endpoint(index);
    Destination { service: endpoint.service, port: endpoint.port, target }
}
