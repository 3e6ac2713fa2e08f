//! Asks for gates in other network namespaces: attachments know where their processes are, and
//! only the wiring knows everything a gate is made of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for each other.
const BACKLOG: usize = 16;

/// By the namespace's inode, a path that leads to it now.
pub(crate) type Namespaces = BTreeMap<u64, PathBuf>;

/// By the namespace's inode, why its processes are not captured, for a person.
pub(crate) type Refused = BTreeMap<u64, String>;

/// The namespaces that are to have a gate from now on, instead of those that had one.
#[derive(Debug)]
pub(crate) struct Settle {
    pub(crate) wanted: Namespaces,
    pub(crate) done: oneshot::Sender<Refused>,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    requests: mpsc::Sender<Settle>,
    /// Some namespace was wanted once: until then there is nothing to close.
    any: Arc<AtomicBool>,
}

impl Keeper {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Settle>) {
        let (sender, requests) = mpsc::channel(BACKLOG);
        (Self { requests: sender, any: Arc::default() }, requests)
    }

    /// Returns once exactly the `wanted` namespaces have gates, as far as that can be; with what
    /// could not be done.
    pub(crate) async fn settle(&self, wanted: Namespaces) -> Refused {
        if !wanted.is_empty() {
            self.any.store(true, Relaxed);
        } else if !self.any.load(Relaxed) {
            return Refused::new();
        }
        let (done, outcome) = oneshot::channel();
        if self.requests.send(Settle { wanted, done }).await.is_err() {
            return Refused::new(); // the daemon stops, and every gate with it
        }
        outcome.await.unwrap_or_default()
    }
}
