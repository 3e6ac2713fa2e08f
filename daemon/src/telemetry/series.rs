//! What a worker counts with: handles to its own cells, resolved once per connection.
//!
//! A [`Shard`] belongs to one worker and a [`Series`] cannot leave its thread (`Rc`), so every
//! cell has one writer and costs a plain load and store. Whoever counts hands over the decision
//! record: metrics are a view of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::book::{Book, MAX_SERIES, SeriesKey};
use super::cells::{Datagrams, LoadCells, StatusCells};
use crate::record::{Kind, Record};

/// The `Rc` keeps the handle in its thread, the `Arc` is shared with who reads.
type Local = Rc<Arc<LoadCells>>;

/// One worker's counters, made in its thread; neither it nor its handles can leave that thread.
#[derive(Debug)]
pub(crate) struct Shard {
    book: Arc<Book>,
    /// Handed-out handles, so that a connection takes no lock either.
    series: RefCell<HashMap<SeriesKey, Rc<Series>>>,
    endpoints: RefCell<HashMap<u32, Rc<EndpointSeries>>>,
}

/// Counts for one (service, subset, source).
#[derive(Debug)]
pub(crate) struct Series {
    statuses: Arc<StatusCells>,
    load: Local,
}

/// Counts for one endpoint.
#[derive(Debug)]
pub(crate) struct EndpointSeries {
    load: Local,
}

/// Which of a route's time limits was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Limit {
    Connect,
    Request,
    Idle,
}

impl Limit {
    pub(crate) const ALL: [Self; 3] = [Self::Connect, Self::Request, Self::Idle];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Request => "request",
            Self::Idle => "idle",
        }
    }
}

/// Why a connection was closed without being carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Refusal {
    /// Nobody captured it: someone connected to our port directly.
    Uncaptured,
    /// From outside the mesh to a port of the service; carried where that is allowed.
    Unmeshed,
    /// The service has no such port.
    UndeclaredPort,
    /// No descriptors or too many connections.
    Overload,
    /// It leads out of the mesh, where the workload may not go.
    Egress,
}

impl Refusal {
    pub(crate) const ALL: [Self; 5] =
        [Self::Uncaptured, Self::Unmeshed, Self::UndeclaredPort, Self::Overload, Self::Egress];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Uncaptured => "uncaptured",
            Self::Unmeshed => "unmeshed",
            Self::UndeclaredPort => "undeclared_port",
            Self::Overload => "overload",
            Self::Egress => "egress",
        }
    }
}

/// One request being carried.
#[derive(Debug)]
pub(crate) struct InFlight(Local);

/// One open connection.
#[derive(Debug)]
pub(crate) struct Open(Local);

impl Shard {
    pub(super) fn new(book: Arc<Book>) -> Self {
        Self { book, series: RefCell::default(), endpoints: RefCell::default() }
    }

    /// Interned ids; 0 = none: no subset chosen (yet), a source that is no workload of ours.
    pub(crate) fn series(&self, service: u32, subset: u32, source: u32) -> Rc<Series> {
        let key = SeriesKey { service, subset, source };
        let mut known = self.series.borrow_mut();
        if known.len() > MAX_SERIES {
            known.clear();
        }
        let series = known.entry(key).or_insert_with(|| {
            let (statuses, load) = self.book.series(key);
            Rc::new(Series { statuses, load: Rc::new(load) })
        });
        Rc::clone(series)
    }

    /// By the endpoint's interned id.
    pub(crate) fn endpoint(&self, id: u32) -> Rc<EndpointSeries> {
        let mut known = self.endpoints.borrow_mut();
        if known.len() > MAX_SERIES {
            known.clear();
        }
        let series = known.entry(id).or_insert_with(|| {
            let load = Rc::new(self.book.endpoint(id));
            Rc::new(EndpointSeries { load })
        });
        Rc::clone(series)
    }

