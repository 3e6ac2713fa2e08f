//! `meshctl delete`: removes declared objects.

use clap_complete::ArgValueCompleter;
use mesh_proto::v1::{ChangeResponse, DeleteRequest};

use crate::args::{Change, DryRun, target};
use crate::command::change::{self, Made};
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Delete objects
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl delete route/web
  meshctl delete service/web route/web --must-exist")]
pub(crate) struct Args {
    /// What to delete
    #[arg(required = true, value_name = "KIND/NAME", add = ArgValueCompleter::new(complete::targets))]
    targets: Vec<String>,
    /// Fail (exit 5) when there is nothing to delete
    #[arg(long)]
    must_exist: bool,
    #[command(flatten)]
    change: Change,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let targets = target::named_targets(&args.targets)?;
    if args.change.dry_run == Some(DryRun::Client) {
        return Err(super::edit::no_manifest("delete"));
    }
    if targets.iter().any(|(kind, _)| *kind == "run") {
        return Err(Failure::usage("a run is not deleted: it ends with its last process"));
    }
    if targets.iter().any(|(kind, _)| *kind == "attachment") {
        return Err(Failure::usage("an attachment is not deleted: meshctl detach lets it go"));
    }
    let client = context.client().await?;
    let mut whole = ChangeResponse::default();
    for (kind, name) in targets {
        let request = DeleteRequest {
            mutation: Some(context.mutation(&args.change)),
            kind: kind.to_owned(),
            namespace: context.namespace.clone(),
            name,
            must_exist: args.must_exist,
        };
        let response = client.call(client.manifests().delete(request)).await?;
        whole.changes.extend(response.changes);
        whole.warnings.extend(response.warnings);
        whole.live = response.live.or(whole.live);
        whole.undo = response.undo.max(whole.undo);
        whole.generation = response.generation;
    }
    change::show_all(&whole, Made::by(&args.change), context)
}
