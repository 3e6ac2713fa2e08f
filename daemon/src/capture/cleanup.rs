//! Removes what a killed daemon left.

use std::path::Path;
use std::sync::Arc;

use super::netns::{Netns, Site};
use super::routes::Tables;
use super::{Attachments, Namespaces, RunError, Runs, guard, iptables, nft, pins};
use crate::config;

/// What was removed, and what could not be.
#[derive(Debug, Default)]
struct Report {
    removed: Vec<String>,
    problems: Vec<String>,
}

/// Removes what a daemon with this configuration left behind, run scopes and the network
/// namespaces of what was attached included.
///
/// Returns what was removed, in words; `Err` lists what could not be.
pub(crate) async fn clean_up(
    config: &config::Capture,
    state_dir: &Path,
) -> Result<Vec<String>, Vec<String>> {
    let mut report = Report::default();
    let mut namespaces = attached(state_dir, &mut report).await;
    let runs = Runs::open(config).map(|(runs, _ended)| runs);
    namespaces.extend(runs.iter().flat_map(Runs::namespaces));
    report.strip(&Site::OWN).await;
    for path in namespaces.values() {
        // One that is gone took everything with it.
        if let Ok(netns) = Netns::open(path) {
            report.strip(&Site::elsewhere(Arc::new(netns))).await;
        }
    }
    report.note("BPF programs", pins::remove(&config.cgroup));
    match runs {
        Ok(runs) => {
            let names = runs.list().into_iter().map(|run| format!("cgroup {}", run.cgroup));
            report.removed.extend(names);
            report.problems.extend(runs.dissolve());
        }
        Err(RunError::NoCgroups(_)) => {}
        Err(error) => report.problems.push(error.to_string()),
    }
    let Report { removed, problems } = report;
    if problems.is_empty() { Ok(removed) } else { Err(problems) }
}

/// Everything of capture in meshd's own network namespace; names what could not be removed.
pub(super) async fn strip_own() -> Vec<String> {
    let mut report = Report::default();
    report.strip(&Site::OWN).await;
    report.problems
}

/// Where attached processes are now.
async fn attached(state_dir: &Path, report: &mut Report) -> Namespaces {
    match Attachments::open(state_dir) {
        Ok(attachments) => {
            let seen = attachments.look().await;
            let mut table = attachments.table().await;
            attachments.refresh(&mut table, seen);
            Attachments::namespaces(&table)
        }
        Err(error) => {
            report.problems.push(format!("what was attached is not known: {error}"));
            Namespaces::new()
        }
    }
}

impl Report {
    /// Everything of capture that is in one network namespace.
    async fn strip(&mut self, site: &Site) {
        match site.inside(Tables::open) {
            Ok(tables) => {
                let (removed, problems) = tables.remove_all().await;
                self.removed.extend(removed);
                self.problems.extend(problems);
            }
            Err(error) => self.problems.push(format!("routing tables: {error}")),
        }
        self.note("table meshd", nft::clear(site).await);
        self.note("table meshd_vip", guard::remove(site).await);
        self.note("chains MESHD_*", iptables::clear(site).await);
    }

    fn note(&mut self, what: &str, removed: std::io::Result<bool>) {
        match removed {
            Ok(true) => self.removed.push(what.to_owned()),
            Ok(false) => {}
            Err(error) => self.problems.push(format!("{what}: {error}")),
        }
    }
}
