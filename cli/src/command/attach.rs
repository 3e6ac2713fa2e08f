//! `meshctl attach`: brings processes that already run into the mesh.

use clap_complete::ArgValueCandidates;
use mesh_proto::v1::AttachRequest;

use crate::args::subject::Which;
use crate::command::change::{self, Hint, Made};
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Bring a PID, systemd unit, container or user into the mesh (new connections only)
#[derive(clap::Args)]
#[command(
    override_usage = "meshctl attach --pid|--unit|--container|--netns|--uid|--cgroup X [OPTIONS]",
    before_help = "Examples:
  sudo meshctl attach --unit web.service --as web
  sudo meshctl attach --container 3f2a9c --as shop
  meshctl attach --pid 812 --as batch --allow-egress mesh

Connections that are open already stay as they are. Everything but a PID is remembered: it is
found again after a restart of its processes or of meshd."
)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Service the processes act as [default: none]
    #[arg(long = "as", value_name = "NAME", add = ArgValueCandidates::new(complete::services))]
    service: Option<String>,
    /// What they may reach beside the mesh: hosts, *.suffixes, networks, each with an optional :PORT
    #[arg(long, value_name = "any|mesh|LIST", default_value = "any")]
    allow_egress: String,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let client = context.client().await?;
    let request = AttachRequest {
        subject: Some(args.which.subject()),
        r#as: args.service.clone().unwrap_or_default(),
        namespace: context.namespace.clone(),
        allow_egress: args.allow_egress.clone(),
    };
    let response = client.call(client.attachments().attach(request)).await?;
    change::show_one(&response, Made::Really, Hint::None, context)
}
