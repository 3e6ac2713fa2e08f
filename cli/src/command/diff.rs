//! `meshctl diff`: what `apply` would change; exit 1 when there is something.

use mesh_proto::v1::{Action, ApplyRequest, ObjectChange};
use serde_json::json;

use crate::command::change;
use crate::command::files::Files;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{Answer, Human};

/// Show how the mesh differs from manifests (exit 1 if it does)
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl diff -f mesh.yaml
  meshctl diff -f mesh/ -o json --jq '.items[].name'")]
pub(crate) struct Args {
    #[command(flatten)]
    files: Files,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let documents = args.files.read()?;
    let client = context.client().await?;
    let request = ApplyRequest { documents, ..ApplyRequest::default() };
    let response = client.call(client.manifests().diff(request)).await?;
    let mut drifted = response.changes;
    drifted.retain(|change| change.action() != Action::Unchanged);
    let text = drifted.iter().map(|change| described(change, context)).collect();
    context.output.show(&Answer {
        document: json!({
            "apiVersion": "mesh/v1",
            "kind": "DiffList",
            "items": change::changes(&drifted),
            "generation": response.generation,
        }),
        names: drifted.iter().map(|change| format!("{}/{}", change.kind, change.name)).collect(),
        human: Human::Text(text),
    })?;
    if drifted.is_empty() {
        return Ok(Exit::DONE);
    }
    context.output.note(&format!("make the mesh match: meshctl apply{}", args.files.flags()));
    Ok(Exit::NO)
}

fn described(change: &ObjectChange, context: &Context) -> String {
    let state = match change.action() {
        Action::Created => "missing",
        Action::Deleted => "not in the manifests",
        Action::Unspecified | Action::Configured | Action::Unchanged | Action::NotFound => {
            "drifted"
        }
    };
    let detail =
        if change.detail.is_empty() { String::new() } else { format!("  # {}", change.detail) };
    let diff = change::coloured(&change.diff, context.output.paint());
    format!("{}/{} {state}{detail}\n{diff}", change.kind, change.name)
}
