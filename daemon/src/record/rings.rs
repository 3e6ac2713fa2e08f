//! All rings of the daemon: one per worker and one for DNS.

use std::sync::Arc;

use super::{Cursor, Entry, Ring};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Rings {
    workers: Vec<Arc<Ring>>,
    dns: Arc<Ring>,
}

impl Rings {
    pub(crate) fn new(workers: usize) -> Self {
        let workers = (0..workers).map(|_| Arc::new(Ring::new())).collect();
        Self { workers, dns: Arc::new(Ring::new()) }
    }

    /// One per worker, in the workers' order.
    pub(crate) fn workers(&self) -> &[Arc<Ring>] {
        &self.workers
    }

    pub(crate) fn dns(&self) -> Arc<Ring> {
        Arc::clone(&self.dns)
    }

    /// A reader of each ring, for what comes from now on.
    pub(crate) fn cursors(&self) -> Vec<Cursor> {
        self.all().map(Ring::cursor).collect()
    }

    /// The newest `limit` entries that `wanted` accepts, over all rings, newest first.
    pub(crate) fn newest(&self, limit: usize, wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let mut found: Vec<Entry> = self
            .all()
            .flat_map(|ring| ring.newest().filter(|entry| wanted(entry)).take(limit))
            .collect();
        found.sort_by_key(|entry| std::cmp::Reverse(entry.record.start));
        found.truncate(limit);
        found
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Ring>> {
        self.workers.iter().chain([&self.dns])
    }
}
