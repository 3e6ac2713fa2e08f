//! What a run scope stands for, kept on its cgroup.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Scope, Wanted};
use crate::capture::cgroup;
use crate::model::{Egress, ServiceName};

const KEY: &str = "user.meshd.run";
/// A command line may be as long as the kernel allows; the note may not.
const MAX_COMMAND: usize = 4096;
/// Of more processes the first are noted; the others go where the first one came from.
const MAX_ORIGINS: usize = 256;

#[derive(Deserialize, Serialize)]
pub(super) struct Note {
    namespace: Option<String>,
    name: Option<String>,
    uid: u32,
    command: Vec<String>,
    /// As `Egress` is written; empty in notes of older daemons.
    #[serde(default)]
    egress: String,
    #[serde(default)]
    attached: Option<u32>,
    /// Cgroup the first process came from, relative to the mount.
    pub(super) origin: String,
    /// Processes that came from elsewhere.
    #[serde(default)]
    pub(super) origins: BTreeMap<u32, String>,
}

impl Note {
    pub(super) fn wanted(&self) -> Wanted {
        let service =
            |name: &String| ServiceName::new(self.namespace.as_deref().unwrap_or_default(), name);
        Wanted {
            service: self.name.as_ref().map(service),
            uid: self.uid,
            command: self.command.clone(),
            // What cannot be read allows nothing.
            egress: self.egress.parse().unwrap_or(Egress::Mesh),
            attached: self.attached,
        }
    }
}

pub(super) fn write(scope: &Scope) -> io::Result<()> {
    let mut room = MAX_COMMAND;
    let fits = |word: &&String| {
        let fits = word.len() <= room;
        room = room.saturating_sub(word.len());
        fits
    };
    let Wanted { service, uid, command, egress, attached } = &scope.run.wanted;
    let origins = scope.origins.iter().take(MAX_ORIGINS);
    let note = Note {
        namespace: service.as_ref().map(|service| service.namespace.clone()),
        name: service.as_ref().map(|service| service.name.clone()),
        uid: *uid,
        command: command.iter().take_while(fits).cloned().collect(),
        egress: egress.to_string(),
        attached: *attached,
        origin: scope.origin.clone(),
        origins: origins.map(|(pid, origin)| (*pid, origin.clone())).collect(),
    };
    cgroup::set_note(&scope.path, KEY, &serde_json::to_vec(&note)?)
}

pub(super) fn read(scope: &Path) -> io::Result<Note> {
    Ok(serde_json::from_slice(&cgroup::note(scope, KEY)?)?)
}
