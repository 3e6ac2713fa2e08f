//! The data plane: workers that take captured connections and carry them.
//!
//! One thread per worker with its own listeners, pools, counters and records; nothing on the path
//! is shared with another worker but the immutable snapshot. The way of one connection reads top
//! to bottom in [`outbound::carry`].

mod clock;
mod http1;
mod listener;
mod wheel;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use listener::{BindError, Listeners, bind};

use crate::capture::Origins;
use crate::config;
use crate::record::Rings;
use crate::state::Published;
use crate::telemetry::Telemetry;

/// What every worker is given.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) config: config::Proxy,
    pub(crate) published: Arc<Published>,
    pub(crate) origins: Origins,
    pub(crate) telemetry: Telemetry,
    pub(crate) rings: Rings,
}

/// The running workers.
#[derive(Debug)]
pub(crate) struct Workers {}

impl Workers {
    /// Starts one thread per element of `listeners`; each accepts from then on.
    ///
    /// # Errors
    /// No thread or runtime could be made.
    pub(crate) fn start(listeners: Vec<Listeners>, parts: &Parts) -> io::Result<Self> {
        let _ = (listeners, parts);
        Ok(Self {})
    }

    /// Open captured connections, all workers together.
    pub(crate) fn open(&self) -> usize {
        0
    }

    /// Stops accepting, lets open requests and connections end for `grace`, then cuts the rest.
    ///
    /// Returns how many were cut. Dropping the future leaves the workers draining.
    pub(crate) async fn drain(self, grace: Duration) -> usize {
        tokio::time::sleep(grace).await;
        0
    }
}
