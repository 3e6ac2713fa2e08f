//! Who began a session, where it may lead, and what its records begin with.

use super::batch::Flow;
use crate::capture::Disguise;
use crate::model::{Place, Transport};
use crate::proxy::inbound::{self, Entered};
use crate::proxy::listener::Way;
use crate::proxy::outbound::{first_record, leaving};
use crate::proxy::worker::{Pinned, Worker};
use crate::record::{Flag, Kind, Protocol, Record};
use crate::state::{Destination, Snapshot};
use crate::telemetry::Refusal;

/// How a session finds its endpoint in a snapshot.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// From a workload to the mesh.
    Mesh,
    /// From anywhere to a service of this node, which may have to see who it is.
    Inbound { preserve_client: bool },
    /// From a workload out of the mesh: no snapshot but this has it.
    Outside(Pinned),
    /// Nowhere: it may not pass.
    Refused(Flag),
}

impl Route {
    pub(super) fn destination(&self, snapshot: &Snapshot, record: &Record) -> Option<Destination> {
        let place = Place::udp(record.destination);
        match self {
            Self::Mesh | Self::Outside(_) => snapshot.destinations.get(&place).copied(),
            Self::Inbound { .. } => inbound::destination(snapshot, place),
            Self::Refused(_) => None,
        }
    }

    /// As whom meshd goes on to the endpoint, if not as itself.
    pub(super) fn disguise(
        &self,
        worker: &Worker,
        Flow { client, local }: Flow,
    ) -> Option<Disguise> {
        match self {
            Self::Inbound { preserve_client: true } => worker.origins.disguise(client, local),
            Self::Inbound { .. } | Self::Mesh | Self::Outside(_) | Self::Refused(_) => None,
        }
    }

    /// Where endpoints are looked for.
    pub(super) fn snapshot(&self, worker: &Worker) -> Pinned {
        match self {
            Self::Outside(alone) => Pinned::clone(alone),
            Self::Mesh | Self::Inbound { .. } | Self::Refused(_) => worker.snapshot(),
        }
    }
}

/// `None` for what was not captured or leads nowhere: counted, and not worth a session.
pub(super) fn admit(worker: &Worker, way: Way, flow: Flow) -> Option<(Record, Route)> {
    let (record, route) = match way {
        Way::Out(gate) => {
            let origin = match worker.origins.of_datagram(flow.client, flow.local, gate) {
                Ok(origin) => origin,
                Err(error) => {
                    tracing::debug!(client = %flow.client, %error, "refused");
                    worker.shard.refused(0, Refusal::Uncaptured);
                    return None;
                }
            };
            let pinned = worker.snapshot();
            let record = first_record(&pinned, &origin, flow.client);
            if origin.pid == std::process::id() {
                (record, Route::Refused(Flag::Loop))
            } else if let Some(to) = pinned.destinations.get(&Place::udp(origin.destination)) {
                let service = pinned.services.get(to.service).map_or(0, |service| service.id);
                (Record { service, ..record }, Route::Mesh)
            } else {
                match leaving(worker, &pinned, &origin, Transport::Udp) {
                    Ok(((alone, _), _)) => (record, Route::Outside(alone)),
                    Err(Refusal::Egress) => (record, Route::Refused(Flag::Egress)),
                    Err(_counted) => return None,
                }
            }
        }
        Way::In => match inbound::enter(worker, Place::udp(flow.local), flow.client) {
            Ok(Entered { record, preserve_client, .. }) => {
                (record, Route::Inbound { preserve_client })
            }
            Err(Some(record)) => (*record, Route::Refused(Flag::Unmeshed)),
            Err(None) => return None,
        },
    };
    Some((Record { kind: Kind::Udp, protocol: Protocol::Udp, ..record }, route))
}
