//! `meshctl deregister`: removes an endpoint, or a service with all of them.

use std::net::IpAddr;

use clap_complete::ArgValueCandidates;
use mesh_proto::v1::DeregisterRequest;

use crate::args::{Change, DryRun};
use crate::command::change::{self, Hint, Made};
use crate::command::register::Port;
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Remove an endpoint (or the service with --all)
#[derive(clap::Args)]
#[command(
    visible_alias = "unregister",
    before_help = "Examples:
  meshctl deregister web --port 8081
  meshctl deregister web --subset v2
  meshctl deregister web --all"
)]
pub(crate) struct Args {
    /// Name of the service
    #[arg(add = ArgValueCandidates::new(complete::services))]
    name: String,
    /// Port of the endpoint; without a protocol of connections and datagrams alike
    #[arg(long, value_name = "[tcp|http|grpc|udp:]N")]
    port: Option<Port>,
    /// Address of the endpoint
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// Every endpoint of this subset
    #[arg(long, value_name = "NAME")]
    subset: Option<String>,
    /// The service with every endpoint this node declared
    #[arg(long, conflicts_with_all = ["port", "address", "subset"])]
    all: bool,
    /// Fail (exit 5) when there is nothing to remove
    #[arg(long)]
    must_exist: bool,
    #[command(flatten)]
    change: Change,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let narrowed = args.port.is_some() || args.address.is_some() || args.subset.is_some();
    if !narrowed && !args.all {
        return Err(Failure::usage("which endpoint? nothing says")
            .fix(format!("meshctl deregister {} --port N", args.name))
            .fix(format!("meshctl deregister {} --all", args.name)));
    }
    if args.change.dry_run == Some(DryRun::Client) {
        return Err(super::edit::no_manifest("deregister"));
    }
    let client = context.client().await?;
    let request = DeregisterRequest {
        mutation: Some(context.mutation(&args.change)),
        namespace: context.namespace.clone(),
        service: args.name.clone(),
        port: args.port.as_ref().map_or(0, |port| port.number.into()),
        protocol: args.port.as_ref().map_or("", |port| port.protocol).to_owned(),
        address: args.address.map(|address| address.to_string()).unwrap_or_default(),
        subset: args.subset.clone().unwrap_or_default(),
        all: args.all,
        must_exist: args.must_exist,
    };
    let response = client.call(client.registry().deregister(request)).await?;
    change::show_one(&response, Made::by(&args.change), Hint::None, context)
}
