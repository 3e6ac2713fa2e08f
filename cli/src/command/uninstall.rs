//! `meshctl uninstall`: everything off the host again, and the proof of it.
//!
//! Needs no daemon, no settings file and no receipt: whatever carries our names goes.

use std::time::{Duration, Instant};

use mesh_proto::codes;
use nix::unistd::geteuid;
use serde_json::json;

use crate::args::duration::Limit;
use crate::command::install::{Lock, ask, done};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::host::places::{CONFIG, Places};
use crate::host::receipt::{Receipt, replace};
use crate::host::removal::{Data, Removal};
use crate::host::{daemon, settings};
use crate::output::paint::Mark;

const DEFAULT_DRAIN: Duration = Duration::from_secs(10);

/// Remove everything install created, then prove nothing is left
#[derive(clap::Args)]
#[command(before_help = "Examples:
  sudo meshctl uninstall
  sudo meshctl uninstall -y --keep-data
  sudo meshctl uninstall -y --drain 60s

Works without a running meshd, and without its settings or receipt. A second run finds nothing.")]
pub(crate) struct Args {
    /// Keep the state folder: services, routes, history
    #[arg(long)]
    keep_data: bool,
    /// How long open connections may go on [default: 10s]
    #[arg(long, value_name = "DUR")]
    drain: Option<Limit>,
    /// Compare the host with the snapshot the installation took
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    verify: bool,
    /// Do not ask whether to proceed
    #[arg(short, long)]
    yes: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let said = settings::places();
    let receipt = Receipt::read(&said).or_else(|| Receipt::read(&Places::default()));
    let places = receipt.as_ref().map_or(said, |receipt| receipt.places.clone());
    let data = if args.keep_data { Data::Keep } else { Data::Remove };
    let drain = args.drain.map_or(DEFAULT_DRAIN, |limit| limit.0);
    let removal = Removal { places, receipt, data, drain };
    let found = removal.found();
    if found.is_empty() {
        context.output.say("not installed, nothing to do")?;
        return outcome("unchanged", &removal, context);
    }
    if !geteuid().is_root() {
        return Err(Failure::new(&codes::PERMISSION, "uninstalling needs root")
            .why("it removes files, a group, and rules of the kernel")
            .fix("sudo meshctl uninstall"));
    }
    announce(&removal, &found, context)?;
    ask::proceed(args.yes, context)?;
    let _lock = Lock::take()?;
    remove(removal, args.verify, context)
}

fn announce(removal: &Removal, found: &[String], context: &Context) -> Result<(), Failure> {
    let status = daemon::status(&removal.places);
    let what = status.map_or_else(
        || "This removes meshd from this host.".to_owned(),
        |status| {
            let endpoints = status.capture.map_or(0, |capture| capture.local_endpoints);
            let (node, mesh) = (status.node, status.mesh);
            let drain = removal.drain;
            format!(
                "This removes meshd from {node} (mesh {mesh}). {endpoints} local endpoints leave \
                 the mesh; open connections drain for {drain:?}."
            )
        },
    );
    context.output.say(&what)?;
    found.iter().for_each(|line| context.detail(|| format!("  - {line}")));
    Ok(())
}

fn remove(mut removal: Removal, verify: bool, context: &Context) -> Result<Exit, Failure> {
    let started = Instant::now();
    removal.begin()?;
    drain(&removal, context)?;
    let since = Instant::now();
    let mut left = removal.remove_capture();
    done(context, "capture removed", since);
    let since = Instant::now();
    left.extend(removal.remove_files());
    // What cannot be removed keeps its receipt, so that the next try knows of it.
    if !left.is_empty() {
        let failure = Failure::new(&codes::LOCAL, "something could not be removed");
        let failure = left.into_iter().fold(failure, Failure::why);
        return Err(failure.fix("sudo meshctl uninstall       (again, once the cause is gone)"));
    }
    removal.remove_state()?;
    let how = if removal.receipt.is_some() { "per receipt" } else { "by name" };
    done(context, &format!("files, unit, group, socket removed ({how})"), since);
    if verify {
        prove(&removal, context)?;
    }
    let mark = context.output.paint().mark(Mark::Ok);
    context
        .output
        .say(&format!("{mark} uninstalled in {:.1}s", started.elapsed().as_secs_f64()))?;
    outcome("removed", &removal, context)
}

/// Stops meshd. It reads its settings once more on the way: there stands how long it may take.
fn drain(removal: &Removal, context: &Context) -> Result<(), Failure> {
    let since = Instant::now();
    let Some(pid) = daemon::running(&removal.places) else { return Ok(()) };
    let text = settings::file();
    if settings::is_ours(&text) {
        let secs = json!(removal.drain.as_secs());
        let text = settings::with(&text, &[("drain.grace_secs", secs)])?;
        replace(CONFIG.as_ref(), text.as_bytes(), 0o644)?;
    }
    if removal.stop_daemon() {
        done(context, &format!("meshd (pid {pid}) drained and stopped"), since);
    } else {
        context.output.warn(&format!("meshd (pid {pid}) did not end in time and was killed"));
    }
    Ok(())
}

/// The host equals the snapshot taken before the installation; what others changed since is
/// theirs, and told.
fn prove(removal: &Removal, context: &Context) -> Result<(), Failure> {
    let since = Instant::now();
    let (ours, others): (Vec<_>, Vec<_>) =
        removal.verify().into_iter().partition(|found| found.ours);
    if !ours.is_empty() {
        let failure = Failure::new(&codes::LOCAL, "the host is not as it was before the install");
        return Err(ours.into_iter().fold(failure, |failure, found| failure.why(found.what)));
    }
    let what = "verified: nft, iptables, ip rules, sysctls, bpffs, cgroups, files";
    let equal = match &removal.receipt {
        Some(_) => "equal to the pre-install snapshot",
        None => "carry nothing of ours (there was no snapshot)",
    };
    done(context, &format!("{what} {equal}"), since);
    if !others.is_empty() {
        let note = format!("{} changes others made since the install stay (-v)", others.len());
        context.output.warn(&note);
        others.iter().for_each(|found| context.detail(|| format!("      {}", found.what)));
    }
    Ok(())
}

fn outcome(action: &str, removal: &Removal, context: &Context) -> Result<Exit, Failure> {
    if context.output.is_structured() {
        context.output.document(&json!({
            "apiVersion": "mesh/v1",
            "kind": "Removal",
            "action": action,
            "dataKept": removal.data == Data::Keep,
        }))?;
    }
    Ok(Exit::DONE)
}
