//! Takes the steps, and takes them back.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mesh_proto::codes;

use super::plan::{Plan, Step};
use super::{Survey, done};
use crate::context::Context;
use crate::error::Failure;
use crate::host::places::{CONFIG, GROUP, Places};
use crate::host::receipt::{Made, Receipt, Stage, replace};
use crate::host::removal::{Data, Removal};
use crate::host::snapshot::Snapshot;
use crate::host::{program, removal, service, settings};

/// Connections of an installation that is taken back at once are not worth waiting for.
const NO_DRAIN: Duration = Duration::from_secs(1);

/// How the host gets back to what it was. Decided before the first step.
#[derive(Clone)]
pub(super) enum Rollback {
    /// Nothing was installed: everything goes.
    Remove(Places, Data),
    /// Something was: the files get their old content, and meshd restarts with them.
    Restore { places: Places, files: Vec<(PathBuf, Vec<u8>, u32)>, systemd: bool },
}

impl Rollback {
    pub(super) fn of(survey: &Survey, plan: &Plan) -> Self {
        let places = survey.places.clone();
        if survey.stage() != Some(Stage::Installed) {
            let had_state = removal::exists(&places.state) && survey.receipt.is_none();
            return Self::Remove(places, if had_state { Data::Keep } else { Data::Remove });
        }
        let changed = plan.steps.iter().filter_map(|step| match step {
            Step::Program { path } | Step::File { path, .. } => Some(path.clone()),
            Step::Clear
            | Step::Group
            | Step::Folder { .. }
            | Step::Enable
            | Step::Start
            | Step::Reload => None,
        });
        let files = changed.filter_map(|path| {
            let content = fs::read(&path).ok()?;
            let mode = fs::metadata(&path).ok()?.permissions().mode() & 0o7777;
            Some((path, content, mode))
        });
        Self::Restore { places, files: files.collect(), systemd: survey.systemd }
    }

    /// Names what is not as it was before.
    pub(super) fn roll_back(&self) -> Vec<String> {
        match self {
            Self::Remove(places, data) => remove(places, *data),
            Self::Restore { places, files, systemd } => {
                let mut left = Vec::new();
                for (path, content, mode) in files {
                    let restored = replace(path, content, *mode);
                    left.extend(restored.err().map(|e| format!("{}: {e}", path.display())));
                }
                service::stop(places, NO_DRAIN);
                let started = service::start(places, *systemd);
                left.extend(started.err().map(|failure| failure.message().to_owned()));
                left
            }
        }
    }
}

/// Takes a whole installation off; names what of it is left.
fn remove(places: &Places, data: Data) -> Vec<String> {
    let receipt = Receipt::read(places);
    let mut removal = Removal { places: places.clone(), receipt, data, drain: NO_DRAIN };
    let mut left = Vec::new();
    left.extend(removal.begin().err().map(|error| format!("the receipt: {error}")));
    removal.stop_daemon();
    left.extend(removal.remove_capture());
    left.extend(removal.remove_files());
    left.extend(removal.remove_state().err().map(|error| error.to_string()));
    let ours = removal.verify().into_iter().filter(|found| found.ours);
    left.extend(ours.map(|found| found.what));
    left
}

/// Takes every step; the first that fails ends it.
pub(super) fn execute(
    survey: &Survey,
    plan: &Plan,
    rollback: &Rollback,
    context: &Context,
) -> Result<(), Failure> {
    if plan.has(&Step::Clear) {
        let left = rollback.roll_back();
        if let Some(first) = left.first() {
            let message = "what an earlier installation left cannot be removed";
            return Err(Failure::new(&codes::LOCAL, message).why(first.clone()));
        }
    }
    let mut receipt = match (&survey.receipt, rollback) {
        (Some(receipt), Rollback::Restore { .. }) => receipt.clone(),
        _ => Receipt {
            version: survey.plan.version.clone(),
            stage: Stage::Installing,
            systemd: survey.systemd,
            places: survey.places.clone(),
            before: Snapshot::take(&survey.places),
            made: Vec::new(),
        },
    };
    for step in &plan.steps {
        take(step, survey, &mut receipt, context)?;
    }
    Ok(())
}

fn take(
    step: &Step,
    survey: &Survey,
    receipt: &mut Receipt,
    context: &Context,
) -> Result<(), Failure> {
    match step {
        Step::Clear => {}
        Step::Folder { path, mode } => {
            // The journal is in the state folder, which so is the one thing made before it.
            if *path != receipt.places.state {
                receipt.intend(Made::Folder { path: path.clone() })?;
            }
            folder(path, *mode)?;
        }
        Step::Group => {
            receipt.intend(Made::Group { name: GROUP.to_owned() })?;
            let group = ["groupadd", "--system", GROUP];
            let busybox = ["addgroup", "-S", GROUP];
            let words = if program::find("groupadd").is_some() { group } else { busybox };
            program::must(&words)?;
        }
        Step::Program { path } => {
            receipt.intend(Made::File { path: path.clone(), before: None })?;
            replace(path, &survey.program(), 0o755)?;
        }
        Step::File { path, text } => {
            let is_settings = path == Path::new(CONFIG);
            let foreign = !survey.before.is_empty() && !settings::is_ours(&survey.before);
            let before = (is_settings && foreign).then(|| survey.before.clone());
            receipt.intend(Made::File { path: path.clone(), before })?;
            replace(path, text.as_bytes(), 0o644)?;
        }
        Step::Enable => {
            receipt.intend(Made::Enabled { path: Places::enabled() })?;
            service::enable()?;
        }
        Step::Start => {
            receipt.intend(Made::Daemon)?;
            start(survey, context)?;
        }
        Step::Reload => reload(survey, context)?,
    }
    Ok(())
}

fn folder(path: &Path, mode: u32) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    // The mode asked for, whatever the umask says.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn start(survey: &Survey, context: &Context) -> Result<(), Failure> {
    let since = Instant::now();
    // An older one ends in its own order before the new one takes its ports.
    if !survey.systemd {
        service::stop(&survey.places, NO_DRAIN);
    }
    let status = service::start(&survey.places, survey.systemd)?;
    done(context, &format!("meshd {} started (pid {})", status.version, status.pid), since);
    let capture = status.capture.unwrap_or_default();
    let what = if capture.backend == "nft" { "rules" } else { "programs" };
    done(
        context,
        &format!("capture armed: {}, {} {what}", capture.backend, capture.programs),
        since,
    );
    Ok(())
}

/// Settings that only a start reads need one.
fn reload(survey: &Survey, context: &Context) -> Result<(), Failure> {
    let since = Instant::now();
    let status = service::reload(&survey.places)?;
    let problem = |id: &str| status.problems.iter().find(|problem| problem.id == id);
    if problem("settings/restart").is_some() {
        return start(survey, context);
    }
    if let Some(refused) = problem("settings/refused").or_else(|| problem("settings/capture")) {
        let message = "meshd does not go by the new settings";
        return Err(Failure::new(&codes::CAPTURE_FAILED, message).why(refused.summary.clone()));
    }
    done(context, &format!("settings in force (pid {} goes on)", status.pid), since);
    Ok(())
}

/// From now on it is installed.
pub(super) fn finish(survey: &Survey) -> Result<(), Failure> {
    if let Some(mut receipt) = Receipt::read(&survey.places) {
        receipt.version.clone_from(&survey.plan.version);
        receipt.enter(Stage::Installed)?;
    }
    Ok(())
}
