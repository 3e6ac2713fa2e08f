//! What comes in at the port of a service of this node, from wherever: seen, counted, carried to
//! the application, or refused.

use std::net::{SocketAddr, TcpStream};

use super::outbound::{Captured, Path, refused};
use super::worker::{Pinned, Worker};
use crate::model::{Place, canonical};
use crate::record::{Flag, Record, Source};
use crate::state::{Destination, Snapshot, Target};
use crate::telemetry::Refusal;
use crate::transport::Socket;

/// The endpoint whose port `place` is.
pub(super) fn destination(snapshot: &Snapshot, place: Place) -> Option<Destination> {
    let inbound = snapshot.inbound.get(&(place.transport, place.address.port()))?;
    let endpoint = snapshot.endpoints.get(inbound.endpoint)?;
    let target = Target::Endpoint(inbound.endpoint);
    Some(Destination { service: endpoint.service, port: endpoint.port, target })
}

/// Finds out whose port it is. A client that may not come is refused at once.
pub(super) fn admit(
    worker: &Worker,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(Captured, Socket)> {
    let local = stream.local_addr().ok()?;
    let (local, peer) = (canonical(local), canonical(peer));
    let socket = Socket::accepted(stream).ok()?;
    match enter(worker, Place::tcp(local), peer) {
        Ok(Entered { record, known, preserve_client }) => {
            let path = Path::Inbound { preserve_client };
            Some((Captured::new(worker, record, known, path), socket))
        }
        Err(record) => {
            socket.reset_on_close();
            if let Some(record) = record {
                refused(worker, *record, Flag::Unmeshed);
            }
            None
        }
    }
}

pub(super) struct Entered {
    /// The beginning of its records.
    pub(super) record: Record,
    known: (Pinned, Destination),
    pub(super) preserve_client: bool,
}

/// What may not come is counted; `Err` has the record of what came to a service that refuses it.
pub(super) fn enter(
    worker: &Worker,
    place: Place,
    client: SocketAddr,
) -> Result<Entered, Option<Box<Record>>> {
    let pinned = worker.snapshot();
    let destination = destination(&pinned, place);
    let service = destination.and_then(|to| Some((to, pinned.services.get(to.service)?)));
    let Some((destination, service)) = service else {
        worker.shard.refused(0, Refusal::Uncaptured);
        return Err(None);
    };
    let record = record(place, client, service.id, pinned.generation);
    // Whoever is in the mesh is captured where it calls, and comes another way.
    worker.shard.refused(service.id, Refusal::Unmeshed);
    if service.inbound.refuse_unmeshed.unwrap_or(pinned.strict) {
        return Err(Some(Box::new(record)));
    }
    let preserve_client = service.inbound.preserve_client;
    Ok(Entered { record, known: (pinned, destination), preserve_client })
}

fn record(place: Place, client: SocketAddr, service: u32, generation: u64) -> Record {
    let nobody =
        Source { address: client, service: 0, run: [0; 16], pid: 0, uid: 0, process: [0; 16] };
    Record { service, ..Record::new(nobody, place.address, generation) }
}
