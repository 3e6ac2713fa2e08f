//! Notices that a run's last process ended, and removes its cgroup.

use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{EndedRun, Runs, Scope, Stage};
use crate::capture::{cgroup, host};

/// How often every scope is looked at, for what inotify could not say.
const SWEEP: Duration = Duration::from_secs(2);
/// Sweeps an empty scope survives without being entered.
const PATIENCE: u32 = 15;

impl Runs {
    /// Reaps runs whose last process ended, until `stop`. Dropping it only pauses reaping.
    pub(crate) async fn watch(&self, stop: CancellationToken) {
        let descriptor = self.0.inotify.as_fd().try_clone_to_owned().and_then(host::watched);
        let descriptor = match descriptor {
            Ok(descriptor) => descriptor,
            Err(error) => {
                warn!(%error, "ended runs are noticed late");
                return;
            }
        };
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                _ = sweep.tick() => self.sweep(),
                ready = descriptor.readable() => {
                    if let Ok(mut ready) = ready { ready.clear_ready(); }
                    self.emptied()
                }
            };
            for run in ended {
                info!(run = run.id, "run ended");
                if self.0.ended.send(run).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Runs that inotify says changed and that are empty now, removed.
    fn emptied(&self) -> Vec<EndedRun> {
        let Ok(events) = self.0.inotify.read_events() else { return Vec::new() };
        let changed: Vec<_> = {
            let scopes = self.scopes();
            let changed = |scope: &&Scope| events.iter().any(|event| Some(event.wd) == scope.watch);
            scopes.values().filter(changed).map(|scope| scope.run.id.clone()).collect()
        };
        changed.iter().filter_map(|id| self.reap(id)).collect()
    }

    /// Looks at every run.
    fn sweep(&self) -> Vec<EndedRun> {
        let mut stale = Vec::new();
        for scope in self.scopes().values_mut() {
            if let Stage::Made(sweeps) = &mut scope.stage {
                *sweeps += 1;
                if *sweeps > PATIENCE {
                    stale.push(scope.run.id.clone());
                }
            }
        }
        for id in stale {
            self.abandon(&id);
        }
        let entered: Vec<String> = self.scopes().keys().cloned().collect();
        entered.iter().filter_map(|id| self.reap(id)).collect()
    }

    /// Removes the run when its last process has ended.
    fn reap(&self, id: &str) -> Option<EndedRun> {
        let mut scopes = self.scopes();
        let scope = scopes.get(id).filter(|scope| scope.stage == Stage::Entered)?;
        if cgroup::is_populated(&scope.path).unwrap_or(false) {
            return None;
        }
        if let Err(error) = cgroup::remove(&scope.path) {
            warn!(%error, run = id, "an ended run's cgroup stays");
            return None;
        }
        let scope = scopes.remove(id)?;
        self.unwatch(&scope);
        Some(EndedRun { id: scope.run.id, cgroup_id: scope.run.cgroup_id })
    }
}
