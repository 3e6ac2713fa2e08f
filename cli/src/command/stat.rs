//! `meshctl stat`: traffic, success and latency as a table, once or again and again.

use std::time::Instant;

use clap_complete::ArgValueCandidates;
use mesh_proto::codes;
use mesh_proto::v1::MetricsFrame;

use crate::command::numbers::rows::{self, Level};
use crate::command::numbers::{self, Choice, document};
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{Answer, Human};

/// Show traffic, success and latency of services
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl stat
  meshctl stat web --watch
  meshctl stat --duration 30s --fail-if 'success<99' --fail-if 'p99>250ms'")]
pub(crate) struct Args {
    /// Only these services
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::services))]
    names: Vec<String>,
    /// Show them again every second
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    choice: Choice,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if args.watch {
        return follow(&args.names, &args.choice, context).await;
    }
    if args.choice.duration.is_some() {
        let frame = last(&args.choice, context).await?;
        return finish(&frame, &args.names, &args.choice, context);
    }
    once(&args.names, &args.choice, context).await
}

/// One frame, shown and judged.
pub(crate) async fn once(
    names: &[String],
    choice: &Choice,
    context: &Context,
) -> Result<Exit, Failure> {
    let client = context.client().await?;
    let mut frames = numbers::frames(&client, choice.window(), true).await?;
    let frame = numbers::next(&mut frames).await?;
    finish(&frame, names, choice, context)
}

fn finish(
    frame: &MetricsFrame,
    names: &[String],
    choice: &Choice,
    context: &Context,
) -> Result<Exit, Failure> {
    let known = |name: &String| frame.services.iter().any(|service| service.name == *name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let message = format!("no service \"{unknown}\"");
        return Err(Failure::new(&codes::SERVICE_NOT_FOUND, message).fix("meshctl get services"));
    }
    context.output.show(&answer(frame, names, choice, context))?;
    choice.judge(frame, names)
}

/// The frame at the end of `--duration`.
async fn last(choice: &Choice, context: &Context) -> Result<MetricsFrame, Failure> {
    let client = context.client().await?;
    let ends = choice.duration.map(|duration| Instant::now() + duration.0);
    let mut frames = numbers::frames(&client, choice.window(), false).await?;
    loop {
        let frame = numbers::next(&mut frames).await?;
        if ends.is_none_or(|ends| Instant::now() >= ends) {
            return Ok(frame);
        }
    }
}

/// Frame after frame, until the time is over or the reader leaves.
pub(crate) async fn follow(
    names: &[String],
    choice: &Choice,
    context: &Context,
) -> Result<Exit, Failure> {
    let client = context.client().await?;
    let ends = choice.duration.map(|duration| Instant::now() + duration.0);
    let mut frames = numbers::frames(&client, choice.window(), false).await?;
    loop {
        let frame = numbers::next(&mut frames).await?;
        if context.output.is_structured() {
            let shown = |name: &str| is_wanted(name, names, choice);
            context.output.stream_item(&document::of(&frame, &shown))?;
        } else {
            context.output.show(&answer(&frame, names, choice, context))?;
            context.output.say("")?;
        }
        if ends.is_some_and(|ends| Instant::now() >= ends) {
            return choice.judge(&frame, names);
        }
    }
}

fn is_wanted(name: &str, names: &[String], choice: &Choice) -> bool {
    (names.is_empty() || names.iter().any(|wanted| wanted == name)) && choice.shows(name)
}

fn answer(frame: &MetricsFrame, names: &[String], choice: &Choice, context: &Context) -> Answer {
    let wide = context.output.is_wide();
    let deepest = if wide { Level::Endpoint } else { Level::Subset };
    let mut rows = rows::rows(frame, &choice.filter, choice.sort, &|_| Some(deepest));
    rows.retain(|row| is_wanted(&row.service, names, choice));
    let shown = |name: &str| is_wanted(name, names, choice);
    let services = rows.iter().filter(|row| row.level == Level::Service);
    Answer {
        document: document::of(frame, &shown),
        names: services.map(|row| format!("service/{}", row.service)).collect(),
        human: Human::Table(rows::table(&rows, wide)),
    }
}
