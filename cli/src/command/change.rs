//! What a mutation did: one line per object, and when it became live.

use std::time::Duration;

use mesh_proto::v1::{Action, ChangeResponse, Live, ObjectChange};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::paint::{Paint, Tone};
use crate::output::{Answer, Human, number};

/// Whether the change was made or only tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    Really,
    DryRun,
}

impl Made {
    pub(crate) fn by(change: &crate::args::Change) -> Self {
        if change.dry_run.is_some() { Self::DryRun } else { Self::Really }
    }
}

/// What a line says beside what was changed and when it became live.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    None,
    Generation,
    Undo,
}

/// Shows the answer of a command that changes one object: everything is on its line.
pub(crate) fn show_one(
    response: &ChangeResponse,
    made: Made,
    hint: Hint,
    context: &Context,
) -> Result<Exit, Failure> {
    let mut tail = String::new();
    if let (Some(live), Made::Really) = (&response.live, made) {
        if hint == Hint::Generation {
            tail.push_str(&format!(", generation {}", response.generation));
        }
        tail.push_str(&format!(", {}", liveness(live)));
        if hint == Hint::Undo && response.undo > 0 {
            tail.push_str(&format!(", undo: meshctl undo {}", response.undo));
        }
    }
    let line = |change: &ObjectChange| {
        let line = object_line(change, made);
        if change.action() == Action::Unchanged { line } else { line + &tail }
    };
    show(response, made, &line, context)
}

/// Shows the answer of a command that changes several: liveness is said once, beside the answer.
pub(crate) fn show_all(
    response: &ChangeResponse,
    made: Made,
    context: &Context,
) -> Result<Exit, Failure> {
    let exit = show(response, made, &|change| object_line(change, made), context)?;
    let changed = response.changes.iter().any(|change| change.action() != Action::Unchanged);
    if let (true, Made::Really, Some(live)) = (changed, made, &response.live) {
        context.output.note(&liveness(live));
    }
    Ok(exit)
}

fn show(
    response: &ChangeResponse,
    made: Made,
    line: &dyn Fn(&ObjectChange) -> String,
    context: &Context,
) -> Result<Exit, Failure> {
    for warning in &response.warnings {
        context.output.warn(warning);
    }
    let mut text = String::new();
    for change in &response.changes {
        text.push_str(&line(change));
        text.push('\n');
        if made == Made::DryRun && !change.diff.is_empty() {
            text.push_str(&coloured(&change.diff, context.output.paint()));
        }
    }
    context.output.show(&Answer {
        document: document(response),
        names: response.changes.iter().map(name).collect(),
        human: Human::Text(text),
    })?;
    Ok(Exit::DONE)
}

fn name(change: &ObjectChange) -> String {
    format!("{}/{}", change.kind, change.name)
}

fn object_line(change: &ObjectChange, made: Made) -> String {
    let name = name(change);
    let action = action_word(change.action());
    match (change.action(), made) {
        (Action::NotFound, _) => format!("{name} not found (nothing to do)"),
        (Action::Unchanged, _) => format!("{name} unchanged"),
        (_, Made::DryRun) => format!("{name} would be {action} (server dry-run)"),
        (_, Made::Really) if change.detail.is_empty() => format!("{name} {action}"),
        (_, Made::Really) => format!("{name} {action}: {}", change.detail),
    }
}

pub(crate) fn action_word(action: Action) -> &'static str {
    match action {
        Action::Unspecified => "unknown",
        Action::Created => "created",
        Action::Configured => "configured",
        Action::Unchanged => "unchanged",
        Action::Deleted => "deleted",
        Action::NotFound => "notFound",
    }
}

/// "live on 1/1 node in 9ms".
fn liveness(live: &Live) -> String {
    let nodes = if live.nodes == 1 { "node" } else { "nodes" };
    let after = live.after.and_then(|after| Duration::try_from(after).ok()).unwrap_or_default();
    format!("live on {}/{} {nodes} in {}", live.applied, live.nodes, number::elapsed(after))
}

/// A unified diff with its lines in colour.
pub(crate) fn coloured(diff: &str, paint: &Paint) -> String {
    let tone = |line: &str| match line.as_bytes().first() {
        Some(b'+') => Tone::Good,
        Some(b'-') => Tone::Bad,
        Some(b'@') => Tone::Dim,
        _ => Tone::Plain,
    };
    diff.lines().map(|line| format!("{}\n", paint.tone(tone(line), line))).collect()
}

pub(crate) fn changes(changes: &[ObjectChange]) -> Vec<Value> {
    let item = |change: &ObjectChange| {
        json!({
            "kind": change.kind,
            "namespace": change.namespace,
            "name": change.name,
            "action": action_word(change.action()),
            "detail": change.detail,
            "diff": change.diff,
        })
    };
    changes.iter().map(item).collect()
}

fn document(response: &ChangeResponse) -> Value {
    let live = response.live.as_ref().map(|live| {
        let after = live.after.and_then(|after| Duration::try_from(after).ok());
        let after = after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        json!({"applied": live.applied, "nodes": live.nodes, "afterMs": after})
    });
    json!({
        "apiVersion": "mesh/v1",
        "kind": "ChangeList",
        "items": changes(&response.changes),
        "generation": response.generation,
        "live": live,
        "undo": (response.undo > 0).then_some(response.undo),
        "warnings": response.warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: Action, detail: &str) -> ObjectChange {
        ObjectChange {
            kind: "service".to_owned(),
            namespace: "default".to_owned(),
            name: "web".to_owned(),
            action: action.into(),
            detail: detail.to_owned(),
            diff: String::new(),
        }
    }

    #[test]
    fn an_object_line_says_what_happened() {
        let really = |action, detail| object_line(&change(action, detail), Made::Really);
        assert_eq!(really(Action::Created, "healthy"), "service/web created: healthy");
        assert_eq!(really(Action::Unchanged, "healthy"), "service/web unchanged");
        assert_eq!(really(Action::NotFound, ""), "service/web not found (nothing to do)");
        let tried = object_line(&change(Action::Created, ""), Made::DryRun);
        assert_eq!(tried, "service/web would be created (server dry-run)");
    }

    #[test]
    fn one_node_is_singular() {
        let live = Live { applied: 1, nodes: 1, after: Duration::from_millis(9).try_into().ok() };
        assert_eq!(liveness(&live), "live on 1/1 node in 9ms");
    }
}
