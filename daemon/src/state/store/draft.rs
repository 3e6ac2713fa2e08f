//! What a change edits: a copy of what is declared, thrown away when the change is refused.

use std::sync::Arc;

use mesh_proto::manifest::{Key, Object};

use super::declared::{BadValue, Origin};
use super::{Declared, Held, View};
use crate::intent::Op;
use crate::model::{Bypass, Extent};
use crate::registry::{Claim, ClaimKey};
use crate::state::Snapshot;

/// See the module. Putting what is already there changes nothing.
pub(crate) struct Draft {
    declared: Declared,
    snapshot: Arc<Snapshot>,
    uid: u32,
    now_ms: u64,
    generation: u64,
}

impl Draft {
    pub(super) fn new(before: View, uid: u32, now_ms: u64, generation: u64) -> Self {
        let View { declared, snapshot } = before;
        Self { declared: Arc::unwrap_or_clone(declared), snapshot, uid, now_ms, generation }
    }

    pub(super) fn finish(self) -> Declared {
        self.declared
    }

    /// What is declared, with the edits so far.
    pub(crate) fn declared(&self) -> &Declared {
        &self.declared
    }

    /// What was in force before the edits.
    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Puts an object; it stays in the set it was in.
    pub(crate) fn put(&mut self, object: Object) {
        let old = self.declared.objects.get(&object.key());
        let set = old.and_then(|old| old.origin.set.clone());
        self.put_in_set(object, set);
    }

    /// Puts an object as part of a set of manifests.
    pub(crate) fn put_in_set(&mut self, object: Object, set: Option<String>) {
        let key = object.key();
        let old = self.declared.objects.get(&key);
        if old.is_some_and(|old| old.value == object && old.origin.set == set) {
            return;
        }
        let origin = Origin { set, ..self.origin(old.map(|old| &old.origin)) };
        self.declared.objects.insert(key, Arc::new(Held { value: object, origin }));
    }

    /// Returns whether it was there.
    pub(crate) fn delete(&mut self, key: &Key) -> bool {
        self.declared.objects.remove(key).is_some()
    }

    pub(crate) fn put_claim(&mut self, claim: Claim) {
        let key = claim.key();
        let old = self.declared.claims.get(&key);
        if old.is_some_and(|old| old.value == claim) {
            return;
        }
        let origin = self.origin(old.map(|old| &old.origin));
        self.declared.claims.insert(key, Arc::new(Held { value: claim, origin }));
    }

    /// Returns whether it was there.
    pub(crate) fn delete_claim(&mut self, key: &ClaimKey) -> bool {
        self.declared.claims.remove(key).is_some()
    }

    /// Lets traffic go direct; one that is there already ends when this one does.
    pub(crate) fn put_bypass(&mut self, bypass: Bypass) {
        let old = self.declared.bypasses.get(&bypass.extent);
        let origin = self.origin(old.map(|old| &old.origin));
        self.declared
            .bypasses
            .insert(bypass.extent.clone(), Arc::new(Held { value: bypass, origin }));
    }

    /// Returns whether it was there.
    pub(crate) fn delete_bypass(&mut self, extent: &Extent) -> bool {
        self.declared.bypasses.remove(extent).is_some()
    }

    /// When the change is made, Unix milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Makes one value of the log what `op` says it was after.
    pub(super) fn replay(&mut self, op: &Op) -> Result<(), BadValue> {
        self.declared.replay(op)
    }

    /// Makes everything what it was in `declared`.
    pub(super) fn replace(&mut self, declared: Declared) {
        self.declared = declared;
    }

    fn origin(&self, old: Option<&Origin>) -> Origin {
        let first = Origin {
            uid: self.uid,
            set: None,
            created_ms: self.now_ms,
            generation: self.generation,
        };
        match old {
            Some(old) => Origin { generation: self.generation, ..old.clone() },
            None => first,
        }
    }
}
