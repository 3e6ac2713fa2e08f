//! Attachments: processes that already run, captured by what they are.
//!
//! A restarted unit has a new cgroup, a restarted container a new namespace: what was attached is
//! remembered in the state directory and found again within milliseconds, since the folder it
//! appears in is watched. Single processes are not here but moved into a scope of [`super::Runs`].

mod disk;
pub(super) mod find;
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::block_in_place;
use tracing::{info, warn};

use super::cgroup::{self, Mount};
use super::folders::Folders;
use super::{Namespaces, netns, process};
use crate::model::{Egress, Scope, ServiceName, Subject, Workload};
use crate::state::Interner;
use disk::Disk;
pub(crate) use find::FindError;
use memory::Memory;

/// How often everything is looked for, for what no watched folder tells: a runtime's container,
/// a namespace without a name.
const SWEEP: Duration = Duration::from_secs(1);

/// What somebody attached, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) subject: Subject,
    /// The service it acts as; `None` for no identity.
    pub(crate) service: Option<ServiceName>,
    /// Who attached it.
    pub(crate) uid: u32,
    /// What besides the mesh it may reach, as `Egress` is written.
    #[serde(with = "memory::as_text")]
    pub(crate) egress: Egress,
}

/// Where its processes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) scope: Scope,
    /// Path below the cgroup2 mount; empty where no cgroup is its bound.
    pub(crate) cgroup: String,
    /// Network namespaces its processes are in, meshd's own left out.
    pub(crate) namespaces: Namespaces,
}

/// An attachment and where it is; `None` while its processes are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) attachment: Attachment,
    pub(crate) found: Option<Found>,
    /// The cgroup it had last.
    last: String,
}

/// Where an attachment was known to be when it was looked for, and where it is.
#[derive(Debug)]
pub(crate) struct Sight {
    subject: Subject,
    before: Option<Found>,
    now: Option<Found>,
}

