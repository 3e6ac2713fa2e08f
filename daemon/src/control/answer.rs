//! What a change looks like to whoever asked for it.

use mesh_proto::manifest::{Key, diff};
use mesh_proto::v1;

use super::convert;
use crate::model::Extent;
use crate::state::{Change, Outcome, Topic};

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
        .map(|change| line(change, if change.topic.is(key) { detail } else { "" }))
        .collect();
    if lines.is_empty() {
        lines.push(convert::object_change(key, otherwise, String::new()));
    }
    lines
}

/// A change with its diff.
pub(super) fn line(change: &Change, detail: &str) -> v1::ObjectChange {
    let diff = diff(change.before.as_ref(), change.after.as_ref());
    let until = change.until_ms.map(|until| format!("until {}", convert::second_text(until)));
    let detail = until.filter(|_| detail.is_empty()).unwrap_or_else(|| detail.to_owned());
    let line = match &change.topic {
        Topic::Object(key) => convert::object_change(key, convert::action(change), detail),
        Topic::Bypass(extent) => bypass_line(extent, convert::action(change), detail),
    };
    v1::ObjectChange { diff, ..line }
}

pub(super) fn bypass_line(extent: &Extent, action: v1::Action, detail: String) -> v1::ObjectChange {
    let (namespace, name) = match extent {
        Extent::Everything => (String::new(), extent.to_string()),
        Extent::Service(service) => (service.namespace.clone(), service.name.clone()),
    };
    let (kind, action, diff) = ("bypass".to_owned(), action.into(), String::new());
    v1::ObjectChange { kind, namespace, name, action, detail, diff }
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
