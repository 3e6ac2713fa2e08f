//! `watch`: the wanted objects now, and again whenever one of them is another.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use mesh_proto::v1;
use tokio::sync::watch::Receiver;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::shown;
use crate::control::core::Core;
use crate::control::error::Failure;
use crate::control::views::{Numbers, Wanted};

/// Changes within this time are told together.
const TOGETHER: Duration = Duration::from_millis(20);

struct Follower {
    core: Arc<Core>,
    wanted: Wanted,
    /// Snapshots and probe results as they come.
    snapshots: Receiver<u64>,
    probes: Receiver<u64>,
    stop: CancellationToken,
    last: Option<Vec<String>>,
}

/// Ends at `stop`; dropping it ends it too.
pub(super) fn follow(
    core: Arc<Core>,
    wanted: Wanted,
    stop: CancellationToken,
) -> impl Stream<Item = Result<v1::GetResponse, Status>> + Send {
    let (snapshots, probes) = (core.daemon.store.news(), core.daemon.board.news());
    let follower = Follower { core, wanted, snapshots, probes, stop, last: None };
    stream::unfold(follower, async |mut follower| {
        let stop = follower.stop.clone();
        let state = stop.run_until_cancelled(follower.next()).await??;
        Some((state.map_err(Status::from), follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Option<Result<v1::GetResponse, Failure>> {
        loop {
            if self.last.is_some() {
                tokio::select! {
                    news = self.snapshots.changed() => news.ok()?,
                    news = self.probes.changed() => news.ok()?,
                }
                sleep(TOGETHER).await;
            }
            self.snapshots.mark_unchanged();
            self.probes.mark_unchanged();
            // Rates differ at every look: they are shown, but are no news.
            let now = match shown(&self.core, &self.wanted, Numbers::LeftOut).await {
                Ok(now) => now.objects,
                Err(failure) => return Some(Err(failure)),
            };
            if self.last.as_ref() != Some(&now) {
                self.last = Some(now);
                return Some(shown(&self.core, &self.wanted, Numbers::Shown).await);
            }
        }
    }
}
