//! `meshctl bypass`: lets traffic go direct for a time, and ends that.

use clap_complete::ArgValueCandidates;
use mesh_proto::v1::{BeginBypassRequest, EndBypassRequest, Extent};

use crate::args::duration::Limit;
use crate::args::{Change, DryRun};
use crate::command::change::{self, Hint, Made};
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Let traffic go direct for a time, not through meshd
#[derive(clap::Args)]
#[command(
    override_usage = "meshctl bypass NAME|--all --for DUR|--end [OPTIONS]",
    before_help = "Examples:
  meshctl bypass web --for 10m
  meshctl bypass --all --for 1h --reason 'is it the mesh?'
  meshctl bypass web --end

It ends by itself, across restarts of meshd too. Connections that are open already stay where they
are. Addresses of endpoints go direct with every backend. Names lead to a ready endpoint that the
kernel picks, in plain text, with eBPF; under nft and iptables the name of a single service still
passes meshd, and with --all names are refused. Refused where mtls.mode is strict."
)]
pub(crate) struct Args {
    /// Name of the service
    #[arg(required_unless_present = "all", conflicts_with = "all",
          add = ArgValueCandidates::new(complete::services))]
    name: Option<String>,
    /// Everything this node captures
    #[arg(long)]
    all: bool,
    /// For how long, 1s to 24h
    #[arg(long = "for", value_name = "DUR", required_unless_present = "end")]
    lasting: Option<Limit>,
    /// End it now
    #[arg(long, conflicts_with = "lasting")]
    end: bool,
    #[command(flatten)]
    change: Change,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if args.change.dry_run == Some(DryRun::Client) {
        return Err(super::edit::no_manifest("bypass"));
    }
    let client = context.client().await?;
    let mutation = Some(context.mutation(&args.change));
    let extent = Some(Extent {
        all: args.all,
        namespace: context.namespace.clone(),
        service: args.name.clone().unwrap_or_default(),
    });
    let response = match args.lasting {
        Some(Limit(lasting)) => {
            let lasting = lasting.try_into().ok();
            let request = BeginBypassRequest { mutation, extent, lasting };
            client.call(client.bypasses().begin(request)).await?
        }
        None => client.call(client.bypasses().end(EndBypassRequest { mutation, extent })).await?,
    };
    change::show_one(&response, Made::by(&args.change), Hint::Undo, context)
}
