//! Everything that shows what happened: counters per worker and their Prometheus view, rates for
//! `top`, the log, the access log, events.
//!
//! Workers only count ([`Shard`]) and push records; adding up, rates, quantiles and text are made
//! when somebody asks, on the control runtime.

mod access_log;
mod book;
mod cells;
mod events;
mod exposition;
mod histogram;
pub(crate) mod logs;
pub(crate) mod process;
mod rates;
mod readiness;
mod series;
#[cfg(test)]
pub(crate) mod testing;
mod timestamp;
mod totals;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use access_log::AccessLog;
use book::Book;
pub(crate) use cells::Datagrams;
pub(crate) use events::{Event, Events, Severity};
pub(crate) use rates::{LONGEST, Numbers, Rates, Window};
pub(crate) use readiness::{Phase, Readiness};
pub(crate) use series::{EndpointSeries, InFlight, Limit, Open, Refusal, Series, Shard};
pub(crate) use timestamp::Timestamp;
pub(crate) use totals::Totals;

use crate::config::MetricsCompat;

/// How often the files meshd keeps applied were read, by how it ended.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    pub(crate) applied: AtomicU64,
    /// Something in them was wrong: what was in force stayed.
    pub(crate) rejected: AtomicU64,
}

/// The daemon's counters; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Telemetry {
    compat: MetricsCompat,
    books: Arc<Mutex<Vec<Arc<Book>>>>,
    pub(crate) events: Events,
    pub(crate) readiness: Readiness,
    pub(crate) reloads: Arc<Reloads>,
    /// Lines of meshd's log that nobody took.
    pub(crate) log_lines_lost: Arc<AtomicU64>,
    /// Records that were overwritten before the access log read them.
    pub(crate) access_log_lost: Arc<AtomicU64>,
}

impl Telemetry {
    pub(crate) fn new(compat: MetricsCompat) -> Self {
        Self {
            compat,
            books: Arc::default(),
            events: Events::new(),
            readiness: Readiness::default(),
            reloads: Arc::default(),
            log_lines_lost: Arc::default(),
            access_log_lost: Arc::default(),
        }
    }

    /// Counters of one more worker; called in that worker's thread, which it cannot leave.
    pub(crate) fn shard(&self) -> Shard {
        let book = Arc::new(Book::default());
        self.books.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&book));
        Shard::new(book)
    }
}
