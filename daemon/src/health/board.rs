//! The last probe of every checked endpoint, for people.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::timeout;

use crate::model::Health;

/// What the last probe met, and the health after it.
#[derive(Clone, Debug)]
pub(crate) struct Probed {
    pub(crate) health: Health,
    /// "200 in 2ms", "connection refused".
    pub(crate) text: String,
    pub(crate) at: SystemTime,
}

/// Last results by endpoint id.
#[derive(Debug, Default)]
pub(crate) struct Board {
    endpoints: Mutex<HashMap<u32, watch::Sender<Option<Probed>>>>,
    /// Counts changes of health.
    news: watch::Sender<u64>,
}

impl Board {
    /// `None` without a check, and before the first probe ended.
    pub(crate) fn last(&self, endpoint: u32) -> Option<Probed> {
        self.endpoints().get(&endpoint).and_then(|last| last.borrow().clone())
    }

    /// The first result of a check that has just begun, or the newest; waits at most `limit`.
    pub(crate) async fn first(&self, endpoint: u32, limit: Duration) -> Option<Probed> {
        let mut results = self.endpoints().get(&endpoint)?.subscribe();
        let probed = timeout(limit, results.wait_for(Option::is_some)).await.ok()?.ok()?;
        probed.clone()
    }

    pub(super) fn expect(&self, endpoint: u32) {
        self.endpoints().entry(endpoint).or_insert_with(|| watch::Sender::new(None));
    }

    pub(super) fn write(&self, endpoint: u32, probed: Probed) {
        let health = probed.health;
        let before = match self.endpoints().get(&endpoint) {
            Some(last) => last.send_replace(Some(probed)),
            None => return,
        };
        if before.is_none_or(|before| before.health != health) {
            self.news.send_modify(|count| *count += 1);
        }
    }

    /// Changes whenever an endpoint's health does.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    pub(super) fn forget(&self, endpoint: u32) {
        self.endpoints().remove(&endpoint);
    }

    fn endpoints(&self) -> MutexGuard<'_, HashMap<u32, watch::Sender<Option<Probed>>>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
