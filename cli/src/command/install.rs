//! `meshctl install`: meshd on this host, as a whole or not at all.
//!
//! What is shown is what is done: one [`Plan`] value is printed, asked about and executed. From
//! its first step until it is confirmed a second process stands by that takes everything back if
//! this one dies.

pub(crate) mod ask;
mod execute;
mod guard;
mod plan;
mod selftest;
mod show;
mod survey;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use mesh_proto::codes;
use serde_json::{Value, json};

use crate::args::duration::Limit;
use crate::command::check;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::host::receipt::Stage;
use crate::output::paint::Mark;
use execute::Rollback;
pub(crate) use guard::Lock;
use plan::Plan;
use survey::Survey;

/// How long an installation over SSH waits to be confirmed.
const CONFIRM_WITHIN: Duration = Duration::from_secs(60);

/// Install meshd on this host; confirmed over SSH, else rolled back
#[derive(clap::Args)]
#[command(before_help = "Examples:
  sudo meshctl install
  meshctl install --dry-run
  sudo meshctl install -y --backend nft --exclude-cidr 10.9.0.0/16

Nothing is intercepted until you register, run or attach; port 22 never is. A second run changes
what its flags say and keeps the rest. Exits 10 when it was not confirmed, 8 where the host cannot.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
    /// Roll back unless confirmed in time [default: 60s over SSH on a terminal, else off]
    #[arg(long, value_name = "DUR")]
    confirm_within: Option<Limit>,
    /// Do not ask for confirmation although this is an SSH session
    #[arg(long, value_name = "RISK")]
    accept_risk: Option<Risk>,
    /// Start meshd as a plain daemon: no unit, and no start after a reboot
    #[arg(long)]
    no_systemd: bool,
    /// Folder whose libexec/ takes meshd [default: /usr/local]
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// Print every file, unit, rule and route, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask whether to proceed
    #[arg(short, long)]
    yes: bool,
}

