//! `meshctl events`: what happened in the mesh, newest last.

use std::time::{Duration, SystemTime};

use mesh_proto::v1::{Event, StreamEventsRequest};
use serde_json::json;

use crate::args::duration::Limit;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::number;

/// Show what happened: capture, health, settings
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl events
  meshctl events --since 10m --severity warning
  meshctl events --follow -o json

meshd keeps the newest thousand in memory, since its start.")]
pub(crate) struct Args {
    /// Only those of this last time
    #[arg(long, value_name = "DUR")]
    since: Option<Limit>,
    /// Go on with new ones, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only those at least this bad
    #[arg(long, value_name = "LEVEL", default_value = "info", hide_default_value = true)]
    severity: Severity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
enum Severity {
    Info,
    Warning,
    Error,
}

impl Severity {
    fn of(event: &Event) -> Self {
        match event.severity.as_str() {
            "error" => Self::Error,
            "warning" => Self::Warning,
            _ => Self::Info,
        }
    }
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let client = context.client().await?;
    let since = args.since.and_then(|since| SystemTime::now().checked_sub(since.0));
    let asked = StreamEventsRequest { since: since.map(Into::into), follow: args.follow };
    let mut events = client.events().stream(asked).await?.into_inner();
    while let Some(event) = events.message().await? {
        if Severity::of(&event) >= args.severity {
            show(&event, context)?;
        }
    }
    Ok(Exit::DONE)
}

fn show(event: &Event, context: &Context) -> Result<(), Failure> {
    if context.output.is_structured() {
        return context.output.stream_item(&json!({
            "time": event.time.map(|time| time.to_string()),
            "kind": event.kind,
            "subject": event.subject,
            "message": event.message,
            "severity": event.severity,
        }));
    }
    let time = event.time.and_then(|time| SystemTime::try_from(time).ok());
    let age = time.and_then(|time| time.elapsed().ok()).unwrap_or(Duration::ZERO);
    let (kind, subject, message) = (&event.kind, &event.subject, &event.message);
    let level = if Severity::of(event) == Severity::Info { "" } else { &event.severity };
    let line = format!("{:>6} ago  {level:<7}  {kind:<20}  {subject}  {message}", number::age(age));
    context.output.say(&line)
}
