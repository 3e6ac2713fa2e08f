//! Where a rule's traffic goes: names of services and subsets turned into indices.

use mesh_proto::manifest::BackendRef;

use crate::model::ServiceName;
use crate::state::{Backend, Port, Service, Split};

/// Turns backend references of one route into indices.
pub(super) struct Resolver<'a> {
    pub(super) services: &'a [Service],
    /// Namespace of the route.
    pub(super) home: &'a str,
    /// Port of the parent service: a backend without a port means the same number.
    pub(super) port: &'a Port,
}

impl Resolver<'_> {
    pub(super) fn split(&self, slot: u32, backends: &[BackendRef]) -> Split {
        let backends = backends.iter().filter(|backend| backend.is_service());
        Split { slot, backends: backends.filter_map(|backend| self.backend(backend)).collect() }
    }

    fn backend(&self, written: &BackendRef) -> Option<Backend> {
        let name = ServiceName::new(written.namespace(self.home), &written.name);
        // Every service a route names is there, declared or not.
        let index = self.services.binary_search_by(|service| service.name.cmp(&name)).ok()?;
        let service = self.services.get(index)?;
        let subset = match written.subset.as_deref() {
            None => 0,
            Some(wanted) => service.subsets.iter().position(|subset| subset.name == wanted)?,
        };
        let transport = self.port.protocol.transport();
        let numbered = |number: u16| {
            let is = |port: &Port| port.port == number && port.protocol.transport() == transport;
            service.ports.iter().position(is)
        };
        let port = match written.port {
            // A port nobody declared has no endpoint: one past the last matches none.
            Some(number) => numbered(number).unwrap_or(service.ports.len()),
            None => numbered(self.port.port).unwrap_or_default(),
        };
        Some(Backend { service: index, subset, port, weight: written.share() })
    }
}
