//! Run scopes: one cgroup per `meshctl run` or `attach --pid`, gone with its last process.
//!
//! What a scope stands for is written on the cgroup itself (an extended attribute), so that a
//! daemon started after a crash adopts it.

mod attach;
mod note;
mod reap;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::cgroup::{self, Mount};
use crate::config;
use crate::model::{Egress, ServiceName};

/// What ids begin with: of commands that were run, and of processes that were attached.
const PREFIXES: [&str; 2] = ["run-", "attach-"];
/// Ended runs nobody has heard of yet.
const ENDED_BACKLOG: usize = 256;

/// What a scope is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The service it runs as; `None` for an ephemeral run.
    pub(crate) service: Option<ServiceName>,
    /// Who asked for it.
    pub(crate) uid: u32,
    pub(crate) command: Vec<String>,
    pub(crate) egress: Egress,
    /// The process `attach` was told; `None` for what `run` started.
    pub(crate) attached: Option<u32>,
}

/// What `meshctl run` started, or `attach --pid` moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// "run-7f3a", "attach-7f3a".
    pub(crate) id: String,
    pub(crate) wanted: Wanted,
    /// Path below the cgroup2 mount, "meshd.slice/run-7f3a.scope".
    pub(crate) cgroup: String,
    /// Inode of the cgroup's directory: the key of `Snapshot::workloads`.
    pub(crate) cgroup_id: u64,
}

