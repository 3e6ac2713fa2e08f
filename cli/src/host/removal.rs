//! Takes an installation off the host, whatever state it is in.
//!
//! Every step looks for itself what there is to do, so that a removal cut short is simply
//! repeated; the receipt goes last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::places::{CONFIG, GROUP, Places};
use super::receipt::{Made, Receipt, Stage, replace};
use super::snapshot::{Difference, Snapshot};
use super::{daemon, program, remains, service, settings};

/// What is to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Remove,
    /// The state folder stays, without our receipt and log.
    Keep,
}

/// An installation to be removed, with or without its receipt.
pub(crate) struct Removal {
    pub(crate) places: Places,
    pub(crate) receipt: Option<Receipt>,
    pub(crate) data: Data,
    /// How long open connections may go on.
    pub(crate) drain: Duration,
}

impl Removal {
    /// What there is to remove, in words; empty when nothing is installed.
    pub(crate) fn found(&self) -> Vec<String> {
        let Self { places, receipt, .. } = self;
        let mut found = Vec::new();
        found.extend(daemon::running(places).map(|pid| format!("meshd (pid {pid})")));
        found.extend(remains::found(places));
        let files = self.files().into_iter().chain([places.receipt(), places.log()]);
        found.extend(files.filter(|path| exists(path)).map(|path| path.display().to_string()));
        if self.data == Data::Remove && exists(&places.state) {
            found.push(places.state.display().to_string());
        }
        let made_group = receipt.as_ref().is_some_and(|receipt| {
            receipt.made.iter().any(|made| matches!(made, Made::Group { .. }))
        });
        if made_group && has_group() {
            found.push(format!("group {GROUP}"));
        }
        found
    }

    /// Files that are ours by name, or by what they say of themselves.
    fn files(&self) -> Vec<PathBuf> {
        let places = &self.places;
        let mut files = vec![Places::unit(), places.program(), places.socket.clone()];
        if settings::is_ours(&settings::file()) {
            files.push(CONFIG.into());
        }
        files
    }

