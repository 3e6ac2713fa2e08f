//! Ports of this node whose incoming traffic passes the mesh: those of endpoints that are bound
//! to processes.

use std::collections::HashMap;

use super::Inputs;
use crate::model::{Place, Transport};
use crate::state::{Endpoint, Inbound, Service};

/// A bare `register` says where a service listens, not that its traffic is to be taken.
pub(super) fn inbound(
    inputs: &Inputs<'_>,
    services: &[Service],
    endpoints: &[Endpoint],
) -> HashMap<(Transport, u16), Inbound> {
    let mut ports = HashMap::new();
    for claim in inputs.claims.iter().filter(|claim| claim.bound.is_some()) {
        let serves = |endpoint: &&(usize, &Endpoint)| {
            let service = services.get(endpoint.1.service);
            endpoint.1.node == inputs.node
                && endpoint.1.place() == claim.place()
                && service.is_some_and(|service| service.name == claim.service)
        };
        let Some((index, _)) = endpoints.iter().enumerate().find(|at| serves(&at)) else {
            continue;
        };
        let inbound = Inbound { endpoint: index };
        let Place { transport, address } = claim.place();
        ports.insert((transport, address.port()), inbound);
    }
    ports
}
