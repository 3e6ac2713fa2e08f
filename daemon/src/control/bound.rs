//! Endpoints that live as long as something else does.
//!
//! A process or run that ended takes its endpoint out of the mesh for good; a unit or container
//! that stopped may start again, so its endpoint is only kept out of sight meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::capture::{Attachments, Runs, is_running, started_at};
use crate::intent::Author;
use crate::model::Bound;
use crate::registry::{Claim, ClaimKey};
use crate::state::{Draft, Mutation, Store};
use crate::telemetry::{Events, Severity};

/// How late an end may be noticed; a look costs microseconds per bound endpoint.
const LOOK: Duration = Duration::from_millis(250);

/// What it takes to know whether something runs.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) runs: Option<Runs>,
    pub(crate) attachments: Arc<Attachments>,
}

impl Life {
    pub(super) fn is_there(&self, bound: &Bound) -> bool {
        match bound {
            Bound::Process { pid, started } => started_at(*pid) == Some(*started),
            Bound::Run(id) => {
                let runs = self.runs.iter().flat_map(Runs::list);
                runs.into_iter().any(|run| run.id == *id)
            }
            Bound::Unit(_) | Bound::Container(_) => {
                bound.returns().is_some_and(|subject| is_running(&self.attachments, &subject))
            }
        }
    }
}

/// Keeps the endpoints true to what runs; never returns.
pub(crate) async fn follow(store: Arc<Store>, life: Life, events: Events) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let declared = store.view().await.declared;
        let bound = declared.claims.values().map(|held| &held.value);
        let bound: Vec<(&Claim, &Bound)> =
            bound.filter_map(|claim| Some((claim, claim.bound.as_ref()?))).collect();
        let (there, gone): (Vec<_>, Vec<_>) =
            block_in_place(|| bound.into_iter().partition(|(_, bound)| life.is_there(bound)));
        for (claim, bound) in &gone {
            if bound.returns().is_none() {
                take_out(&store, &events, claim, bound).await;
            }
        }
        let there: BTreeSet<ClaimKey> = there.iter().map(|(claim, _)| claim.key()).collect();
        match store.set_present(there).await {
            Ok(changed) => tell(&events, &changed),
            Err(error) => warn!(%error, "bound endpoints are not known everywhere"),
        }
    }
}

async fn take_out(store: &Store, events: &Events, claim: &Claim, bound: &Bound) {
    let key = claim.key();
    let reason = format!("{bound} ended");
    let mutation = Mutation { reason: reason.clone(), no_wait: true, ..Mutation::default() };
    let delete = |draft: &mut Draft| {
        let same = draft.declared().claims.get(&key).is_some_and(|held| held.value == *claim);
        if same {
            draft.delete_claim(&key);
        }
        Ok::<(), super::error::Failure>(())
    };
    match store.update(Author::meshd(&reason), mutation, delete).await {
        Ok(_) => {
            let subject = format!("service/{} {}", claim.service, claim.place().short());
            events.emit("endpoint/ended", subject, reason, Severity::Info);
        }
        Err(error) => {
            let failure = super::error::Failure::from(error);
            warn!(error = failure.message(), "an ended endpoint is still declared");
        }
    }
}

/// What came and what went of the endpoints whose processes may come back.
fn tell(events: &Events, changed: &[(ClaimKey, bool)]) {
    for (key, is_there) in changed {
        let subject = format!("service/{} {}", key.service, key.place.short());
        let message = if *is_there { "its processes are there" } else { "its processes are gone" };
        events.emit("endpoint/bound", subject, message, Severity::Info);
    }
}
