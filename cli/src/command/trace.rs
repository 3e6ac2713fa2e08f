//! `meshctl trace`: the story of one request, sent now or recorded before.

mod http;
mod list;
mod request;
mod samples;
mod story;
mod waterfall;

use mesh_proto::codes;
use mesh_proto::v1::{ListRecordsRequest, Record, RecordFilter};

use crate::client::Client;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Send one real request, or show recorded ones, with every decision
#[derive(clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    before_help = "Examples:
  meshctl trace request http://web.mesh/ --from cli
  meshctl trace list --to web --failed
  meshctl trace get 4bf92f35"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Request(request::Args),
    List(list::Args),
    Get(GetArgs),
}

/// Show one recorded trace again
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl trace get 4bf92f35
  meshctl trace get 4bf92f35 -o json --jq '.steps[] | select(.name == \"app\")'")]
struct GetArgs {
    /// Trace id, or how it begins
    id: String,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    match &args.command {
        Command::Request(args) => request::run(args, context).await,
        Command::List(args) => list::run(args, context).await,
        Command::Get(args) => get(args, context).await,
    }
}

async fn get(args: &GetArgs, context: &Context) -> Result<Exit, Failure> {
    let id = args.id.to_ascii_lowercase();
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!("\"{}\" is no trace id", args.id))
            .why("trace ids are hexadecimal, as `meshctl trace list` shows them"));
    }
    let client = context.client().await?;
    let records = of_trace(&client, &id).await?;
    let Some(story) = story::of_records(&records) else {
        return Err(Failure::new(&codes::RECORD_NOT_FOUND, format!("no record of trace {id}"))
            .why("it was never seen here, or newer requests have replaced it")
            .fix("meshctl trace list"));
    };
    context.output.show(&story.answer(&context.output))?;
    Ok(Exit::DONE)
}

/// The records of one trace, oldest first.
async fn of_trace(client: &Client, id: &str) -> Result<Vec<Record>, Failure> {
    let filter = RecordFilter { trace_id: id.to_owned(), ..RecordFilter::default() };
    newest(client, filter, 0).await
}

async fn newest(client: &Client, filter: RecordFilter, limit: u32) -> Result<Vec<Record>, Failure> {
    let request = ListRecordsRequest { filter: Some(filter), limit };
    let mut records = client.call(client.records().list(request)).await?.records;
    records.reverse();
    Ok(records)
}
