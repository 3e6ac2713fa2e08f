//! The way of one captured connection, top to bottom: who calls and what it wanted, which
//! protocol, then per request or connection route, balance, connect, carry, record.

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt as _;

use super::clock::nanos;
use super::detect::{self, Found};
use super::journal::Journal;
use super::listener::Way;
use super::outside::{self, Permit};
use super::worker::{Pinned, Worker};
use super::{http1, inbound, tcp};
use crate::capture::{Disguise, GateId, Origin};
use crate::model::{Compat, Place, Transport};
use crate::record::{Flag, Record, Steps};
use crate::state::{Destination, Snapshot};
use crate::telemetry::Refusal;
use crate::transport::{Connection, Idle, Reuse, Socket};

/// Carries one accepted connection to its end.
///
/// Dropping the future closes it and leaves the record of what it was carrying.
pub(super) async fn carry(worker: &Worker, stream: TcpStream, peer: SocketAddr, way: Way) {
    let admitted = match way {
        Way::Out(gate) => admit(worker, stream, peer, gate),
        Way::In => inbound::admit(worker, stream, peer),
    };
    let Some((captured, socket)) = admitted else { return };
    let record = &captured.record;
    let series = worker.shard.series(record.service, 0, record.source.service);
    let _open = series.connection();
    let carried = AssertUnwindSafe(async {
        match detect::protocol(worker, &captured, &socket).await {
            Found::Http1(early) => http1::serve(worker, &captured, &socket, early).await,
            Found::Opaque(opaque) => tcp::serve(worker, &captured, &socket, *opaque).await,
            Found::Nothing => false,
        }
    });
    match carried.catch_unwind().await {
        Ok(false) => {}
        Ok(true) => socket.reset_on_close(),
        Err(_panic) => {
            tracing::error!(destination = %captured.record.destination, "a request panicked");
            if captured.may_answer.get() {
                http1::answer_panic(&socket);
            }
        }
    }
}

/// One captured connection.
#[derive(Debug)]
pub(super) struct Captured {
    /// What every record of this connection says.
    pub(super) record: Record,
    /// On the worker's clock.
    pub(super) accepted: u64,
    /// Inside an HTTP request whose client has not been sent anything.
    pub(super) may_answer: Cell<bool>,
    /// A record was begun: the time before the accept belongs to the first one only.
    begun: Cell<bool>,
    /// What the address stands for in the snapshot last used.
    known: RefCell<(Pinned, Destination)>,
    path: Path,
    /// A connection for the next request of this client and nobody else's.
    kept: RefCell<Option<Idle>>,
}

/// Between whom it passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// From a workload to the mesh.
    Mesh,
    /// From anywhere to a service of this node, which may have to see who it is.
    Inbound { preserve_client: bool },
    /// From a workload out of the mesh.
    Outside(Permit),
}

impl Captured {
    /// The newest snapshot and what the destination stands for in it; `None` once it is gone.
    pub(super) fn destination(&self, worker: &Worker) -> Option<(Pinned, Destination)> {
        let newest = worker.snapshot();
        let mut known = self.known.borrow_mut();
        let place = Place::tcp(self.record.destination);
        match self.path {
            _ if Rc::ptr_eq(&newest, &known.0) => {}
            Path::Mesh => {
                let destination = *newest.destinations.get(&place)?;
                *known = (newest, destination);
            }
            Path::Inbound { .. } => {
                let destination = inbound::destination(&newest, place)?;
                *known = (newest, destination);
            }
            // No snapshot has it.
            Path::Outside(_) => {}
        }
        Some((Rc::clone(&known.0), known.1))
    }

    pub(super) fn new(
        worker: &Worker,
        record: Record,
        known: (Pinned, Destination),
        path: Path,
    ) -> Self {
        Self {
            record,
            accepted: worker.clock.now(),
            may_answer: Cell::new(false),
            begun: Cell::new(false),
            known: RefCell::new(known),
            path,
            kept: RefCell::default(),
        }
    }

    /// Its connections to an endpoint may serve other clients, and theirs may serve it.
    pub(super) fn shares_connections(&self) -> bool {
        match self.path {
            Path::Mesh | Path::Inbound { preserve_client: false } => true,
            Path::Inbound { preserve_client: true } | Path::Outside(_) => false,
        }
    }

    /// As whom meshd goes on to the endpoint, if not as itself.
    pub(super) fn disguise(&self, worker: &Worker) -> Option<Disguise> {
        let Record { source, destination, .. } = &self.record;
        let preserve = self.path == Path::Inbound { preserve_client: true };
        preserve.then(|| worker.origins.disguise(source.address, *destination)).flatten()
    }

    /// Keeps a connection nobody else may use; gives any other back, for the pool.
    pub(super) fn keep(&self, idle: Idle) -> Option<Idle> {
        if self.shares_connections() {
            return Some(idle);
        }
        *self.kept.borrow_mut() = Some(idle);
        None
    }

