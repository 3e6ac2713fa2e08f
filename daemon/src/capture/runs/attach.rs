//! Processes that already run, moved into a scope and out of it again.

use tokio::task::block_in_place;

use super::{EndedRun, Run, RunError, Runs, cgroup_error, is_within, note};
use crate::capture::attach::find::foreign_namespaces;
use crate::capture::{Namespaces, cgroup, process};

impl Runs {
    /// The scope `pid` is in, if any.
    pub(crate) fn of_process(&self, pid: u32) -> Option<Run> {
        let cgroup = cgroup::of_process(pid).ok()?;
        let scopes = self.scopes();
        // A run inside a run lies beside it: no scope is within another.
        let found = scopes.values().find(|scope| is_within(&cgroup, &scope.run.cgroup));
        found.map(|scope| scope.run.clone())
    }

    /// Moves `pid` and every process that descends from it into the scope; what a run of its own
    /// holds stays there. Returns who is in.
    ///
    /// # Errors
    /// The process ended, may not be moved, or is in a scope already.
    pub(crate) fn enter_family(&self, id: &str, pid: u32) -> Result<Vec<u32>, RunError> {
        /// Families that fork faster than this are followed by inheritance anyway.
        const ROUNDS: u32 = 20;
        if let Some(other) = self.of_process(pid) {
            return Err(RunError::Taken { pid, id: other.id });
        }
        // First of all the eldest: what it forks from now on is born inside.
        self.enter(id, pid)?;
        for _ in 0..ROUNDS {
            let outside = |pid: &u32| self.of_process(*pid).is_none();
            let outside: Vec<_> = process::family(pid).into_iter().filter(outside).collect();
            if outside.is_empty() {
                break;
            }
            for pid in outside {
                self.follow(id, pid)?;
            }
        }
        Ok(self.pids(id))
    }

    /// A descendant comes along; one that ended meanwhile does not matter.
    fn follow(&self, id: &str, pid: u32) -> Result<(), RunError> {
        let Ok(from) = cgroup::of_process(pid) else { return Ok(()) };
        let mut scopes = self.scopes();
        let scope = scopes.get_mut(id).ok_or_else(|| RunError::Unknown(id.to_owned()))?;
        let failed = |source| RunError::Move { pid, source };
        if from != scope.origin {
            scope.origins.insert(pid, from);
            note::write(scope).map_err(failed)?;
        }
        match cgroup::enter(&scope.path, pid) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            moved => moved.map_err(failed),
        }
    }

    /// Network namespaces their processes are in, meshd's own left out.
    pub(crate) fn namespaces(&self) -> Namespaces {
        let paths: Vec<_> = self.scopes().values().map(|scope| scope.path.clone()).collect();
        if paths.is_empty() {
            return Namespaces::new();
        }
        block_in_place(|| paths.iter().flat_map(|path| foreign_namespaces(path)).collect())
    }

    /// Moves everybody back where they came from and removes the scope.
    ///
    /// # Errors
    /// Somebody could not be moved; the scope stays as it was.
    pub(crate) fn release(&self, id: &str) -> Result<EndedRun, RunError> {
        let scope = self.scopes().remove(id);
        let scope = scope.ok_or_else(|| RunError::Unknown(id.to_owned()))?;
        self.unwatch(&scope);
        let ended = EndedRun { id: scope.run.id.clone(), cgroup_id: scope.run.cgroup_id };
        let path = scope.path.clone();
        match self.empty(&scope).and_then(|()| cgroup::remove(&path)) {
            Ok(()) => Ok(ended),
            Err(source) => {
                // Watched again, so that it ends with its last process at least.
                self.watch_scope(scope).ok();
                Err(cgroup_error("empty", &path, source))
            }
        }
    }
}
