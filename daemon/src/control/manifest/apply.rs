//! `apply`: makes the mesh what documents say, all of them or none.

use std::collections::BTreeSet;

use mesh_proto::manifest::{Key, Object, parse, validate};
use mesh_proto::{codes, v1};

use super::Manifests;
use crate::control::answer;
use crate::control::authorise::Peer;
use crate::control::error::Failure;
use crate::control::{convert, endpoints};
use crate::model::ServiceName;
use crate::registry::ClaimKey;
use crate::state::{Declared, Draft};

/// Documents to be applied, read and valid each for itself.
pub(crate) struct Wish {
    pub(crate) objects: Vec<Object>,
    /// The set they belong to.
    pub(crate) set: Option<String>,
    /// Delete what else is in the set.
    pub(crate) prune: bool,
}

impl Wish {
    pub(super) fn read(request: &v1::ApplyRequest) -> Result<Self, Failure> {
        let objects = parse(&request.documents)?;
        let set = Some(request.set.clone()).filter(|set| !set.is_empty());
        if request.prune && set.is_none() {
            return Err(Failure::new(codes::USAGE, "--prune needs --set")
                .why("it deletes what the set no longer contains, and no set is named")
                .fix("meshctl apply -f FILE --set NAME --prune"));
        }
        Ok(Self { objects, set, prune: request.prune })
    }

    /// Edits `draft` to be as wished.
    pub(crate) fn apply(&self, draft: &mut Draft, node: &str) -> Result<(), Failure> {
        for object in &self.objects {
            self.check_set(draft, &object.key())?;
            if !is_as_wished(draft.declared(), object, self.set.as_ref(), node) {
                put(draft, object.clone(), self.set.clone(), node);
            }
        }
        for key in self.superfluous(draft.declared()) {
            draft.delete(&key);
        }
        let all = draft.declared().all_effective(node);
        validate(&self.objects, all.values())?;
        match endpoints::shared_address(&self.objects, &all, node) {
            None => Ok(()),
            Some((address, one, other)) => Err(endpoints::taken(address, one, other)),
        }
    }

    /// Objects of the set that no document contains any more.
    pub(super) fn superfluous(&self, declared: &Declared) -> Vec<Key> {
        if !self.prune {
            return Vec::new();
        }
        let kept: BTreeSet<_> = self.objects.iter().map(Object::key).collect();
        let own = declared.objects.iter().filter(|(_, held)| held.origin.set == self.set);
        own.map(|(key, _)| key).filter(|key| !kept.contains(key)).cloned().collect()
    }

    fn check_set(&self, draft: &Draft, key: &Key) -> Result<(), Failure> {
        let held = draft.declared().objects.get(key);
        let other = held.and_then(|held| held.origin.set.as_ref());
        match (&self.set, other) {
            (Some(own), Some(other)) if own != other => {
                let message = format!("{key} belongs to the set \"{other}\"");
                Err(Failure::new(codes::OTHER_OWNER, message)
                    .fix(format!("meshctl apply -f FILE --set {other}")))
            }
            _ => Ok(()),
        }
    }
}

/// Whether nothing is to be done: it is declared so, or takes effect so through claims.
pub(super) fn is_as_wished(
    declared: &Declared,
    object: &Object,
    set: Option<&String>,
    node: &str,
) -> bool {
    let key = object.key();
    let held = declared.objects.get(&key);
    let in_set = set.is_none() || held.is_some_and(|held| held.origin.set.as_ref() == set);
    let declared_so = held.is_some_and(|held| held.value == *object);
    in_set && (declared_so || declared.effective(&key, node).as_ref() == Some(object))
}

fn put(draft: &mut Draft, object: Object, set: Option<String>, node: &str) {
    if let Object::Service(service) = &object {
        let name = ServiceName::new(&service.metadata.namespace, &service.metadata.name);
        for endpoint in &service.spec.endpoints {
            if endpoint.node.as_deref().is_none_or(|named| named == node) {
                for place in endpoints::places_of(&service.spec, endpoint) {
                    draft.delete_claim(&ClaimKey { service: name.clone(), place });
                }
            }
        }
    }
    match set {
        Some(_) => draft.put_in_set(object, set),
        None => draft.put(object),
    }
}

impl Manifests {
    pub(super) async fn apply_documents(
        &self,
        peer: Peer,
        request: v1::ApplyRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        let wish = Wish::read(&request)?;
        let node = &self.core.daemon.identity.node;
        let edit = |draft: &mut Draft| wish.apply(draft, node);
        let outcome = self.core.change(peer, request.mutation, edit).await?;
        let warnings = self.warnings(&outcome).await;
        let wished: Vec<Key> = wish.objects.iter().map(Object::key).collect();
        let mut lines = Vec::with_capacity(wished.len());
        for key in &wished {
            lines.push(match outcome.changes.iter().find(|change| change.topic.is(key)) {
                Some(change) => answer::line(change, ""),
                None => convert::object_change(key, v1::Action::Unchanged, String::new()),
            });
        }
        let others = outcome.changes.iter();
        let others = others.filter(|change| !wished.iter().any(|key| change.topic.is(key)));
        lines.extend(others.map(|change| answer::line(change, "")));
        Ok(v1::ChangeResponse { warnings, ..answer::response(&outcome, lines) })
    }
}
