//! Every shard's cells added up at one moment.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::Telemetry;
use super::book::{Book, SeriesKey};
use super::cells::{CLASSES, Load};
use super::series::{Limit, Refusal};
use crate::state::{Interner, Snapshot};

/// See the module. Keys are interned ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// Requests by class of their status, in the order of [`CLASSES`].
    pub(crate) statuses: BTreeMap<SeriesKey, [u64; CLASSES.len()]>,
    /// By service and subset.
    pub(crate) loads: BTreeMap<(u32, u32), Load>,
    pub(crate) endpoints: BTreeMap<u32, Load>,
    pub(crate) timeouts: BTreeMap<(u32, Limit), u64>,
    pub(crate) refusals: BTreeMap<(u32, Refusal), u64>,
}

impl Telemetry {
    pub(crate) fn totals(&self) -> Totals {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut totals = Totals::default();
        for book in books {
            totals.add(&book);
        }
        totals
    }
}

impl Totals {
    fn add(&mut self, book: &Book) {
        // Counters are read outside the lock: a worker may be waiting for it.
        let (statuses, loads, endpoints) = {
            let pages = book.lock();
            for (&key, count) in &pages.timeouts {
                *self.timeouts.entry(key).or_default() += count;
            }
            for (&key, count) in &pages.refusals {
                *self.refusals.entry(key).or_default() += count;
            }
            let statuses: Vec<_> =
                pages.statuses.iter().map(|(&key, cells)| (key, Arc::clone(cells))).collect();
            let loads: Vec<_> =
                pages.loads.iter().map(|(&key, cells)| (key, Arc::clone(cells))).collect();
            let endpoints: Vec<_> =
                pages.endpoints.iter().map(|(&key, cells)| (key, Arc::clone(cells))).collect();
            (statuses, loads, endpoints)
        };
        for (key, cells) in statuses {
            let sums = self.statuses.entry(key).or_default();
            sums.iter_mut().zip(&cells.by_class).for_each(|(sum, cell)| *sum += cell.value());
        }
        for (key, cells) in loads {
            self.loads.entry(key).or_default().add(&cells);
        }
        for (id, cells) in endpoints {
            self.endpoints.entry(id).or_default().add(&cells);
        }
    }

    /// Gives everything the snapshot declares a zero where nothing was counted yet.
    pub(crate) fn declare(&mut self, snapshot: &Snapshot) {
        for service in &snapshot.services {
            for subset in &service.subsets {
                self.loads.entry((service.id, subset.id)).or_default();
                let key = SeriesKey { service: service.id, subset: subset.id, source: 0 };
                self.statuses.entry(key).or_default();
            }
            let rules = service.ports.iter().flat_map(|port| &port.http.rules);
            for route in rules.map(|rule| rule.route).chain([Interner::NONE]) {
                for limit in Limit::ALL {
                    self.timeouts.entry((route, limit)).or_default();
                }
            }
            self.refusals.entry((service.id, Refusal::Unmeshed)).or_default();
        }
        for why in Refusal::ALL {
            self.refusals.entry((0, why)).or_default();
        }
        for endpoint in &snapshot.endpoints {
            self.endpoints.entry(endpoint.id).or_default();
        }
    }

    /// Every load of `service`, whatever the subset.
    pub(crate) fn service(&self, service: u32) -> Load {
        let mut sum = Load::default();
        for load in self.loads.range((service, 0)..=(service, u32::MAX)).map(|(_, load)| load) {
            sum.merge(load);
        }
        sum
    }
}
