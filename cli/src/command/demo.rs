//! `meshctl demo`: a small mesh in a network namespace of its own, and what it can do.
//!
//! Everything is real: meshd, captured programs, backends. The host is compared before and after.

mod act;
mod backend;
mod guest;
mod host;
mod load;
mod stage;

use std::time::Instant;

use mesh_proto::codes;
use nix::unistd::geteuid;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::context::{Context, block_on};
use crate::error::{Exit, Failure};
use act::Act;
use host::Host;
use stage::Stage;

/// Show the mesh at work, then remove every trace of it
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl demo
  meshctl demo --act canary
  sudo meshctl demo --keep

Needs no running meshd: it starts one in a network namespace of its own. Without root that is one
of a user namespace, and capture is that of `run --rootless`.")]
pub(crate) struct Args {
    /// Play only this act (repeatable)
    #[arg(long, value_name = "NAME")]
    act: Vec<Act>,
    /// Leave everything running afterwards, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if guest::is_inside() {
        return on_stage(args, context).1;
    }
    let before = Host::look();
    let (tag, ended) = match geteuid().is_root() {
        true => on_stage(args, context),
        false => guest::play(),
    };
    let left = before.differences(&Host::look(), &tag);
    if !left.is_empty() {
        let failure = Failure::new(&codes::LOCAL, "the host is not as it was before the demo");
        return Err(left.into_iter().fold(failure, Failure::why));
    }
    let exit = ended?;
    context.output.say("demo removed, host unchanged (verified)")?;
    if context.output.is_structured() {
        let acts: Vec<_> = acts(args).iter().map(|act| act.name()).collect();
        context.output.document(&json!({"acts": acts, "hostUnchanged": true}))?;
    }
    Ok(exit)
}

/// Builds the stage, plays, and takes everything down; the tag is what all of it carried.
fn on_stage(args: &Args, context: &Context) -> (String, Result<Exit, Failure>) {
    let started = Instant::now();
    let mut stage = match Stage::build() {
        Ok(stage) => stage,
        Err(failure) => return (stage::tag_of(std::process::id()), Err(failure)),
    };
    let ended = block_on(until_interrupted(play(args, &mut stage, started, context)));
    let tag = stage.tag();
    let struck = stage.strike();
    (tag, struck.and(ended))
}

fn acts(args: &Args) -> Vec<Act> {
    if args.act.is_empty() { Act::ALL.to_vec() } else { args.act.clone() }
}

async fn play(
    args: &Args,
    stage: &mut Stage,
    started: Instant,
    context: &Context,
) -> Result<Exit, Failure> {
    stage.open(context).await?;
    act::prologue(stage, started, context).await?;
    for act in acts(args) {
        context.output.say(&format!("\n== {} ==", act.title()))?;
        act.play(stage, context).await?;
    }
    context.output.say("")?;
    if args.keep {
        context.output.say(&stage.visitors_guide())?;
        context.output.say("everything stays until Ctrl-C")?;
        std::future::pending::<()>().await;
    }
    Ok(Exit::DONE)
}

/// Ctrl-C and SIGTERM end the play, not the cleaning up after it.
async fn until_interrupted(
    play: impl Future<Output = Result<Exit, Failure>>,
) -> Result<Exit, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        ended = play => match ended {
            // Ctrl-C goes to the command being shown as well, and may end that first.
            Err(failure) if failure.exit == Exit::INTERRUPTED => Ok(Exit::INTERRUPTED),
            ended => ended,
        },
        _ = interrupt.recv() => Ok(Exit::INTERRUPTED),
        _ = terminate.recv() => Ok(Exit::INTERRUPTED),
    }
}
