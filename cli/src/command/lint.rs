//! `meshctl lint`: are manifests right? Offline, with the code the daemon uses.

use mesh_proto::manifest::parse;
use serde_json::json;

use crate::command::edit;
use crate::command::files::Files;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{Answer, Human};

/// Validate manifests offline
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl lint -f mesh.yaml
  meshctl route web --to web:v2 --dry-run=client | meshctl lint -f -")]
pub(crate) struct Args {
    #[command(flatten)]
    files: Files,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let documents = args.files.read()?;
    let objects = parse(&documents).map_err(|errors| edit::refused(&errors))?;
    let names: Vec<_> = objects.iter().map(|object| object.key().to_string()).collect();
    let text = names.iter().map(|name| format!("{name} ok\n")).collect();
    context.output.show(&Answer {
        document: json!({"apiVersion": "mesh/v1", "kind": "LintList", "items": names}),
        names,
        human: Human::Text(text),
    })?;
    if objects.is_empty() {
        context.output.note("no objects in there");
    }
    Ok(Exit::DONE)
}