    /// The connection kept, while it is good.
    pub(super) fn kept(&self, reuse: Reuse) -> Option<Connection> {
        self.kept.borrow_mut().take().and_then(|idle| idle.reuse(reuse))
    }

    /// Whether an HTTP request may name this host: out of the mesh only those on the list.
    pub(super) fn allows_host(&self, host: &[u8]) -> bool {
        match &self.path {
            Path::Mesh | Path::Inbound { .. } | Path::Outside(Permit::Address) => true,
            Path::Outside(Permit::Names(list)) => {
                outside::allows_host(list, host, self.record.destination.port())
            }
        }
    }

    /// How strictly its service wants HTTP to be read.
    pub(super) fn compat(&self, worker: &Worker) -> Compat {
        self.destination(worker)
            .and_then(|(pinned, at)| pinned.services.get(at.service).map(|s| s.compat))
            .unwrap_or_default()
    }

    /// The start of the next record.
    pub(super) fn next_record(&self) -> Record {
        let mut record = self.record;
        if self.begun.replace(true) {
            record.steps.capture = 0;
        }
        record
    }
}

/// Finds out where the connection wanted to go; closes and counts what was not captured, and
/// what has come back to us through ourselves.
fn admit(
    worker: &Worker,
    stream: TcpStream,
    peer: SocketAddr,
    gate: GateId,
) -> Option<(Captured, Socket)> {
    let accepted = worker.clock.now();
    let local = stream.local_addr().ok()?;
    let origin = match worker.origins.of(stream.as_fd(), peer, local, gate) {
        Ok(origin) => origin,
        Err(error) => {
            tracing::debug!(%peer, %error, "refused");
            worker.shard.refused(0, Refusal::Uncaptured);
            return None;
        }
    };
    let pinned = worker.snapshot();
    let record = first_record(&pinned, &origin, peer);
    // At a gate whose listeners are transparent the two are always the same.
    let to_itself = gate == GateId::OWN && origin.destination == local;
    if origin.pid == std::process::id() || to_itself {
        refused(worker, record, Flag::Loop);
        return None;
    }
    let (record, known, path) = match pinned.destinations.get(&Place::tcp(origin.destination)) {
        Some(&destination) => {
            let service = pinned.services.get(destination.service);
            let service = service.map_or(0, |service| service.id);
            (Record { service, ..record }, (pinned, destination), Path::Mesh)
        }
        None => match leaving(worker, &pinned, &origin, Transport::Tcp) {
            Ok((known, permit)) => (record, known, Path::Outside(permit)),
            Err(why) => {
                Socket::accepted(stream).ok()?.reset_on_close();
                if why == Refusal::Egress {
                    refused(worker, record, Flag::Egress);
                }
                return None;
            }
        },
    };
    let captured = Captured { accepted, ..Captured::new(worker, record, known, path) };
    Some((captured, Socket::accepted(stream).ok()?))
}

/// Lets what wants to leave the mesh, or refuses and counts it.
pub(super) fn leaving(
    worker: &Worker,
    pinned: &Pinned,
    origin: &Origin,
    transport: Transport,
) -> Result<((Pinned, Destination), Permit), Refusal> {
    let address = origin.destination;
    let service = service_of_vip(pinned, address);
    if service.is_none()
        && let Some(permit) = outside::permit(worker, pinned, origin)
    {
        return Ok((outside::alone(Place { transport, address }, pinned.generation), permit));
    }
    let restricted = |key| pinned.workloads.get(&key).is_some_and(|w| w.egress.is_restricted());
    let why = match service {
        Some(_) => Refusal::UndeclaredPort,
        None if origin.workload.is_some_and(restricted) => Refusal::Egress,
        None => Refusal::Uncaptured,
    };
    worker.shard.refused(service.unwrap_or(0), why);
    Err(why)
}

/// Leaves the record of a connection that is not carried.
pub(super) fn refused(worker: &Worker, record: Record, why: Flag) {
    let mut journal = Journal::begin(worker, record, worker.clock.now());
    journal.flag(why);
    journal.finish(b"", b"");
}

pub(super) fn first_record(snapshot: &Snapshot, origin: &Origin, peer: SocketAddr) -> Record {
    let source = origin.source(snapshot, peer);
    let steps = Steps { capture: nanos(origin.connecting), ..Steps::default() };
    Record { steps, ..Record::new(source, origin.destination, snapshot.generation) }
}

/// The service whose virtual address this is, on a port it does not declare.
pub(super) fn service_of_vip(snapshot: &Snapshot, destination: SocketAddr) -> Option<u32> {
    let ip = destination.ip();
    let mut services = snapshot.services.iter();
    services.find(|s| ip == s.vip4 || ip == s.vip6).map(|service| service.id)
}
