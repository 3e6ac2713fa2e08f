//! One worker's cells by what they count, shared with whoever reads.
//!
//! The lock is taken to find cells, never to count; the number of cells is bounded, and what
//! finds no place is counted under [`OVERFLOW`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cells::{LoadCells, StatusCells};
use super::series::{Limit, Refusal};

/// Interned id of everything beyond [`MAX_SERIES`].
pub(super) const OVERFLOW: u32 = u32::MAX;
/// Series of each sort per worker.
pub(super) const MAX_SERIES: usize = 4096;

/// What a request is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SeriesKey {
    pub(crate) service: u32,
    pub(crate) subset: u32,
    pub(crate) source: u32,
}

#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Pages>);

#[derive(Debug, Default)]
pub(super) struct Pages {
    pub(super) statuses: HashMap<SeriesKey, Arc<StatusCells>>,
    /// By service and subset.
    pub(super) loads: HashMap<(u32, u32), Arc<LoadCells>>,
    pub(super) endpoints: HashMap<u32, Arc<LoadCells>>,
    pub(super) timeouts: HashMap<(u32, Limit), u64>,
    pub(super) refusals: HashMap<(u32, Refusal), u64>,
}

impl Book {
    pub(super) fn series(&self, key: SeriesKey) -> (Arc<StatusCells>, Arc<LoadCells>) {
        let mut pages = self.lock();
        let full = pages.statuses.len() >= MAX_SERIES && !pages.statuses.contains_key(&key);
        let key = if full {
            SeriesKey { service: OVERFLOW, subset: OVERFLOW, source: OVERFLOW }
        } else {
            key
        };
        let load = Arc::clone(pages.loads.entry((key.service, key.subset)).or_default());
        (Arc::clone(pages.statuses.entry(key).or_default()), load)
    }

    pub(super) fn endpoint(&self, id: u32) -> Arc<LoadCells> {
        Arc::clone(bounded(&mut self.lock().endpoints, id, OVERFLOW))
    }

    pub(super) fn timed_out(&self, route: u32, limit: Limit) {
        *bounded(&mut self.lock().timeouts, (route, limit), (OVERFLOW, limit)) += 1;
    }

    pub(super) fn refused(&self, service: u32, why: Refusal) {
        *bounded(&mut self.lock().refusals, (service, why), (OVERFLOW, why)) += 1;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The value of `key`, or of `overflow` once the map is full.
fn bounded<K: Copy + Eq + std::hash::Hash, V: Default>(
    map: &mut HashMap<K, V>,
    key: K,
    overflow: K,
) -> &mut V {
    let full = map.len() >= MAX_SERIES && !map.contains_key(&key);
    map.entry(if full { overflow } else { key }).or_default()
}
