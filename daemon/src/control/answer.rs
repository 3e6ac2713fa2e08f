//! What a change looks like to whoever asked for it.

use mesh_proto::manifest::{Key, diff};
use mesh_proto::v1;

use super::convert;
use crate::state::{Change, Outcome};

/// The answer's lines: what became of the one object that was meant, `otherwise` when nothing
/// did.
pub(super) fn one(
    outcome: &Outcome,
    key: &Key,
    otherwise: v1::Action,
    detail: &str,
) -> Vec<v1::ObjectChange> {
    let mut lines: Vec<_> = outcome
        .changes
        .iter()
        .map(|change| line(change, if change.key == *key { detail } else { "" }))
        .collect();
    if lines.is_empty() {
        lines.push(convert::object_change(key, otherwise, String::new()));
    }
    lines
}

/// A change with its diff.
pub(super) fn line(change: &Change, detail: &str) -> v1::ObjectChange {
    let diff = diff(change.before.as_ref(), change.after.as_ref());
    let line = convert::object_change(&change.key, convert::action(change), detail.to_owned());
    v1::ObjectChange { diff, ..line }
}

pub(super) fn response(outcome: &Outcome, changes: Vec<v1::ObjectChange>) -> v1::ChangeResponse {
    v1::ChangeResponse {
        changes,
        generation: outcome.generation,
        live: outcome.live.filter(|_| outcome.undo > 0).map(convert::live),
        warnings: Vec::new(),
        undo: outcome.undo,
    }
}
