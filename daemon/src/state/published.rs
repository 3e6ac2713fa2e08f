//! Hands every reader the newest [`Snapshot`] and knows who uses which.
//!
//! A reader pays one relaxed load per use. Readers are few and live as long as the daemon (data
//! plane workers, capture, DNS, health), so "when the command returns, it is live" is a wait for
//! all of them ([`Published::applied`]).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Cache};
use tokio::sync::Notify;

use super::Snapshot;

/// The newest snapshot, and the revision each reader uses.
#[derive(Debug, Default)]
pub(crate) struct Published {
    newest: Arc<ArcSwap<Snapshot>>,
    readers: Mutex<Vec<Arc<Usage>>>,
    /// A revision all readers have reached.
    reached: AtomicU64,
    acknowledged: Notify,
}

#[derive(Debug)]
struct Usage {
    name: String,
    revision: AtomicU64,
    changed: Notify,
}

impl Published {
    /// One that starts with `snapshot`.
    #[cfg(test)]
    pub(crate) fn of(snapshot: Snapshot) -> Self {
        Self { newest: Arc::new(ArcSwap::from_pointee(snapshot)), ..Self::default() }
    }

    pub(crate) fn newest(&self) -> Arc<Snapshot> {
        self.newest.load_full()
    }

    /// Makes `next` the newest and wakes every reader; only the store calls this.
    pub(super) fn publish(&self, next: Arc<Snapshot>) {
        self.newest.store(next);
        for reader in self.readers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            reader.changed.notify_one();
        }
    }

    /// A new reader; from now on [`Self::applied`] waits for it too, until it is dropped.
    pub(crate) fn reader(self: &Arc<Self>, name: impl Into<String>) -> Reader {
        let cache = Cache::new(Arc::clone(&self.newest));
        let revision = AtomicU64::new(self.newest.load().revision);
        let usage = Arc::new(Usage { name: name.into(), revision, changed: Notify::new() });
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&usage));
        Reader { published: Arc::clone(self), usage, cache, used: 0 }
    }

    /// Returns once every reader uses `revision` or a newer one. Dropping it has no effect.
    pub(crate) async fn applied(&self, revision: u64) {
        loop {
            let acknowledged = self.acknowledged.notified();
            tokio::pin!(acknowledged);
            acknowledged.as_mut().enable();
            if self.laggards(revision).is_empty() {
                return;
            }
            acknowledged.await;
        }
    }

    /// A reader has moved on: those who wait hear of it when it was the last.
    fn note(&self) {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = readers.iter().map(|usage| usage.revision.load(Relaxed)).min();
        let oldest = oldest.unwrap_or(u64::MAX);
        if self.reached.swap(oldest, Relaxed) != oldest {
            self.acknowledged.notify_waiters();
        }
    }

    /// Readers that still use something older than `revision`.
    pub(crate) fn laggards(&self, revision: u64) -> Vec<String> {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let late = readers.iter().filter(|usage| usage.revision.load(Relaxed) < revision);
        late.map(|usage| usage.name.clone()).collect()
    }
}

/// One reader's view. [`Self::load`] is the hot path; whoever only reacts to news awaits
/// [`Self::changed`], then loads.
#[derive(Debug)]
pub(crate) struct Reader {
    published: Arc<Published>,
    usage: Arc<Usage>,
    cache: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    used: u64,
}

impl Reader {
    /// The newest snapshot, acknowledged as in use.
    ///
    /// A reader that must do work before a snapshot is in force (capture) uses [`Self::peek`]
    /// and then [`Self::acknowledge`].
    pub(crate) fn load(&mut self) -> &Arc<Snapshot> {
        let revision = self.cache.load().revision;
        if revision != self.used {
            self.acknowledge(revision);
        }
        self.cache.load()
    }

    pub(crate) fn peek(&mut self) -> Arc<Snapshot> {
        Arc::clone(self.cache.load())
    }

    pub(crate) fn acknowledge(&mut self, revision: u64) {
        self.used = revision;
        self.usage.revision.store(revision, Release);
        self.published.note();
    }

    /// Returns when something was published since the last call. Cancel-safe.
    pub(crate) async fn changed(&self) {
        self.usage.changed.notified().await;
    }

    /// Another handle on the same wake-up, for a task that may not borrow the reader.
    pub(crate) fn wake(&self) -> Wake {
        Wake(Arc::clone(&self.usage))
    }
}

/// Awaits news for a [`Reader`] owned elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Wake(Arc<Usage>);

impl Wake {
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut readers = self.published.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|usage| !Arc::ptr_eq(usage, &self.usage));
        drop(readers);
        self.published.note();
    }
}
