//! `meshctl detach`: lets processes go that `attach` brought in.

use mesh_proto::v1::DetachRequest;

use crate::args::subject::Which;
use crate::command::change::{self, Hint, Made};
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Take a PID, systemd unit, container or user out of the mesh again
#[derive(clap::Args)]
#[command(
    override_usage = "meshctl detach --pid|--unit|--container|--netns|--uid|--cgroup X [OPTIONS]",
    before_help = "Examples:
  sudo meshctl detach --unit web.service
  meshctl detach --pid 812

Connections that pass the mesh go on; new ones go direct. `meshctl get attachments` lists what is
attached."
)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Fail (exit 5) when it is not attached
    #[arg(long)]
    must_exist: bool,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let client = context.client().await?;
    let subject = Some(args.which.subject());
    let request = DetachRequest { subject, must_exist: args.must_exist };
    let response = client.call(client.attachments().detach(request)).await?;
    change::show_one(&response, Made::Really, Hint::None, context)
}
