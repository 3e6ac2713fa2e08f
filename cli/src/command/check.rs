//! `meshctl check`: is this host fit for the mesh, and does the mesh on it work.
//!
//! Each check has an id, and where it is not ok a cause and a fix. What can be proven is tried:
//! the probes open sockets from a run scope and see whether the mesh takes them.

mod capture;
mod conflict;
mod daemon;
mod dns;
mod firewall;
mod layers;
mod platform;
mod ports;
mod probe;
mod report;
mod upkeep;

use std::time::{Duration, Instant};

use mesh_proto::codes;

use crate::args::duration::Limit;
use crate::context::Context;
use crate::error::{Exit, Failure, did_you_mean};
use crate::host::places::Places;
use crate::host::{process, program, settings};
pub(crate) use report::Report;
use report::{Check, Status};

/// Between two tries of `--wait`.
const PAUSE: Duration = Duration::from_millis(250);

const CATEGORIES: [&str; 10] = [
    "platform", "firewall", "ports", "dns", "time", "disk", "conflict", "daemon", "capture",
    "services",
];
/// What a host must have before anything of ours is there.
const BEFORE: [&str; 7] = ["platform", "firewall", "ports", "dns", "time", "disk", "conflict"];

/// Test this host (--pre) or the running mesh
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl check --pre
  meshctl check
  meshctl check --service web
  meshctl check --category capture,dns -o json
  meshctl check --wait 30s --fail-on warn -o junit > check.xml

Output formats beside the usual ones: short (a line a check) and junit. Exits 1 when a check fails.
Every id is explained in docs/checks.md.")]
pub(crate) struct Args {
    /// Before an installation: only what the host itself must have
    #[arg(long)]
    pre: bool,
    /// Only these categories (comma separated, repeatable)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    category: Vec<String>,
    /// Why one service cannot be reached: names the layer that fails
    #[arg(long, value_name = "NAME", conflicts_with_all = ["pre", "category"])]
    service: Option<String>,
    /// What counts as failed: fail or warn
    #[arg(long, value_name = "LEVEL", default_value = "fail", hide_default_value = true)]
    fail_on: FailOn,
    /// Try again for this long until nothing fails
    #[arg(long, value_name = "DUR")]
    wait: Option<Limit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    Fail,
    Warn,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    for name in &args.category {
        if !CATEGORIES.contains(&name.as_str()) {
            let failure = Failure::usage(format!("no category \"{name}\" (--category)"));
            let guess = did_you_mean(name, CATEGORIES);
            let known = format!("there are {}", CATEGORIES.join(", "));
            return Err(failure.why(guess.unwrap_or(known)));
        }
    }
    let started = Instant::now();
    let deadline = started + args.wait.map_or(Duration::ZERO, |wait| wait.0);
    let report = loop {
        let report = match &args.service {
            Some(name) => layers::of(name, context)?,
            None => Report { checks: all(args, context) },
        };
        if !failed(&report, args) || Instant::now() >= deadline {
            break report;
        }
        process::pause(PAUSE);
    };
    report.show(started.elapsed(), context)?;
    Ok(if failed(&report, args) { Exit::NO } else { Exit::DONE })
}

fn failed(report: &Report, args: &Args) -> bool {
    let (_, warnings, failures) = report.counts();
    failures > 0 || (args.fail_on == FailOn::Warn && warnings > 0)
}

fn all(args: &Args, context: &Context) -> Vec<Check> {
    let wanted = |category: &str| {
        (args.category.is_empty() || args.category.iter().any(|name| name == category))
            && (!args.pre || BEFORE.contains(&category))
    };
    let mut places = settings::places();
    if context.socket != Places::default().socket {
        places.socket.clone_from(&context.socket);
    }
    let running = crate::host::daemon::running(&places).is_some();
    let mut checks = Vec::new();
    let plan = settings::plan(&program::beside_us("meshd"), &settings::file());
    if BEFORE.iter().any(|category| wanted(category)) {
        checks.extend(before(plan.as_ref().ok(), running));
    }
    if wanted("daemon") {
        checks.extend(daemon::checks(&places, plan.as_ref().err()));
    } else if let Err(failure) = &plan
        && wanted("platform")
    {
        let check = Check::fail("platform/meshd", "meshd cannot be asked what it would do");
        checks.push(check.because(failure.message()).fixed_by("meshd --plan"));
    }
    if wanted("services") && running {
        checks.extend(daemon::services(context));
    }
    // Last: the probes move this process into a run scope.
    if wanted("capture") {
        checks.extend(capture::checks(context));
    }
    checks.retain(|check| wanted(check.category()));
    checks
}

/// What must hold on a host before an installation.
fn before(plan: Option<&settings::Plan>, running: bool) -> Vec<Check> {
    let mut checks = platform::checks(plan);
    checks.extend(firewall::checks(running));
    checks.extend(ports::checks(plan, running));
    checks.extend(dns::checks());
    checks.extend(upkeep::checks());
    checks.extend(conflict::checks(running));
    checks
}

/// The pre-check of an installation.
pub(crate) fn before_install(plan: &settings::Plan, running: bool) -> Report {
    Report { checks: before(Some(plan), running) }
}

impl Report {
    /// Why nothing may be installed, if so.
    pub(crate) fn refusal(&self) -> Result<(), Failure> {
        let Some(first) = self.checks.iter().find(|check| check.status == Status::Fail) else {
            return Ok(());
        };
        let code = match first.category() {
            "platform" => codes::HOST_UNSUPPORTED,
            "ports" => codes::PORT_IN_USE,
            _ => codes::STATE_IN_USE,
        };
        let message = format!("{}: {}", first.id, first.summary);
        let mut failure = Failure::new(&code, message).why(first.why.clone());
        for other in self.checks.iter().filter(|check| check.status == Status::Fail).skip(1) {
            failure = failure.why(format!("{}: {}", other.id, other.summary));
        }
        Err(failure.why("nothing was written").fix(first.fix.clone()))
    }
}