/// A run whose last process ended; its cgroup is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndedRun {
    pub(crate) id: String,
    pub(crate) cgroup_id: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("no cgroup2 file system is mounted")]
    NoCgroups(#[source] io::Error),
    #[error("no run {0}")]
    Unknown(String),
    #[error("meshd is about to end")]
    Ending,
    /// It has an identity already.
    #[error("process {pid} is in {id} already")]
    Taken { pid: u32, id: String },
    /// The process ended, or may not be moved.
    #[error("cannot move process {pid}")]
    Move {
        pid: u32,
        #[source]
        source: io::Error,
    },
    #[error("cannot {step} {}", path.display())]
    Cgroup {
        step: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Every run scope of this daemon; a cheap handle.
#[derive(Clone, Debug)]
pub(crate) struct Runs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    mount: Mount,
    /// Relative to the mount, "meshd.slice".
    slice: String,
    scopes: Mutex<BTreeMap<String, Scope>>,
    inotify: Inotify,
    ended: mpsc::Sender<EndedRun>,
}

#[derive(Debug)]
struct Scope {
    run: Run,
    path: PathBuf,
    /// Where its members go when meshd stops before them.
    origin: String,
    /// Those that came from elsewhere than `origin`.
    origins: BTreeMap<u32, String>,
    /// `None` until it is watched.
    watch: Option<WatchDescriptor>,
    stage: Stage,
}

impl Scope {
    fn made(run: Run, path: PathBuf) -> Self {
        let (origin, origins) = (String::new(), BTreeMap::new());
        Self { run, path, origin, origins, watch: None, stage: Stage::Made(0) }
    }

    fn entered(run: Run, path: PathBuf, origin: String, origins: BTreeMap<u32, String>) -> Self {
        Self { run, path, origin, origins, watch: None, stage: Stage::Entered }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Nobody is in yet; counts the sweeps since.
    Made(u32),
    Entered,
}

impl Runs {
    /// Makes the cgroup of all runs and adopts what an earlier daemon left in it: those runs are
    /// in [`Self::list`] at once. Ended runs arrive on the channel while [`Self::watch`] runs.
    ///
    /// # Errors
    /// There are no cgroups of version 2, or they cannot be changed.
    pub(crate) fn open(
        config: &config::Capture,
    ) -> Result<(Self, mpsc::Receiver<EndedRun>), RunError> {
        let mount = Mount::find().map_err(RunError::NoCgroups)?;
        let path = mount.path(&config.cgroup);
        let failed = |step| {
            let path = path.clone();
            move |source| RunError::Cgroup { step, path, source }
        };
        fs::create_dir_all(&path).map_err(failed("make"))?;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
            .map_err(|error| failed("watch")(error.into()))?;
        let (ended, ends) = mpsc::channel(ENDED_BACKLOG);
        let scopes = Mutex::default();
        let slice = config.cgroup.clone();
        let runs = Self(Arc::new(Inner { mount, slice, scopes, inotify, ended }));
        for entry in fs::read_dir(&path).map_err(failed("read"))?.flatten() {
            runs.adopt(&entry.file_name().to_string_lossy());
        }
        Ok((runs, ends))
    }

    /// Takes over a scope of an earlier daemon, or removes it when it is empty.
    fn adopt(&self, directory: &str) {
        let ours = |id: &&str| PREFIXES.iter().any(|prefix| id.starts_with(prefix));
        let Some(id) = directory.strip_suffix(".scope").filter(ours) else { return };
        let path = self.0.mount.path(&self.0.slice).join(directory);
        if !cgroup::is_populated(&path).unwrap_or(false) {
            if let Err(error) = cgroup::remove(&path) {
                warn!(%error, run = id, "an empty run scope stays");
            }
            return;
        }
        let adopted = note::read(&path).and_then(|note| {
            let run = self.describe(id, note.wanted())?;
            let (origin, origins) = (note.origin, note.origins);
            self.watch_scope(Scope::entered(run, path, origin, origins))
        });
        match adopted {
            Ok(()) => info!(run = id, "run adopted"),
            Err(error) => warn!(%error, run = id, "a run scope cannot be adopted"),
        }
    }

    /// Makes the scope of a new run, still empty; the caller registers its workload, waits until
    /// that is in force and then calls [`Self::enter`], or [`Self::abandon`].
    ///
    /// # Errors
    /// [`RunError::Cgroup`]; nothing is left of the scope.
    pub(crate) fn create(&self, wanted: Wanted) -> Result<Run, RunError> {
        let slice = self.0.mount.path(&self.0.slice);
        let [run, attach] = PREFIXES;
        let prefix = if wanted.attached.is_some() { attach } else { run };
        let id = loop {
            let id = random_id(prefix).map_err(|source| cgroup_error("name", &slice, source))?;
            let path = slice.join(format!("{id}.scope"));
            match fs::create_dir(&path) {
                Ok(()) => break id,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(cgroup_error("make", &path, source)),
            }
        };
        let path = slice.join(format!("{id}.scope"));
        let made = self.describe(&id, wanted).and_then(|run| {
            self.watch_scope(Scope::made(run.clone(), path.clone()))?;
            Ok(run)
        });
        made.map_err(|source| {
            self.abandon(&id);
            cgroup_error("watch", &path, source)
        })
    }

    /// Moves `pid` with all its threads into the run; it goes back where it came from when the
    /// daemon stops first.
    ///
    /// # Errors
    /// The process ended, or may not be moved; the run stays empty.
    pub(crate) fn enter(&self, id: &str, pid: u32) -> Result<(), RunError> {
        let failed = |source| RunError::Move { pid, source };
        let from = cgroup::of_process(pid).map_err(failed)?;
        let mut scopes = self.scopes();
        let origin = scopes.values().find(|scope| is_within(&from, &scope.run.cgroup));
        let origin = origin.map_or(from.clone(), |outer| outer.origin.clone());
        let scope = scopes.get_mut(id).ok_or_else(|| RunError::Unknown(id.to_owned()))?;
        scope.origin = origin;
        note::write(scope).map_err(failed)?;
        cgroup::enter(&scope.path, pid).map_err(failed)?;
        scope.stage = Stage::Entered;
        Ok(())
    }

    /// Removes a run nobody entered.
    pub(crate) fn abandon(&self, id: &str) {
        let path = self.0.mount.path(&self.0.slice).join(format!("{id}.scope"));
        self.forget(id);
        if let Err(error) = cgroup::remove(&path) {
            warn!(%error, run = id, "a run scope stays");
        }
    }

    pub(crate) fn list(&self) -> Vec<Run> {
        self.scopes().values().map(|scope| scope.run.clone()).collect()
    }

    /// Processes of a run, now; with those in cgroups they made below it.
    pub(crate) fn pids(&self, id: &str) -> Vec<u32> {
        let path = self.scopes().get(id).map(|scope| scope.path.clone());
        path.map(|path| cgroup::members(&path)).unwrap_or_default()
    }

    /// Moves every member back to the cgroup it came from and removes all scopes; names what
    /// could not be removed.
    pub(crate) fn dissolve(&self) -> Vec<String> {
        let scopes = std::mem::take(&mut *self.scopes());
        let mut problems = Vec::new();
        for scope in scopes.into_values() {
            self.unwatch(&scope);
            if let Err(error) = self.empty(&scope).and_then(|()| cgroup::remove(&scope.path)) {
                problems.push(format!("cgroup {}: {error}", scope.run.cgroup));
            }
        }
        let slice = self.0.mount.path(&self.0.slice);
        if let Err(error) = fs::remove_dir(&slice) {
            debug!(%error, "the cgroup of all runs stays"); // others live in it
        }
        problems
    }

    /// Members may fork while they are moved, so it is done until nobody is left.
    fn empty(&self, scope: &Scope) -> io::Result<()> {
        const ROUNDS: u32 = 100;
        for _ in 0..ROUNDS {
            let members = cgroup::members(&scope.path);
            if members.is_empty() {
                return Ok(());
            }
            for pid in members {
                let origin = scope.origins.get(&pid).unwrap_or(&scope.origin);
                let origin = cgroup::living_ancestor(&self.0.mount, &self.0.mount.path(origin));
                match cgroup::enter(&origin, pid) {
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    moved => moved?,
                }
            }
        }
        Err(io::Error::from(io::ErrorKind::ResourceBusy))
    }

    fn describe(&self, id: &str, wanted: Wanted) -> io::Result<Run> {
        let cgroup = format!("{}/{id}.scope", self.0.slice);
        let cgroup_id = cgroup::id(&self.0.mount.path(&cgroup))?;
        Ok(Run { id: id.to_owned(), wanted, cgroup, cgroup_id })
    }

    fn watch_scope(&self, scope: Scope) -> io::Result<()> {
        let events = scope.path.join("cgroup.events");
        let watch = Some(self.0.inotify.add_watch(&events, AddWatchFlags::IN_MODIFY)?);
        self.scopes().insert(scope.run.id.clone(), Scope { watch, ..scope });
        Ok(())
    }

    fn unwatch(&self, scope: &Scope) {
        if let Some(watch) = scope.watch {
            self.0.inotify.rm_watch(watch).ok();
        }
    }

    fn forget(&self, id: &str) {
        if let Some(scope) = self.scopes().remove(id) {
            self.unwatch(&scope);
        }
    }

    fn scopes(&self) -> MutexGuard<'_, BTreeMap<String, Scope>> {
        self.0.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn is_within(cgroup: &str, scope: &str) -> bool {
    cgroup.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn cgroup_error(step: &'static str, path: &std::path::Path, source: io::Error) -> RunError {
    RunError::Cgroup { step, path: path.to_owned(), source }
}

/// Four digits are enough for a person; a clash is noticed when the directory is made.
pub(super) fn random_id(prefix: &str) -> io::Result<String> {
    let mut bytes = [0_u8; 2];
    // SAFETY: `bytes` has room for as many bytes as are asked for.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got != 2 {
        return Err(io::Error::last_os_error());
    }
    Ok(format!("{prefix}{:04x}", u16::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::is_within;

    #[test]
    fn a_scope_contains_itself_and_what_is_below() {
        assert!(is_within("m.slice/run-1.scope", "m.slice/run-1.scope"));
        assert!(is_within("m.slice/run-1.scope/a", "m.slice/run-1.scope"));
        assert!(!is_within("m.slice/run-1.scope2", "m.slice/run-1.scope"));
    }
}
