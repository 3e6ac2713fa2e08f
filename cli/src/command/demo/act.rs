//! The acts of the demo. Each types real commands and checks what came of them.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use mesh_proto::codes;

use super::load::{self, Answers};
use super::stage::Stage;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::number;
use crate::output::paint::{Mark, Tone};

const CANARY_REQUESTS: u32 = 1000;
const OUTAGE_REQUESTS: u32 = 3000;
/// How long the load runs before a backend is stopped.
const BEFORE_OUTAGE: Duration = Duration::from_millis(200);
/// Points the measured share may differ from the declared one.
const TOLERANCE: f64 = 3.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Act {
    Call,
    Canary,
    Outage,
    Story,
    Numbers,
}

impl Act {
    pub(super) const ALL: [Self; 5] =
        [Self::Call, Self::Canary, Self::Outage, Self::Story, Self::Numbers];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Canary => "canary",
            Self::Outage => "outage",
            Self::Story => "story",
            Self::Numbers => "numbers",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Call => "call: an unmodified program, captured in the kernel",
            Self::Canary => "canary: a split that is live when the command returns",
            Self::Outage => "outage: a backend stops, no request is lost",
            Self::Story => "story: what one request met, step by step",
            Self::Numbers => "numbers: what the mesh has seen",
        }
    }

    pub(super) async fn play(self, stage: &mut Stage, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Call => call(stage, context).await,
            Self::Canary => canary(stage, context).await,
            Self::Outage => outage(stage, context).await,
            Self::Story => {
                let request = ["trace", "request", "http://web.mesh/api/users/1", "--from", "cli"];
                typed(stage, &request, context).await.map(drop)
            }
            Self::Numbers => {
                typed(stage, &["stat", "-o", "wide"], context).await?;
                typed(stage, &["status"], context).await.map(drop)
            }
        }
    }
}

/// Declares the services; the first captured answer says how long all of that took.
pub(super) async fn prologue(
    stage: &mut Stage,
    started: Instant,
    context: &Context,
) -> Result<(), Failure> {
    for (port, subset) in [("http:3000", "v1"), ("http:3001", "v1"), ("http:3002", "v2")] {
        let register = ["register", "web", "--port", port, "--subset", subset];
        let health = ["--health", "http:/health", "--interval", "200ms"];
        typed(stage, &[&register[..], &health].concat(), context).await?;
    }
    let first = load::send(stage, 1).await?;
    if first.lost > 0 {
        return Err(unmet("the first request through the mesh had no answer"));
    }
    let after = number::elapsed(started.elapsed());
    good(&format!("first captured answer {after} after the start"), context)
}

async fn call(stage: &Stage, context: &Context) -> Result<(), Failure> {
    typed(stage, &["get", "services"], context).await?;
    if load::has_curl() {
        for path in ["", "api/users/1"] {
            let url = format!("http://web.mesh/{path}");
            let words = ["run", "--as", "cli", "--", "curl", "-s", &url];
            let answer = typed(stage, &words, context).await?;
            if !answer.contains("Hello from the backend") && path.is_empty() {
                return Err(unmet("curl did not get the backend's greeting"));
            }
        }
    }
    Ok(())
}

async fn canary(stage: &Stage, context: &Context) -> Result<(), Failure> {
    typed(stage, &["split", "web", "v1=90", "v2=10"], context).await?;
    let answers = load::send(stage, CANARY_REQUESTS).await?;
    shares(&answers, context)?;
    let off = (answers.percent("v2") - 10.0).abs();
    if off > TOLERANCE || answers.lost > 0 {
        let message = format!("the canary got {:.1}%, not 10%", answers.percent("v2"));
        return Err(unmet(&message).why(format!("{} requests were lost", answers.lost)));
    }
    good(
        &format!("the canary got its share from the first request on, {off:.1} points off"),
        context,
    )
}

fn shares(answers: &Answers, context: &Context) -> Result<(), Failure> {
    let cell = context.output.paint().plain("█", "#");
    for (version, count) in &answers.by_version {
        let percent = answers.percent(version);
        let bar = cell.repeat((percent / 2.5) as usize);
        context.output.say(&format!("  {version}  {count:>5}  {percent:>5.1}%  {bar}"))?;
    }
    Ok(())
}

async fn outage(stage: &mut Stage, context: &Context) -> Result<(), Failure> {
    let victim = stage.backends.iter().position(|backend| backend.port == 3001);
    let Some(victim) = victim else {
        return Ok(());
    };
    let victim = stage.backends.remove(victim);
    context.output.say(&format!("{OUTAGE_REQUESTS} requests are on their way ..."))?;
    let (answers, stopped) = tokio::join!(load::send(stage, OUTAGE_REQUESTS), async {
        tokio::time::sleep(BEFORE_OUTAGE).await;
        let said = context.output.say("backend :3001 stops now");
        drop(victim);
        said
    });
    stopped?;
    let answers = answers?;
    shares(&answers, context)?;
    if answers.lost > 0 {
        let message = format!("{} of {} requests were lost", answers.lost, answers.total());
        return Err(unmet(&message).fix("meshctl demo --act outage --keep"));
    }
    good(&format!("{} requests, 0 lost", answers.total()), context)?;
    let unready = "jsonpath={.status.ready}=2";
    typed(stage, &["wait", "service/web", "--for", unready, "--timeout", "10s"], context).await?;
    typed(stage, &["get", "services"], context).await.map(drop)
}

/// Shows a command as if somebody typed it, runs it, shows and returns what it said.
async fn typed(stage: &Stage, words: &[&str], context: &Context) -> Result<String, Failure> {
    let prompt = format!("$ meshctl {}", words.join(" "));
    context.output.say(&context.output.paint().tone(Tone::Strong, &prompt))?;
    let mut command = load::meshctl(stage)?;
    if context.output.paint().has_colour() {
        command.args(["--color", "always"]);
    }
    let output = command.args(words).output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !text.is_empty() {
        context.output.say(text.trim_end_matches('\n'))?;
    }
    if output.status.success() {
        return Ok(text);
    }
    if output.status.signal().is_some() {
        return Err(unmet("interrupted").exiting(Exit::INTERRUPTED));
    }
    let failure = unmet(&format!("the demo's command failed: meshctl {}", words.join(" ")));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(said.lines().fold(failure, |failure, line| failure.why(line.trim())))
}

fn good(line: &str, context: &Context) -> Result<(), Failure> {
    let mark = context.output.paint().mark(Mark::Ok);
    context.output.say(&format!("{mark} {line}"))
}

/// The demo promised something that did not happen.
fn unmet(message: &str) -> Failure {
    Failure::new(&codes::LOCAL, message)
}
