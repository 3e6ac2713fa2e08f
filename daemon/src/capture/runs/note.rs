//! What a run scope stands for, kept on its cgroup.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Run;
use crate::capture::cgroup;
use crate::model::ServiceName;

const KEY: &str = "user.meshd.run";
/// A command line may be as long as the kernel allows; the note may not.
const MAX_COMMAND: usize = 4096;

#[derive(Deserialize, Serialize)]
pub(super) struct Note {
    namespace: Option<String>,
    name: Option<String>,
    pub(super) uid: u32,
    pub(super) command: Vec<String>,
    /// Cgroup the first process came from, relative to the mount.
    pub(super) origin: String,
}

impl Note {
    pub(super) fn service(&self) -> Option<ServiceName> {
        let name = self.name.as_deref()?;
        Some(ServiceName::new(self.namespace.as_deref().unwrap_or_default(), name))
    }
}

pub(super) fn write(scope: &Path, run: &Run, origin: &str) -> io::Result<()> {
    let mut room = MAX_COMMAND;
    let fits = |word: &&String| {
        let fits = word.len() <= room;
        room = room.saturating_sub(word.len());
        fits
    };
    let note = Note {
        namespace: run.service.as_ref().map(|service| service.namespace.clone()),
        name: run.service.as_ref().map(|service| service.name.clone()),
        uid: run.uid,
        command: run.command.iter().take_while(fits).cloned().collect(),
        origin: origin.to_owned(),
    };
    cgroup::set_note(scope, KEY, &serde_json::to_vec(&note)?)
}

pub(super) fn read(scope: &Path) -> io::Result<Note> {
    Ok(serde_json::from_slice(&cgroup::note(scope, KEY)?)?)
}
