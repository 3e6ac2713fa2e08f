//! What the services work with, and the one way they change anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_proto::manifest::suggest;
use mesh_proto::{codes, v1};

use super::authorise::{Peer, Rules};
use super::error::Failure;
use super::{Daemon, convert};
use crate::model::ServiceName;
use crate::registry::{Claim, ClaimKey};
use crate::state::{Change, Declared, Draft, Held, Outcome, View};
use crate::telemetry::Severity;

/// See the module.
pub(super) struct Core {
    pub(super) daemon: Daemon,
    pub(super) rules: Arc<Rules>,
}

type Claims = BTreeMap<ClaimKey, Arc<Held<Claim>>>;

impl Core {
    /// Makes the change `edit` describes on behalf of `peer`.
    ///
    /// Whatever the edit is, claims it touches must be the peer's to touch.
    pub(super) async fn change(
        &self,
        peer: Peer,
        mutation: Option<v1::Mutation>,
        edit: impl FnOnce(&mut Draft) -> Result<(), Failure>,
    ) -> Result<Outcome, Failure> {
        let written = mutation.unwrap_or_default();
        let (author, mutation) = (convert::author(peer, &written), convert::mutation(&written));
        let guarded = |draft: &mut Draft| {
            let snapshot = Arc::clone(draft.snapshot());
            let before = View { declared: Arc::new(draft.declared().clone()), snapshot };
            edit(draft)?;
            self.guard(peer, &before, &draft.declared().claims)
        };
        let (user, dry_run) = (author.user.clone(), mutation.dry_run);
        let outcome = self.daemon.store.update(author, mutation, guarded).await?;
        if !dry_run && !outcome.changes.is_empty() {
            self.tell(&outcome, &user);
        }
        Ok(outcome)
    }

    fn tell(&self, outcome: &Outcome, user: &str) {
        let line = |change: &Change| format!("{} {}", change.topic, change.action.word());
        let lines: Vec<_> = outcome.changes.iter().map(line).collect();
        let message = format!("{} by {user}", lines.join(", "));
        let subject = format!("generation {}", outcome.generation);
        self.daemon.telemetry.events.emit("config/changed", subject, message, Severity::Info);
    }

    fn guard(&self, peer: Peer, before: &View, after: &Claims) -> Result<(), Failure> {
        let claims = &before.declared.claims;
        for (key, held) in claims {
            let kept = after.get(key).is_some_and(|now| now.value == held.value);
            if !kept {
                self.rules.admit_claim(peer, &key.service, Some(held.value.owner_uid))?;
            }
        }
        for key in after.keys().filter(|key| !claims.contains_key(key)) {
            self.rules.admit_claim(peer, &key.service, owner(before, &key.service))?;
        }
        Ok(())
    }

    /// What is declared; refused where that cannot be known, since nothing would look like it.
    pub(super) async fn view(&self) -> Result<View, Failure> {
        match self.daemon.store.damage().await {
            Some(damage) => Err(damage.into()),
            None => Ok(self.daemon.store.view().await),
        }
    }

    /// Whether `peer` may run as `service`.
    pub(super) async fn admit_run(&self, peer: Peer, service: &ServiceName) -> Result<(), Failure> {
        let before = self.daemon.store.view().await;
        self.rules.admit_claim(peer, service, owner(&before, service))
    }

    /// Refuses a service that nobody declared, with the name that was probably meant.
    pub(super) fn existing(declared: &Declared, service: &ServiceName) -> Result<(), Failure> {
        if declared.has_service(service) {
            return Ok(());
        }
        let failure =
            Failure::new(codes::SERVICE_NOT_FOUND, format!("there is no service \"{service}\""));
        let services: Vec<_> = declared.services().iter().map(ToString::to_string).collect();
        let name = service.to_string();
        Err(match suggest(&name, services.iter().map(String::as_str)) {
            Some(meant) => failure.why(format!("did you mean \"{meant}\"?")),
            None => failure.why(codes::SERVICE_NOT_FOUND.why),
        }
        .fix("meshctl get services"))
    }
}

/// Whose name it is: who claimed it first, else who declared it, else who runs as it.
fn owner(before: &View, service: &ServiceName) -> Option<u32> {
    let first = before.declared.claims_of(service).min_by_key(|held| held.origin.created_ms);
    let declared = || before.declared.service_object(service).map(|held| held.origin.uid);
    let running = || {
        let mut runs = before.snapshot.workloads.values();
        runs.find(|run| run.service.as_ref() == Some(service)).map(|run| run.uid)
    };
    first.map(|held| held.value.owner_uid).or_else(declared).or_else(running)
}
