//! How a change ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mesh_proto::manifest::{Key, Object};

use super::declared::{BadValue, Declared, subject};
use crate::intent::{CommitError, Op, OpenError};
use crate::state::Snapshot;
use crate::state::vip::NoFreeAddress;

/// How a change is to be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mutation {
    /// Say what would change, but change nothing.
    pub(crate) dry_run: bool,
    /// Return once durable, without waiting for the readers.
    pub(crate) no_wait: bool,
    /// Refuse when the newest generation is another one.
    pub(crate) if_generation: Option<u64>,
    /// Kept in the history.
    pub(crate) reason: String,
}

/// A change that was made, or would be.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// By key; empty when everything was so already.
    pub(crate) changes: Vec<Change>,
    /// Head after the change.
    pub(crate) generation: u64,
    /// Number for `undo`; 0 when nothing changed.
    pub(crate) undo: u64,
    /// `None` when nobody waited.
    pub(crate) live: Option<Live>,
    /// What is in force after the change.
    pub(crate) snapshot: Arc<Snapshot>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub(crate) applied: u32,
    pub(crate) nodes: u32,
    pub(crate) after: Duration,
}

/// What became of one object, with this node's claims in its services.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) action: Action,
    pub(crate) before: Option<Object>,
    pub(crate) after: Option<Object>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Created,
    Configured,
    Deleted,
}

impl Action {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Deleted => "deleted",
        }
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpdateError<E> {
    /// The change itself did not want to.
    #[error(transparent)]
    Refused(E),
    #[error("the newest generation is {head}")]
    Moved { head: u64 },
    #[error(transparent)]
    NoFreeAddress(#[from] NoFreeAddress),
    #[error(transparent)]
    NotStored(#[from] CommitError),
    #[error("changes are refused: {0}")]
    ReadOnly(Damage),
    /// Stored as `generation` and on its way, but not in force everywhere in time.
    #[error("not yet used by {}", laggards.join(", "))]
    NotLive { generation: u64, laggards: Vec<String> },
}

/// A state file that could not be trusted.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} is damaged ({why}); kept as {}", file.display(), kept.display())]
pub(crate) struct Damage {
    pub(crate) file: PathBuf,
    pub(crate) kept: PathBuf,
    pub(crate) why: String,
}

/// Why the state cannot be used, so that the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    Log(OpenError),
    /// The range in the settings is too small for the services that are declared.
    #[error(transparent)]
    NoFreeAddress(#[from] NoFreeAddress),
    /// Sound, but not of this version.
    #[error("the stored state was written by another version of meshd")]
    Value(#[source] BadValue),
}

/// What `ops` did to the objects they are about.
pub(super) fn changes(before: &Declared, after: &Declared, ops: &[Op], node: &str) -> Vec<Change> {
    let mut keys: Vec<_> = ops.iter().filter_map(|op| subject(&op.key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let change = |key: Key| {
        let (before, after) = (before.effective(&key, node), after.effective(&key, node));
        let action = match (&before, &after) {
            (None, Some(_)) => Action::Created,
            (Some(_), Some(_)) => Action::Configured,
            (_, None) => Action::Deleted,
        };
        Change { key, action, before, after }
    };
    keys.into_iter().map(change).collect()
}