    /// A request or connection of `route` reached a time limit. Locks: failures are rare.
    pub(crate) fn timed_out(&self, route: u32, limit: Limit) {
        self.book.timed_out(route, limit);
    }

    /// A connection to `service` (0 = unknown) was not carried.
    pub(crate) fn refused(&self, service: u32, why: Refusal) {
        self.book.refused(service, why);
    }
}

impl Series {
    /// One more request is being carried, until the guard is dropped, by whatever path.
    pub(crate) fn begin(&self) -> InFlight {
        InFlight::new(&self.load)
    }

    /// The record's request or connection is over.
    pub(crate) fn finish(&self, record: &Record) {
        if record.kind == Kind::Http {
            self.statuses.count(record.status);
        }
        self.load.finish(record);
    }

    /// Datagrams of a session passed, or were lost.
    pub(crate) fn moved(&self, moved: &Datagrams) {
        self.load.moved(moved);
    }

    /// One more connection from a client is open, until the guard is dropped.
    pub(crate) fn connection(&self) -> Open {
        Open::new(&self.load)
    }
}

impl EndpointSeries {
    pub(crate) fn begin(&self) -> InFlight {
        InFlight::new(&self.load)
    }

    pub(crate) fn finish(&self, record: &Record) {
        self.load.finish(record);
    }

    pub(crate) fn moved(&self, moved: &Datagrams) {
        self.load.moved(moved);
    }

    /// One more connection of ours to the endpoint is open, pooled or not, until the guard is
    /// dropped.
    pub(crate) fn connection(&self) -> Open {
        Open::new(&self.load)
    }
}

impl InFlight {
    fn new(load: &Local) -> Self {
        load.in_flight.add(1);
        Self(Rc::clone(load))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.subtract(1);
    }
}

impl Open {
    fn new(load: &Local) -> Self {
        load.opened.add(1);
        Self(Rc::clone(load))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::config::MetricsCompat;
    use crate::record::Flag;
    use crate::telemetry::{Telemetry, testing};

    // covers: MET-03, MET-11
    #[test]
    fn in_flight_is_right_whatever_ends_a_request() {
        let telemetry = Telemetry::new(MetricsCompat::None);
        let web = telemetry.shard().series(1, 0, 0);
        let in_flight = || telemetry.totals().service(1).in_flight;
        let held = web.begin();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _request = web.begin();
            assert_eq!(in_flight(), 2);
            panic!("in a request");
        }));
        assert!(panicked.is_err());
        assert_eq!(in_flight(), 1);
        drop(held);
        assert_eq!(in_flight(), 0);
    }

    // covers: MET-04
    #[test]
    fn a_failed_request_counts_once_and_a_tcp_connection_is_no_request() {
        let telemetry = Telemetry::new(MetricsCompat::None);
        let web = telemetry.shard().series(1, 0, 0);
        let failed = Record { flag: Flag::UpstreamTimeout, ..testing::answered(504, 1) };
        web.finish(&failed);
        web.finish(&Record { kind: Kind::Tcp, flag: Flag::UpstreamClosed, ..failed });
        web.finish(&testing::answered(404, 1));
        let seen = telemetry.totals().service(1);
        assert_eq!((seen.requests, seen.failed, seen.errors.iter().sum::<u64>()), (2, 1, 2));
        assert_eq!(seen.sent, 3 * failed.sent);
    }

    // covers: MET-07
    #[test]
    fn series_beyond_the_limit_are_counted_together() {
        let telemetry = Telemetry::new(MetricsCompat::None);
        let shard = telemetry.shard();
        let requests = 3 * MAX_SERIES as u32;
        for source in 0..requests {
            shard.series(1, 0, source).finish(&testing::answered(200, 1));
        }
        let totals = telemetry.totals();
        assert!(totals.statuses.len() <= MAX_SERIES + 1);
        let counted: u64 = totals.loads.values().map(|load| load.requests).sum();
        assert_eq!(counted, u64::from(requests));
    }
}
