//! Manifest files that are kept applied: at start, on SIGHUP and when they change.
//!
//! They are one set: all of them are applied or none, and what leaves the files leaves the mesh.
//! A mistake in them is told with its place, and what was in force stays in force.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use mesh_proto::manifest::{ManifestError, parse};
use mesh_proto::v1::Document;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::error::Failure;
use super::manifest::Wish;
use crate::intent::Author;
use crate::state::{Mutation, Outcome, Store};
use crate::telemetry::{Severity, Telemetry};

const SET: &str = "meshd-manifests";

/// Editors write a file in several steps.
const SETTLE: Duration = Duration::from_millis(50);

/// See the module; clones are about the same files.
#[derive(Clone)]
pub(crate) struct Manifests {
    paths: Arc<[PathBuf]>,
    store: Arc<Store>,
    telemetry: Telemetry,
}

#[derive(Debug, thiserror::Error)]
enum Rejected {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}", first(.0))]
    Invalid(Vec<ManifestError>),
    #[error("{}", .0.message())]
    Refused(Failure),
}

fn first(errors: &[ManifestError]) -> String {
    errors.first().map(ToString::to_string).unwrap_or_default()
}

impl Manifests {
    pub(crate) fn new(paths: Vec<PathBuf>, store: Arc<Store>, telemetry: Telemetry) -> Self {
        Self { paths: paths.into(), store, telemetry }
    }

    /// Reads the files and makes the mesh what they say.
    pub(crate) async fn reload(&self) {
        if self.paths.is_empty() {
            return;
        }
        let (events, reloads) = (&self.telemetry.events, &self.telemetry.reloads);
        match self.apply().await {
            Ok(outcome) => {
                reloads.applied.fetch_add(1, Relaxed);
                if outcome.undo > 0 {
                    let keys: Vec<_> =
                        outcome.changes.iter().map(|c| c.topic.to_string()).collect();
                    let subject = format!("generation {}", outcome.generation);
                    events.emit("config/applied", subject, keys.join(", "), Severity::Info);
                }
            }
            Err(rejected) => {
                reloads.rejected.fetch_add(1, Relaxed);
                for (subject, message) in rejected.told() {
                    events.emit("config/rejected", subject, message, Severity::Error);
                }
            }
        }
    }

    async fn apply(&self) -> Result<Outcome, Rejected> {
        let documents = documents(&self.paths)?;
        let objects = parse(&documents).map_err(Rejected::Invalid)?;
        let wish = Wish { objects, set: Some(SET.to_owned()), prune: true };
        let names: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
        let author = Author::meshd(&format!("manifests {}", names.join(" ")));
        let edit = |draft: &mut _| wish.apply(draft, self.store.node());
        let outcome = self.store.update(author, Mutation::default(), edit).await;
        outcome.map_err(|error| Rejected::Refused(error.into()))
    }

    /// Reloads whenever something in the files' folders changes, until `stop`.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        if self.paths.is_empty() {
            return;
        }
        if let Some(Err(error)) = stop.run_until_cancelled(self.follow()).await {
            warn!(%error, "changes of the manifest files go unnoticed; SIGHUP still reads them");
        }
    }

    async fn follow(&self) -> io::Result<()> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let news = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR;
        for path in self.paths.iter() {
            // A file is often replaced by another of its name: its folder sees that.
            let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            inotify.add_watch(folder, news)?;
        }
        let descriptor = inotify.as_fd().try_clone_to_owned()?;
        // SAFETY: the descriptor is owned by `ready`, which never lends it out to be closed.
        let ready = unsafe { AsyncFd::register(descriptor) }?;
        loop {
            let mut guard = ready.readable().await?;
            sleep(SETTLE).await;
            match inotify.read_events() {
                Ok(_) => self.reload().await,
                Err(nix::Error::EAGAIN) => guard.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Rejected {
    /// Where and what, for each mistake.
    fn told(&self) -> Vec<(String, String)> {
        match self {
            Self::Invalid(errors) => errors
                .iter()
                .map(|error| {
                    let place = format!("{}:{}:{}", error.file, error.line, error.column);
                    (place, error.to_string())
                })
                .collect(),
            Self::Unreadable { path, .. } => vec![(path.display().to_string(), self.to_string())],
            Self::Refused(_) => vec![("manifests".to_owned(), self.to_string())],
        }
    }
}

fn documents(paths: &[PathBuf]) -> Result<Vec<Document>, Rejected> {
    let mut documents = Vec::new();
    for path in paths {
        let unreadable = |source| Rejected::Unreadable { path: path.clone(), source };
        for file in listed(path).map_err(unreadable)? {
            let text = fs::read_to_string(&file);
            let text =
                text.map_err(|source| Rejected::Unreadable { path: file.clone(), source })?;
            documents.push(Document { file: file.display().to_string(), text });
        }
    }
    Ok(documents)
}

/// The file, or the manifests of a folder by name.
fn listed(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
