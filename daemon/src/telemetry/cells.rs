//! The counters of one shard: written by one thread with plain loads and stores, read by anyone.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::histogram::{BUCKETS, Histogram, bucket};
use crate::record::{ErrorType, Flag, Kind, Record};

/// A number that one thread changes and others read.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    /// Not atomic as a whole: the caller is the only writer.
    pub(super) fn add(&self, by: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(by), Relaxed);
    }

    pub(super) fn subtract(&self, by: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(by), Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Requests by the class of their answer.
#[derive(Debug, Default)]
pub(super) struct StatusCells {
    pub(super) by_class: [Cell; CLASSES.len()],
}

/// Values of the label `status`; "none" when no answer was sent.
pub(crate) const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl StatusCells {
    pub(super) fn count(&self, status: u16) {
        if let Some(cell) = self.by_class.get(usize::from(status / 100)) {
            cell.add(1);
        }
    }
}

/// What one service's subset, or one endpoint, did.
#[derive(Debug)]
pub(super) struct LoadCells {
    pub(super) requests: Cell,
    /// A 5xx or a response flag.
    pub(super) failed: Cell,
    pub(super) errors: [Cell; ErrorType::ALL.len()],
    pub(super) in_flight: Cell,
    pub(super) opened: Cell,
    pub(super) closed: Cell,
    pub(super) sent: Cell,
    pub(super) received: Cell,
    pub(super) datagrams_sent: Cell,
    pub(super) datagrams_received: Cell,
    pub(super) datagrams_dropped: Cell,
    /// Nanoseconds, all requests together.
    pub(super) latency: Cell,
    pub(super) latencies: Box<[Cell]>,
}

impl Default for LoadCells {
    fn default() -> Self {
        Self {
            requests: Cell::default(),
            failed: Cell::default(),
            errors: Default::default(),
            in_flight: Cell::default(),
            opened: Cell::default(),
            closed: Cell::default(),
            sent: Cell::default(),
            received: Cell::default(),
            datagrams_sent: Cell::default(),
            datagrams_received: Cell::default(),
            datagrams_dropped: Cell::default(),
            latency: Cell::default(),
            latencies: (0..BUCKETS).map(|_| Cell::default()).collect(),
        }
    }
}

/// What passed in a session, or was lost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Datagrams {
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    pub(crate) dropped: u64,
}

impl LoadCells {
    /// A session may go on for hours: its bytes are counted while it does.
    pub(super) fn moved(&self, moved: &Datagrams) {
        self.datagrams_sent.add(moved.sent);
        self.datagrams_received.add(moved.received);
        self.datagrams_dropped.add(moved.dropped);
        self.sent.add(moved.sent_bytes);
        self.received.add(moved.received_bytes);
    }

    /// A connection that is not HTTP has bytes and errors, but is no request.
    pub(super) fn finish(&self, record: &Record) {
        if record.kind != Kind::Udp {
            self.sent.add(record.sent);
            self.received.add(record.received);
        }
        if let Some(cell) = record.flag.error_type().and_then(|kind| self.errors.get(kind as usize))
        {
            cell.add(1);
        }
        if record.kind != Kind::Http {
            return;
        }
        self.requests.add(1);
        if record.status >= 500 || record.flag != Flag::None {
            self.failed.add(1);
        }
        let nanos = record.steps.total();
        self.latency.add(nanos);
        if let Some(cell) = self.latencies.get(bucket(nanos)) {
            cell.add(1);
        }
    }
}

/// [`LoadCells`] added up over shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) errors: [u64; ErrorType::ALL.len()],
    pub(crate) in_flight: u64,
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) datagrams_sent: u64,
    pub(crate) datagrams_received: u64,
    pub(crate) datagrams_dropped: u64,
    pub(crate) latency: u64,
    pub(crate) latencies: Histogram,
}

impl Load {
    pub(super) fn add(&mut self, cells: &LoadCells) {
        self.requests += cells.requests.value();
        self.failed += cells.failed.value();
        for (sum, cell) in self.errors.iter_mut().zip(&cells.errors) {
            *sum += cell.value();
        }
        // Closed before opened: a connection that opens in between must not look closed twice.
        self.in_flight += cells.in_flight.value();
        self.closed += cells.closed.value();
        self.opened += cells.opened.value();
        self.sent += cells.sent.value();
        self.received += cells.received.value();
        self.datagrams_sent += cells.datagrams_sent.value();
        self.datagrams_received += cells.datagrams_received.value();
        self.datagrams_dropped += cells.datagrams_dropped.value();
        self.latency += cells.latency.value();
        for (bucket, cell) in cells.latencies.iter().enumerate() {
            self.latencies.add(bucket, cell.value());
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        for (sum, errors) in self.errors.iter_mut().zip(&other.errors) {
            *sum += errors;
        }
        self.in_flight += other.in_flight;
        self.opened += other.opened;
        self.closed += other.closed;
        self.sent += other.sent;
        self.received += other.received;
        self.datagrams_sent += other.datagrams_sent;
        self.datagrams_received += other.datagrams_received;
        self.datagrams_dropped += other.datagrams_dropped;
        self.latency += other.latency;
        self.latencies.merge(&other.latencies);
    }

    pub(crate) fn open(&self) -> u64 {
        self.opened.saturating_sub(self.closed)
    }
}
