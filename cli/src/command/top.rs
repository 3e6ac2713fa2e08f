//! `meshctl top`: the services of the mesh, live.
//!
//! Without a terminal it is `stat --watch`; `--once` answers once, for scripts.

mod screen;
mod terminal;
mod view;

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use mesh_proto::v1::MetricsFrame;
use tonic::Streaming;

use crate::client::Client;
use crate::command::numbers::{self, Choice};
use crate::command::stat;
use crate::context::Context;
use crate::error::{Exit, Failure};
use terminal::{Input, Terminal};
use view::{Asked, View};

/// Watch services, their subsets and endpoints live
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl top
  meshctl top --once -o json --jq '.services[].stats.rps'
  meshctl top --duration 30s --fail-if 'success<99'")]
pub(crate) struct Args {
    /// Print one frame and end
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    choice: Choice,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if args.once {
        return stat::once(&[], &args.choice, context).await;
    }
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let interactive = io::stdout().is_terminal() && io::stdin().is_terminal() && !dumb;
    if !interactive || context.output.is_structured() {
        return stat::follow(&[], &args.choice, context).await;
    }
    let client = context.client().await?;
    let mut view = View::new(&args.choice, context.output.paint().has_unicode());
    let mut terminal = Terminal::enter()?;
    let ended = watch(&mut view, &mut terminal, &client, args).await;
    drop(terminal);
    if ended? == Ended::Interrupted {
        return Ok(Exit::INTERRUPTED);
    }
    match view.frame() {
        Some(frame) => args.choice.judge(frame, &[]),
        None => Ok(Exit::DONE),
    }
}

#[derive(PartialEq, Eq)]
enum Ended {
    Properly,
    /// By Ctrl-C or a signal.
    Interrupted,
}

/// Draws frame after frame until somebody quits or the time is over.
async fn watch(
    view: &mut View,
    terminal: &mut Terminal,
    client: &Client,
    args: &Args,
) -> Result<Ended, Failure> {
    let ends = args.choice.duration.map(|duration| Instant::now() + duration.0);
    let mut frames = numbers::frames(client, view.window(), false).await?;
    loop {
        terminal.draw(view)?;
        match next(&mut frames, terminal, ends).await? {
            Happened::Frame(frame) => view.take(*frame),
            Happened::Input(Input::Key(key)) => match view.press(key) {
                Asked::Nothing => {}
                Asked::Window => frames = numbers::frames(client, view.window(), false).await?,
                Asked::Quit => return Ok(Ended::Properly),
                Asked::Interrupt => return Ok(Ended::Interrupted),
            },
            Happened::Input(Input::Resized) => {}
            Happened::Input(Input::Stop) => return Ok(Ended::Interrupted),
            Happened::TimeOver => return Ok(Ended::Properly),
        }
    }
}

enum Happened {
    Frame(Box<MetricsFrame>),
    Input(Input),
    TimeOver,
}

async fn next(
    frames: &mut Streaming<MetricsFrame>,
    terminal: &mut Terminal,
    ends: Option<Instant>,
) -> Result<Happened, Failure> {
    let left = ends.map(|ends| ends.saturating_duration_since(Instant::now()));
    let time_over = tokio::time::sleep(left.unwrap_or(Duration::MAX));
    tokio::select! {
        frame = numbers::next(frames) => Ok(Happened::Frame(Box::new(frame?))),
        input = terminal.input() => Ok(Happened::Input(input)),
        () = time_over, if ends.is_some() => Ok(Happened::TimeOver),
    }
}
