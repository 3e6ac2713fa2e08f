//! `meshctl undo`: reverts one change, or returns to an earlier state; itself a change.

use clap_complete::ArgValueCandidates;
use mesh_proto::v1::UndoRequest;

use crate::args::{Change, DryRun};
use crate::command::change::{self, Made};
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Revert the newest change, change N, or everything after N
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl undo
  meshctl undo 12
  meshctl undo --to 3 --dry-run")]
pub(crate) struct Args {
    /// Number of the change to revert [default: the newest]
    #[arg(value_name = "N", add = ArgValueCandidates::new(complete::generations))]
    generation: Option<u64>,
    /// Return to the state after this change
    #[arg(long, value_name = "N", conflicts_with = "generation",
          add = ArgValueCandidates::new(complete::generations))]
    to: Option<u64>,
    #[command(flatten)]
    change: Change,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if args.change.dry_run == Some(DryRun::Client) {
        return Err(super::edit::no_manifest("undo"));
    }
    let client = context.client().await?;
    let request = UndoRequest {
        mutation: Some(context.mutation(&args.change)),
        generation: args.generation.unwrap_or_default(),
        to: args.to,
    };
    let response = client.call(client.manifests().undo(request)).await?;
    change::show_all(&response, Made::by(&args.change), context)
}
