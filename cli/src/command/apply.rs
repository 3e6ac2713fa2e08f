//! `meshctl apply`: makes the mesh what the manifests say, all of it or nothing.

use mesh_proto::v1::ApplyRequest;

use crate::args::{Change, DryRun};
use crate::command::change::{self, Made};
use crate::command::files::Files;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Apply manifests, all of them or none
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl apply -f mesh.yaml
  meshctl apply -f mesh/ --dry-run
  meshctl export | meshctl apply -f -")]
pub(crate) struct Args {
    #[command(flatten)]
    files: Files,
    /// Name of the set these manifests make up
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    set: String,
    /// Delete objects of the set that the manifests no longer contain
    #[arg(long, requires = "set")]
    prune: bool,
    #[command(flatten)]
    change: Change,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let documents = args.files.read()?;
    if args.change.dry_run == Some(DryRun::Client) {
        return super::edit::show_documents(&documents, context);
    }
    let client = context.client().await?;
    let request = ApplyRequest {
        mutation: Some(context.mutation(&args.change)),
        documents,
        set: args.set.clone(),
        prune: args.prune,
    };
    let response = client.call(client.manifests().apply(request)).await?;
    change::show_all(&response, Made::by(&args.change), context)
}