    /// Notes in the receipt that the removal began.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        match &mut self.receipt {
            Some(receipt) if exists(&receipt.places.receipt()) => receipt.enter(Stage::Removing),
            _ => Ok(()),
        }
    }

    /// Stops meshd; `false`: it had to be killed.
    pub(crate) fn stop_daemon(&self) -> bool {
        if service::has_unit() {
            service::disable();
        }
        service::stop(&self.places, self.drain)
    }

    /// Takes off what a stopped or killed meshd may have left; names what could not be.
    pub(crate) fn remove_capture(&self) -> Vec<String> {
        let places = &self.places;
        if remains::found(places).is_empty() {
            return Vec::new();
        }
        // It knows where the processes of a run came from; by name they only get out.
        let meshd = [places.program(), program::beside_us("meshd")];
        if let Some(meshd) = meshd.iter().find(|path| path.is_file()) {
            let state = places.state.display().to_string();
            let meshd = meshd.display().to_string();
            let cgroup = places.cgroup.as_str();
            let config = if exists(Path::new(CONFIG)) { CONFIG } else { "/dev/null" };
            program::run(&[
                &meshd,
                "--cleanup",
                "--config",
                config,
                "--cgroup",
                cgroup,
                "--state-dir",
                &state,
            ]);
        }
        remains::remove(places)
    }

    /// Removes files, folders, unit and group; the receipt with the state folder comes last.
    pub(crate) fn remove_files(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut failed = |what: &Path, result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                problems.push(format!("{}: {error}", what.display()));
            }
            Ok(()) | Err(_) => {}
        };
        let made = self.receipt.as_ref().map(|receipt| receipt.made.clone()).unwrap_or_default();
        let had_unit = service::has_unit();
        for path in self.files() {
            let before = made.iter().find_map(|made| {
                let Made::File { path: file, before } = made else { return None };
                before.clone().filter(|_| *file == path)
            });
            match before {
                Some(text) => failed(&path, replace(&path, text.as_bytes(), mode_of(&path))),
                None => failed(&path, fs::remove_file(&path)),
            }
        }
        for made in made.iter().rev() {
            match made {
                Made::Folder { path } if *path != self.places.state => {
                    failed(path, unless_in_use(fs::remove_dir(path)));
                }
                Made::Enabled { path } => failed(path, fs::remove_file(path)),
                Made::File { .. } | Made::Group { .. } | Made::Folder { .. } | Made::Daemon => {}
            }
        }
        self.remove_folders_by_name(&mut failed);
        if had_unit {
            service::forget();
        }
        problems.extend(self.remove_group(&made));
        problems
    }

    fn remove_folders_by_name(&self, failed: &mut impl FnMut(&Path, io::Result<()>)) {
        let config = Path::new(CONFIG).parent().map(Path::to_owned);
        let socket = self.places.socket_folder().map(Path::to_owned);
        for folder in config.into_iter().chain(socket) {
            let was_there =
                self.receipt.as_ref().is_some_and(|receipt| receipt.before.had(&folder));
            if !was_there {
                failed(&folder, unless_in_use(fs::remove_dir(&folder)));
            }
        }
    }

    /// Without a receipt nobody knows whether the group was there before: it stays when it has
    /// members.
    fn remove_group(&self, made: &[Made]) -> Option<String> {
        let ours = match &self.receipt {
            Some(_) => made.iter().any(|made| matches!(made, Made::Group { .. })),
            None => group_line().is_some_and(|line| line.ends_with(':')),
        };
        if !ours || !has_group() {
            return None;
        }
        let tool = if program::find("groupdel").is_some() { "groupdel" } else { "delgroup" };
        let said = program::run(&[tool, GROUP])?;
        (!said.ok).then(|| format!("group {GROUP}: {}", said.stderr))
    }

    /// Removes the state folder, or what of it is not data; the receipt last of all.
    pub(crate) fn remove_state(&self) -> io::Result<()> {
        let places = &self.places;
        let receipt = places.receipt();
        let entries = fs::read_dir(&places.state).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| *path != receipt) {
            let is_data = path != places.log() && !path.ends_with("install.json.new");
            if self.data == Data::Remove || !is_data {
                if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
            }
        }
        if exists(&receipt) {
            fs::remove_file(&receipt)?;
        }
        match self.data {
            Data::Remove if exists(&places.state) => fs::remove_dir(&places.state),
            Data::Remove | Data::Keep => Ok(()),
        }
    }

    /// How the host differs from before; without a receipt, what of ours is still there.
    pub(crate) fn verify(&self) -> Vec<Difference> {
        let state = &self.places.state;
        match &self.receipt {
            Some(receipt) => {
                // Data that was there before, or is to stay, is not compared.
                let is_kept = self.data == Data::Keep || receipt.before.had(state);
                let kept = if is_kept { vec![state.clone()] } else { Vec::new() };
                receipt.before.differences(&Snapshot::take(&self.places), &kept)
            }
            None => {
                let left = self.found().into_iter();
                left.map(|what| Difference { what, ours: true }).collect()
            }
        }
    }
}

/// Also a link that leads nowhere is there.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Somebody else's files are in it: then it stays.
fn unless_in_use(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => other,
    }
}

fn mode_of(path: &Path) -> u32 {
    let found = fs::metadata(path).ok();
    found.map_or(0o644, |found| std::os::unix::fs::MetadataExt::mode(&found) & 0o7777)
}

fn group_line() -> Option<String> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    let ours = |line: &&str| line.strip_prefix(GROUP).is_some_and(|rest| rest.starts_with(':'));
    groups.lines().find(ours).map(str::to_owned)
}

pub(crate) fn has_group() -> bool {
    group_line().is_some()
}