/// What changed since the last look.
#[derive(Debug)]
pub(crate) enum Turn {
    Appeared(Held),
    /// With where it was.
    Vanished(Attachment, Found),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    #[error(transparent)]
    Find(#[from] FindError),
    /// Two attachments cannot have the same processes.
    #[error("the same processes are attached as {0}")]
    Taken(Subject),
    #[error("cannot remember it in {}", path.display())]
    Remember {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Everything attached but single processes. Whoever changes it or acts on its changes holds
/// [`Attachments::table`].
#[derive(Debug)]
pub(crate) struct Attachments {
    mount: Option<Mount>,
    /// Changed by whoever has the table.
    memory: std::sync::Mutex<Memory>,
    disk: Disk,
    watches: Folders,
    table: Mutex<Table>,
}

/// By subject.
pub(crate) type Table = BTreeMap<Subject, Held>;

impl Attachments {
    /// Remembers what an earlier daemon had; [`Self::refresh`] finds it.
    ///
    /// # Errors
    /// The kernel gives no inotify descriptor, or the file cannot be read.
    pub(crate) fn open(state_dir: &Path) -> io::Result<Self> {
        let (memory, known) = Memory::open(state_dir.join("attachments"))?;
        let held = |attachment: Attachment| {
            let held = Held { attachment, found: None, last: String::new() };
            (held.attachment.subject.clone(), held)
        };
        let (memory, table) = (memory.into(), Mutex::new(known.into_iter().map(held).collect()));
        let (disk, watches) = (Disk::default(), Folders::new()?);
        Ok(Self { mount: Mount::find().ok(), memory, disk, watches, table })
    }

    /// For a change and everything that follows from it, one after the other.
    pub(crate) async fn table(&self) -> tokio::sync::MutexGuard<'_, Table> {
        self.table.lock().await
    }

    /// Attaches, or changes what is attached already: remembered before it is acted on, in a way
    /// that the end of meshd cannot undo ([`disk`]). Blocks.
    ///
    /// # Errors
    /// Nothing of that name runs, or it could not be remembered; the table is unchanged.
    pub(crate) fn put(
        &self,
        table: &mut Table,
        attachment: Attachment,
    ) -> Result<Held, AttachError> {
        let subject = attachment.subject.clone();
        let known = table.get(&subject);
        let last = known.map(|held| held.last.clone()).unwrap_or_default();
        let found = find::find(self.mount.as_ref(), &subject, &last)?;
        let key = found.scope.key();
        let same = |other: &&Held| {
            other.found.as_ref().is_some_and(|at| at.scope.key() == key)
                && other.attachment.subject != subject
        };
        if let Some(other) = table.values().find(same) {
            return Err(AttachError::Taken(other.attachment.subject.clone()));
        }
        let held = Held { attachment, last: found.cgroup.clone(), found: Some(found) };
        let before = table.insert(subject.clone(), held.clone());
        let remembered = self.memory().attached(&held.attachment, table);
        if let Err(source) = remembered {
            match before {
                Some(before) => table.insert(subject, before),
                None => table.remove(&subject),
            };
            return Err(self.forgetful(source));
        }
        self.disk.written();
        if let Some(folder) = self.folder(&held) {
            self.note(self.watches.add(self.living(&folder)));
        }
        Ok(held)
    }

    /// Returns what was attached; its processes go on uncaptured once the caller acted on it. Blocks.
    ///
    /// # Errors
    /// It could not be forgotten for good; the table is unchanged.
    pub(crate) fn take(
        &self,
        table: &mut Table,
        subject: &Subject,
    ) -> Result<Option<Held>, AttachError> {
        let Some(held) = table.remove(subject) else { return Ok(None) };
        let remembered = self.memory().detached(subject, table);
        if let Err(source) = remembered {
            table.insert(subject.clone(), held);
            return Err(self.forgetful(source));
        }
        self.disk.written();
        self.watch(table);
        Ok(Some(held))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forgetful(&self, source: io::Error) -> AttachError {
        AttachError::Remember { path: self.memory().path.clone(), source }
    }

    /// Looks for everything again. Nobody has to wait for the table meanwhile: a look at a thousand
    /// takes tens of milliseconds, at a runtime that hangs seconds.
    pub(crate) async fn look(&self) -> Vec<Sight> {
        let table = self.table().await;
        // Watched first: what appears in between is told again.
        self.watch(&table);
        let known = |held: &Held| (held.attachment.subject.clone(), held.last.clone());
        let known: Vec<_> = table.values().map(|held| (known(held), held.found.clone())).collect();
        drop(table);
        let look = |((subject, last), before): ((Subject, String), _)| {
            let now = find::find(self.mount.as_ref(), &subject, &last).ok();
            Sight { subject, before, now }
        };
        block_in_place(|| known.into_iter().map(look).collect())
    }

    /// Takes what was seen for what is, and tells what came and went.
    pub(crate) fn refresh(&self, table: &mut Table, seen: Vec<Sight>) -> Vec<Turn> {
        let mut turns = Vec::new();
        for Sight { subject, before, now: found } in seen {
            // Whoever attached or detached it since knows better.
            let unchanged = |held: &&mut Held| is_same(held.found.as_ref(), before.as_ref());
            let Some(held) = table.get_mut(&subject).filter(unchanged) else { continue };
            if is_same(found.as_ref(), held.found.as_ref()) {
                if let Some(found) = found {
                    held.found = Some(found); // its namespaces may be others
                }
                continue;
            }
            if let Some(gone) = held.found.take() {
                info!(attachment = %subject, "its processes are gone");
                turns.push(Turn::Vanished(held.attachment.clone(), gone));
            }
            if let Some(found) = found {
                info!(attachment = %subject, cgroup = found.cgroup, "its processes are there");
                held.last.clone_from(&found.cgroup);
                held.found = Some(found);
                turns.push(Turn::Appeared(held.clone()));
            }
        }
        if !turns.is_empty() {
            self.watch(table);
        }
        turns
    }

    /// Returns when [`Self::refresh`] may have something to tell.
    pub(crate) async fn stirred(&self) {
        // Late is as good: it is time to look anyway.
        let _stirred_or_late = tokio::time::timeout(SWEEP, self.watches.stirred()).await;
    }

    /// Network namespaces the attached processes are in, meshd's own left out.
    pub(crate) fn namespaces(table: &Table) -> Namespaces {
        let found = table.values().filter_map(|held| held.found.as_ref());
        found.flat_map(|found| found.namespaces.clone()).collect()
    }

    fn watch(&self, table: &Table) {
        // Many share a folder: each is looked for once.
        let folders: BTreeSet<PathBuf> =
            table.values().filter_map(|held| self.folder(held)).collect();
        let folders = folders.iter().map(|folder| self.living(folder));
        self.note(self.watches.set(folders.collect()));
    }

    /// `folder`, or what is left above it.
    fn living(&self, folder: &Path) -> PathBuf {
        let mount = self.mount.as_ref().filter(|mount| folder.starts_with(mount.root()));
        mount.map_or_else(|| folder.to_owned(), |mount| cgroup::living_ancestor(mount, folder))
    }

    fn note(&self, watched: io::Result<()>) {
        if let Err(error) = watched {
            warn!(%error, "restarted units are noticed late");
        }
    }

    /// Where its processes would appear and vanish.
    fn folder(&self, held: &Held) -> Option<PathBuf> {
        let subject = &held.attachment.subject;
        let last = match subject {
            Subject::Cgroup(path) => path,
            Subject::Netns(name) => return netns::path_of(name).parent().map(Path::to_owned),
            Subject::Unit(_) | Subject::Container(_) => &held.last,
            Subject::Uid(_) | Subject::Pid(_) => return None,
        };
        let mount = self.mount.as_ref()?;
        let path = mount.path(last);
        let above = path.parent().filter(|_| !last.is_empty()).unwrap_or(mount.root());
        Some(above.to_owned())
    }

    /// The processes that were found, now.
    pub(crate) fn pids(&self, found: &Found) -> Vec<u32> {
        match found.scope {
            Scope::Cgroup(_) => {
                let mount = self.mount.as_ref();
                mount.map(|mount| cgroup::members(&mount.path(&found.cgroup))).unwrap_or_default()
            }
            Scope::Netns(_) => {
                found.namespaces.keys().flat_map(|inode| process::in_network(*inode)).collect()
            }
            Scope::Uid(uid) => process::processes(|pid| process::effective_uid(pid) == Some(uid)),
            Scope::Host => Vec::new(),
        }
    }

    /// Whose processes `subject` names; `None`: only root may decide about them.
    pub(crate) fn owner(&self, subject: &Subject) -> io::Result<Option<u32>> {
        find::owner(self.mount.as_ref(), subject)
    }
}

/// Whether any process of the unit or container runs.
pub(crate) fn is_running(attachments: &Attachments, subject: &Subject) -> bool {
    let found = find::find(attachments.mount.as_ref(), subject, "");
    found.is_ok_and(|found| !attachments.pids(&found).is_empty())
}

impl Held {
    /// What the data plane knows of it, by its key; the store gives it its number.
    pub(crate) fn workload(&self) -> Option<(u64, Workload)> {
        let Attachment { subject, service, uid, egress } = &self.attachment;
        let found = self.found.as_ref()?;
        let workload = Workload {
            id: Interner::NONE,
            label: service.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            service: service.clone(),
            run: subject.short(),
            cgroup: found.cgroup.clone(),
            uid: *uid,
            scope: found.scope,
            egress: egress.clone(),
        };
        Some((found.scope.key(), workload))
    }
}

/// The same processes, or none both times; what namespaces they are in may have changed.
fn is_same(one: Option<&Found>, other: Option<&Found>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one.scope, &one.cgroup) == (other.scope, &other.cgroup),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

impl Found {
    fn plain(scope: Scope) -> Self {
        Self { scope, cgroup: String::new(), namespaces: Namespaces::new() }
    }
}
