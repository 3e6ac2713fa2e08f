//! The data plane: workers that take captured connections and carry them.
//!
//! One thread per worker with its own listeners, pools, counters and records; nothing on the path
//! is shared with another worker but the immutable snapshot. The way of one connection reads top
//! to bottom in [`outbound::carry`].

mod choice;
mod clock;
mod detect;
mod gates;
mod http1;
mod inbound;
mod journal;
mod listener;
mod nap;
mod outbound;
mod outside;
mod relay;
mod scratch;
mod splice;
#[cfg(test)]
mod stand;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
mod wheel;
mod worker;

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

pub(crate) use gates::Gates;
pub(crate) use listener::{Doors, bind, bind_at, bind_inbound};

use crate::capture::Origins;
use crate::capture::egress::Names;
use crate::config;
use crate::record::Rings;
use crate::state::Published;
use crate::telemetry::Telemetry;
use worker::Reins;

/// What every worker is given.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) config: config::Proxy,
    pub(crate) published: Arc<Published>,
    pub(crate) origins: Origins,
    pub(crate) telemetry: Telemetry,
    pub(crate) rings: Rings,
    pub(crate) names: Names,
}

/// The running workers.
#[derive(Debug)]
pub(crate) struct Workers {
    threads: Vec<Thread>,
    reins: Reins,
    gates: Gates,
}

#[derive(Debug)]
struct Thread {
    ended: oneshot::Receiver<usize>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts one thread per element of `doors`; each accepts from then on.
    ///
    /// # Errors
    /// No thread or runtime could be made.
    pub(crate) fn start(doors: Vec<Doors>, parts: &Parts) -> io::Result<Self> {
        let reins = Reins::default();
        let (gates, orders) = Gates::for_workers(doors.len());
        let mut workers = Self { threads: Vec::new(), reins, gates };
        for (index, (doors, orders)) in doors.into_iter().zip(orders).enumerate() {
            let (end, ended) = oneshot::channel();
            let (parts, reins) = (parts.clone(), workers.reins.clone());
            let serve = move || {
                let cut =
                    worker::run((doors, orders), &parts, index, &reins).unwrap_or_else(|error| {
                        tracing::error!(%error, worker = index, "a worker could not start");
                        0
                    });
                // Nobody waits when the daemon goes down without draining.
                let _unawaited = end.send(cut);
            };
            let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(serve)?;
            workers.threads.push(Thread { ended, thread });
        }
        Ok(workers)
    }

    /// Opens and closes gates of running workers.
    pub(crate) fn gates(&self) -> Gates {
        self.gates.clone()
    }

    /// Stops accepting, lets open requests and connections end for `grace`, then cuts the rest.
    ///
    /// Returns how many were cut. Dropping the future leaves the workers draining.
    pub(crate) async fn drain(self, grace: Duration) -> usize {
        self.reins.stop.cancel();
        let cut = self.reins.cut.clone();
        let deadline = async {
            sleep(grace).await;
            cut.cancel();
            pending().await
        };
        let all = async {
            let mut cut = 0;
            for Thread { ended, thread } in self.threads {
                cut += ended.await.unwrap_or(0);
                // It has sent its last word; a panic in it was reported where it happened.
                let _reported = thread.join();
            }
            cut
        };
        tokio::select! {
            cut = all => cut,
            () = deadline => 0,
        }
    }
}