/// Flags that become settings of meshd.
#[derive(clap::Args)]
#[command(next_help_heading = "Settings of meshd")]
pub(crate) struct SettingFlags {
    /// Whose traffic is captured [default: services, those that are run, attached or registered]
    #[arg(long, value_name = "SCOPE")]
    capture: Option<Scope>,
    /// How: auto, ebpf, nft or iptables [default: auto]
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// Name of the mesh [default: default]
    #[arg(long, value_name = "NAME")]
    mesh: Option<String>,
    /// Name of this node [default: the host name]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// SPIFFE trust domain [default: MESH.mesh]
    #[arg(long, value_name = "NAME")]
    trust_domain: Option<String>,
    /// Whether meshd answers for .mesh whatever name server is asked; off: names lead nowhere, and
    /// services are reached by address [default: on]
    #[arg(long, value_name = "MODE")]
    dns: Option<Switch>,
    /// Port never captured: 9000, tcp:9000, udp:9000-9010 (repeatable)
    #[arg(long, value_name = "PORT")]
    exclude_port: Vec<String>,
    /// Addresses never captured (repeatable)
    #[arg(long, value_name = "CIDR")]
    exclude_cidr: Vec<String>,
    /// User never captured (repeatable)
    #[arg(long, value_name = "UID")]
    exclude_uid: Vec<u32>,
    /// Interface whose traffic is never captured (repeatable)
    #[arg(long, value_name = "NAME")]
    exclude_interface: Vec<String>,
    /// Cgroup never captured, below the cgroup2 mount (repeatable)
    #[arg(long, value_name = "PATH")]
    exclude_cgroup: Vec<String>,
    /// What becomes of other traffic while meshd is down [default: open, it flows]
    #[arg(long, value_name = "MODE")]
    fail_mode: Option<FailMode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scope {
    Services,
    Host,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailMode {
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Risk {
    LoseSsh,
}

impl SettingFlags {
    /// The keys of the settings file that the flags stand for.
    fn keys(&self) -> Vec<(&'static str, Value)> {
        let mut keys = Vec::new();
        let mut set = |key, value: Option<Value>| keys.extend(value.map(|value| (key, value)));
        let text = |value: &Option<String>| value.as_ref().map(|value| json!(value));
        let list = |values: &[String]| (!values.is_empty()).then(|| json!(values));
        set("mesh", text(&self.mesh));
        set("node", text(&self.node));
        set("trust_domain", text(&self.trust_domain));
        set("capture.backend", text(&self.backend));
        match self.capture {
            Some(Scope::Services) => set("capture.scope", Some(json!("services"))),
            Some(Scope::Host) => set("capture.scope", Some(json!("host"))),
            Some(Scope::None) => set("capture.backend", Some(json!("none"))),
            None => {}
        }
        let dns = self.dns.map(|dns| match dns {
            Switch::On => json!("on"),
            Switch::Off => json!("off"),
        });
        set("capture.dns", dns);
        set("capture.exclude.ports", list(&self.exclude_port));
        set("capture.exclude.cidrs", list(&self.exclude_cidr));
        let uids = &self.exclude_uid;
        set("capture.exclude.uids", (!uids.is_empty()).then(|| json!(uids)));
        set("capture.exclude.interfaces", list(&self.exclude_interface));
        set("capture.exclude.cgroups", list(&self.exclude_cgroup));
        let mode = self.fail_mode.map(|mode| match mode {
            FailMode::Open => json!("open"),
            FailMode::Closed => json!("closed"),
        });
        set("capture.fail_mode", mode);
        keys
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let survey = Survey::of(args)?;
    let plan = Plan::of(&survey);
    let checks = check::before_install(&survey.plan, survey.is_running());
    if args.dry_run {
        show::dry_run(&survey, &plan, &checks, context)?;
        return Ok(Exit::DONE);
    }
    if !survey.facts.root {
        return Err(Failure::new(&codes::PERMISSION, "installing needs root")
            .why("it makes a group, files, and rules of the kernel")
            .fix("sudo meshctl install       (meshctl install --dry-run needs no root)"));
    }
    if plan.steps.is_empty() {
        return show::unchanged(&survey, context);
    }
    if survey.stage() != Some(Stage::Installed) {
        checks.refusal()?;
    }
    show::plan(&survey, &plan, &checks, context)?;
    let confirm = confirmation(args, &survey);
    if let Some(within) = confirm {
        show::confirmation_ahead(&survey, within, context);
    }
    ask::proceed(args.yes, context)?;
    install(&survey, &plan, confirm, context)
}

/// How long to wait for a confirmation; `None`: not at all.
fn confirmation(args: &Args, survey: &Survey) -> Option<Duration> {
    let asked = args.confirm_within.map(|limit| limit.0);
    let by_itself = survey.facts.ssh.is_some() && args.accept_risk.is_none() && ask::is_terminal();
    asked.or_else(|| by_itself.then_some(CONFIRM_WITHIN)).filter(|within| !within.is_zero())
}

fn install(
    survey: &Survey,
    plan: &Plan,
    confirm: Option<Duration>,
    context: &Context,
) -> Result<Exit, Failure> {
    let started = Instant::now();
    let lock = Lock::take()?;
    let rollback = Rollback::of(survey, plan);
    let guard = guard::Guard::stand_by(&rollback)?;
    let done = execute::execute(survey, plan, &rollback, context)
        .and_then(|()| selftest::run(survey, context));
    if let Err(failure) = done {
        let left = rollback.roll_back();
        guard.release();
        return Err(rolled_back(failure, &left));
    }
    if let Some(within) = confirm
        && !ask::still_connected(within, context)
    {
        let began = Instant::now();
        let left = rollback.roll_back();
        guard.release();
        let failure = Failure::new(&codes::NEEDS_CONFIRMATION, "not confirmed");
        if left.is_empty() {
            let took = began.elapsed().as_secs_f64();
            let how = format!(
                "not confirmed: rolled back in {took:.1}s, host verified identical to before"
            );
            return Err(Failure::new(&codes::NEEDS_CONFIRMATION, how)
                .why(format!("nobody pressed Enter within {within:?}"))
                .fix("sudo meshctl install       (and confirm, or give --accept-risk lose-ssh)"));
        }
        return Err(rolled_back(failure, &left));
    }
    execute::finish(survey)?;
    guard.release();
    drop(lock);
    show::installed(survey, started.elapsed(), context)
}

/// The failure, with what became of the host.
fn rolled_back(failure: Failure, left: &[String]) -> Failure {
    if left.is_empty() {
        return failure.why("everything was rolled back; the host is verified identical to before");
    }
    let failure = failure.why("rolled back, but this is left:");
    let failure = left.iter().fold(failure, |failure, line| failure.why(line.clone()));
    failure.fix("sudo meshctl uninstall")
}

/// A finished step, with how long it took.
pub(crate) fn done(context: &Context, what: &str, since: Instant) {
    let mark = context.output.stderr_mark(Mark::Ok);
    context.output.note(&format!("  {mark} {what:<50} {:.1}s", since.elapsed().as_secs_f64()));
}
